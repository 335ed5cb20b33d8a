"""The power of one study: what its seeds can see, and what targets would take, as tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.database.records import StudyRecord
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError, counted
from results.statistics.intervals import chi2_quantile
from results.statistics.options import Options
from results.statistics.pairing import pairing
from results.statistics.power import POWER, Question, Spread, questions
from results.statistics.study_data import StudyData

SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
TARGETS = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Asked:
    """What is asked of the power of a study.

    Attributes:
        alpha: Two-sided level.
        power: Probability of finding an effect.
        seeds: For which numbers of seeds; the study's own is always among them.
        targets: For which true effects, in human-normalised score.
    """

    alpha: float = 0.05
    power: float = POWER
    seeds: tuple[int, ...] = SEEDS
    targets: tuple[float, ...] = TARGETS


@dataclass(frozen=True)
class StudyPower:
    """What a study can see.

    Attributes:
        study: Its name.
        own_seeds: How many it has.
        spread: Between its seeds.
        questions: What it can answer.
        detectable: One row per number of seeds and question: seeds, question, detectable, and
            the same at both limits of the spread, and paired where rho is known.
        needed: One row per target and question: effect, question, seeds; and at both limits.
    """

    study: str
    own_seeds: int
    spread: Spread
    questions: tuple[Question, ...]
    detectable: pd.DataFrame
    needed: pd.DataFrame


def pilot_spread(data: StudyData, options: Options) -> Spread:
    """The spread between the seeds of a study that has been run, or was imported.

    Raises:
        StatisticsError: as `collect` and `Cells.of` do, or if there is no spread to see.
    """
    cells = Cells.of(data.study, collect(data, options))
    games = ", ".join(cells.compared_games)
    kind = "imported" if data.imported is not None or data.sources else "recorded"
    source = f"the {kind} runs of {data.study.name} on the mean of {games}{_floors(cells)}"
    rho = pairing(cells, MEAN, ci=options.ci).rho
    return observed_spread(cells, rho=rho, ci=options.ci, source=source)


def observed_spread(cells: Cells, *, rho: float, ci: float, source: str) -> Spread:
    """The spread between seeds on the mean of games, pooled over all cells.

    Args:
        cells: The cells of a pilot.
        rho: Correlation of the runs of one seed.
        ci: Level of the limits.
        source: Where the cells are from, in words.

    Raises:
        StatisticsError: if no cell has two seeds, or all seeds are equal.
    """
    runs = [cells.runs[cell, MEAN] for cell in cells.arms if len(cells.runs[cell, MEAN]) > 1]
    df = sum(len(one) - 1 for one in runs)
    squares_ = math.fsum(float(((one - one.mean()) ** 2).sum()) for one in runs)
    scale = max((float(np.abs(one).max()) for one in runs), default=0.0)
    if not df or squares_ <= (1e-12 * scale) ** 2 * df:
        why = "every arm has one seed" if not df else "all seeds of every arm are equal"
        raise StatisticsError(
            f"The spread between seeds is not known from {source}: {why}. Run a pilot of a few "
            "seeds, or state a standard deviation with --sd."
        )
    tail = (1 - ci) / 2
    low, high = np.sqrt(squares_ / chi2_quantile(np.array([1 - tail, tail]), df))
    return Spread(math.sqrt(squares_ / df), float(low), float(high), df, rho, source)


def _floors(cells: Cells) -> str:
    """Says where runs differ too little because they stand on the floor; else empty."""
    arms = {
        game: sum(bool(cells.floor({cell: 1.0}, game)) for cell in cells.arms)
        for game in cells.compared_games
    }
    words = [
        f"on {game} {count} of {counted(len(cells.arms), 'arm')}"
        for game, count in arms.items()
        if count
    ]
    if not words:
        return ""
    return f" (at the floor stand {', '.join(words)}: agents that learn will spread more)"


def study_power(study: StudyRecord, spread: Spread, asked: Asked) -> StudyPower:
    """What the seeds of a study can see, and what targets would take."""
    every = questions(study)
    own = len(study.seeds)
    return StudyPower(
        study=study.name,
        own_seeds=own,
        spread=spread,
        questions=every,
        detectable=_detectable(every, spread, sorted({*asked.seeds, own}), asked),
        needed=_needed(every, spread, asked),
    )


def _limits(spread: Spread) -> list[tuple[str, float]]:
    return [("", spread.sd), ("_low", spread.low), ("_high", spread.high)]


def _detectable(
    every: Sequence[Question], spread: Spread, seeds: Sequence[int], asked: Asked
) -> pd.DataFrame:
    rows = []
    for count in seeds:
        for one in every:
            row: dict[str, object] = {"seeds": count, "question": one.name}
            for name, sd in _limits(spread):
                row[f"detectable{name}"] = (
                    one.detectable(sd, count, alpha=asked.alpha, power=asked.power)
                    if math.isfinite(sd)
                    else math.nan
                )
            paired = math.nan
            if math.isfinite(spread.rho) and one.weight in (2, 4):
                paired = one.detectable(
                    spread.sd, count, alpha=asked.alpha, power=asked.power,
                    rho=min(spread.rho, 1.0),
                )  # fmt: skip
            row["detectable_paired"] = paired
            rows.append(row)
    columns = ["seeds", "question", *(f"detectable{n}" for n, _ in _limits(spread))]
    return pd.DataFrame(rows, columns=[*columns, "detectable_paired"])


def _needed(every: Sequence[Question], spread: Spread, asked: Asked) -> pd.DataFrame:
    rows = []
    for effect in asked.targets:
        for one in every:
            row: dict[str, object] = {"effect": effect, "question": one.name}
            for name, sd in _limits(spread):
                row[f"seeds{name}"] = (
                    one.seeds_needed(sd, effect, alpha=asked.alpha, power=asked.power)
                    if math.isfinite(sd)
                    else None
                )
            rows.append(row)
    columns = ["effect", "question", *(f"seeds{name}" for name, _ in _limits(spread))]
    return pd.DataFrame(rows, columns=columns).astype(
        {f"seeds{name}": "Int64" for name, _ in _limits(spread)}
    )
