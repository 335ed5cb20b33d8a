"""Synthetic studies whose numbers are known, for statistics, tables, figures and report."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest

from results.database.records import (
    ArmRecord,
    NormalizationRow,
    StudyRecord,
    ToggleRecord,
)
from results.statistics.designs import design_cells
from results.statistics.study_data import StudyData

On = Mapping[str, str]  # toggle -> level that is on
REFERENCE = {  # random, human: Wang et al. 2016
    "Assault": (222.4, 742.0),
    "CrazyClimber": (10780.5, 35829.4),
    "Pong": (-20.7, 14.6),
    "MsPacman": (307.3, 6951.6),
    "Catch": (-0.6, 1.0),  # declares them itself
    "gymnasium:CartPole-v1": (0.0, 1.0),  # declares none
}
DESIGNS = ("base", "full", "leave_one_out", "add_one_in")


def arm_name(on: On, toggles: Sequence[ToggleRecord]) -> str:
    """The name that the grid gives an arm."""
    labels = {
        toggle.name: toggle.name
        if len(toggle.levels) == 1
        else f"{toggle.name}:{on.get(toggle.name, toggle.in_full)}"
        for toggle in toggles
    }
    full = {toggle.name: toggle.in_full for toggle in toggles}
    if dict(on) == full:
        return "full"
    left_out = [name for name in full if name not in on]
    if len(left_out) < len(on) and all(full[t] == on[t] for t in on):
        return "-".join(["full", *left_out])
    return "+".join(["base", *(labels[t.name] for t in toggles if t.name in on)])


def build_study(
    toggles: Mapping[str, Sequence[str]] | None = None,
    *,
    games: Sequence[str] = ("Pong", "CrazyClimber", "Assault"),
    seeds: Sequence[int] = (0, 1, 2),
    designs: Sequence[str] = DESIGNS,
    env_frames: int = 400_000,
    name: str = "synthetic",
) -> StudyRecord:
    """A study over toggles (name -> levels, the last level in full), as the grid would make it."""
    toggles = toggles if toggles is not None else {"augmentation": ("on",), "ratio": ("on",)}
    records = tuple(ToggleRecord(n, tuple(levels), levels[-1]) for n, levels in toggles.items())
    arms = {
        arm_name(on, records): ArmRecord(arm_name(on, records), _identity(on), "{}", on)
        for design in designs
        for on in design_cells(design, records)
    }
    return StudyRecord(
        name=name,
        question="Do two known effects add up?",
        source="",
        contents_sha256="0" * 64,
        protocol="atari100k",
        env_frames=env_frames,
        prefill_frames=20_000,
        designs=tuple(designs),
        games=tuple(games),
        seeds=tuple(seeds),
        toggles=records,
        arms=tuple(arms.values()),
        evaluation="32 episodes, argmax",
    )


def _identity(on: On) -> str:
    return hashlib.sha256(repr(sorted(on.items())).encode()).hexdigest()


def build_data(
    study: StudyRecord,
    score: Callable[[On, str, int], float],
    *,
    missing: Iterable[tuple[str, str, int]] = (),
    episodes: int = 2,
    points: int = 4,
    truncated: bool = False,
    declared: Mapping[str, NormalizationRow] | None = None,
) -> StudyData:
    """A recorded study in which score(toggles on, game, seed) is each run's exact final HNS.

    A run has `points` evaluations, evenly spaced; its HNS grows linearly from random to the
    final one. `missing` holds (arm, game, seed) still queued. Episodes differ by +-1 around
    the mean.
    """
    runs: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    curve: list[dict[str, Any]] = []
    gone = set(missing)
    for run_id, (seed, arm, game) in enumerate(
        itertools.product(study.seeds, study.arms, study.games), start=1
    ):
        key = {"run_id": run_id, "arm": arm.name, "game": game, "seed": seed}
        finished = (arm.name, game, seed) not in gone
        runs.append(
            key
            | {
                "state": "finished" if finished else "queued",
                "attempts": int(finished),
                "env_frames": study.env_frames if finished else 0,
                "updates": 100 if finished else 0,
                "seconds": 60.0 if finished else None,
                "error": None,
                "host": "host" if finished else None,
                "pid": 1 if finished else None,
                "started_at": None,
                "heartbeat_at": None,
            }
        )
        if not finished:
            continue
        random, human = REFERENCE[game]
        for point in range(1, points + 1):
            env_frames = study.env_frames * point // points
            hns = score(arm.toggles, game, seed) * point / points
            mean = random + hns * (human - random)
            curve.append(key | {"env_frames": env_frames, "value": mean})
            offsets = np.linspace(-1, 1, episodes) if episodes > 1 else [0.0]
            for episode, offset in enumerate(offsets):
                evaluations.append(
                    key
                    | {
                        "env_frames": env_frames,
                        "final": point == points,
                        "episode": episode,
                        "episode_return": mean + float(offset),
                        "length": 1000,
                        "policy": "argmax",
                        "truncated": truncated,
                    }
                )
    return StudyData(
        study=study,
        runs=pd.DataFrame(runs),
        evaluations=pd.DataFrame(evaluations, columns=EVALUATION_COLUMNS),
        curves={"episode_return": pd.DataFrame(curve, columns=CURVE_COLUMNS)},
        declared=declared if declared is not None else {},
    )


KEY_COLUMNS = ["run_id", "arm", "game", "seed", "env_frames"]
CURVE_COLUMNS = [*KEY_COLUMNS, "value"]
EVALUATION_COLUMNS = [
    *KEY_COLUMNS,
    "final",
    "episode",
    "episode_return",
    "length",
    "policy",
    "truncated",
]


def additive(
    effects: Mapping[str, float], *, base: float = 0.5, noise: float = 0.0, seed: int = 0
) -> Callable[[On, str, int], float]:
    """Scores to which every toggle adds its own effect and nothing more; noise is per run."""

    def score(on: On, game: str, run_seed: int) -> float:
        value = base + sum(effects[toggle] for toggle in on)
        key = [seed, run_seed, *"".join([game, *on, *on.values()]).encode()]
        return value + noise * float(np.random.default_rng(key).standard_normal())

    return score


SIX: Final = ("augmentation", "ratio", "resets", "exploration", "auxiliary", "pretraining")
SIX_GAMES: Final = ("Assault", "CrazyClimber", "MsPacman", "Pong")
LEAST: Final = 0.0  # HNS of Pong at -20.7, where the six-toggle study has its floor


def planted(on: On, game: str, seed: int) -> float:
    """Scores of six toggles, with one pair of every kind and a game on its floor.

    augmentation × ratio       synergy        .3, .5, together .8 + .6
    resets × exploration       redundancy     .4, .4, together .8 - .3
    exploration × auxiliary    interference   .4, .35, together .75 - .7
    pretraining × all          additive       .2
    Pong                       floor          all of it 1.4 lower, and never below 0

    A seed shifts all arms alike by a spread of .05, a run by one of .15.
    """
    alone = dict(zip(SIX, (0.3, 0.5, 0.4, 0.4, 0.35, 0.2), strict=True))
    together = {
        ("augmentation", "ratio"): 0.6,
        ("resets", "exploration"): -0.3,
        ("exploration", "auxiliary"): -0.7,
    }
    value = sum(alone[toggle] for toggle in on)
    value += sum(size for pair, size in together.items() if set(pair) <= set(on))
    block = np.random.default_rng([seed, *game.encode()]).standard_normal()
    own = np.random.default_rng([seed, *"|".join([game, *sorted(on)]).encode()])
    value += 0.05 * float(block) + 0.15 * float(own.standard_normal())
    return max(value - 1.4, LEAST) if game == "Pong" else value + 0.4


@pytest.fixture(scope="session")
def six_toggles() -> StudyData:
    """A factorial of six toggles, 64 arms on four games with five seeds: 1,280 runs."""
    study = build_study(
        dict.fromkeys(SIX, ("on",)),
        games=SIX_GAMES,
        seeds=range(5),
        designs=("factorial",),
        name="six_toggles",
    )
    return build_data(study, planted)


@pytest.fixture
def make_study() -> Callable[..., StudyRecord]:
    """Builds a StudyRecord: make_study(toggles, games=..., seeds=..., designs=...)."""
    return build_study


@pytest.fixture
def make_data() -> Callable[..., StudyData]:
    """Builds a StudyData: make_data(study, score, missing=..., episodes=..., points=...)."""
    return build_data


@pytest.fixture
def additive_score() -> Callable[..., Callable[[On, str, int], float]]:
    """Builds a score without interactions: additive_score({"augmentation": .2}, noise=.1)."""
    return additive


@pytest.fixture
def noisy_data() -> StudyData:
    """Two toggles, three games, three seeds, noise: what a small real study looks like."""
    return build_data(
        build_study(), additive({"augmentation": 0.2, "ratio": 0.5}, base=0.4, noise=0.2)
    )


@pytest.fixture
def one_seed_data() -> StudyData:
    """The same with one seed: no interval anywhere."""
    return build_data(
        build_study(seeds=(0,)), additive({"augmentation": 0.2, "ratio": 0.5}, noise=0.2)
    )
