"""The words under a figure: what is shown, on what it rests, and what it cannot show."""

import math
from collections.abc import Sequence

from results.statistics.errors import counted
from results.statistics.intervals import Estimate
from results.statistics.options import Options
from results.statistics.scores import Scores
from results.statistics.study_data import StudyData
from results.tables.captions import normalised

TOO_NARROW = "few runs: these intervals are too narrow"  # of a bootstrap
FEW_SEEDS = 5  # per cell; up to here only very large effects are visible


def percent(ci: float) -> str:
    """Writes the level of an interval: 95%, 99.5%."""
    return f"{100 * ci:g}%"


def seeds(fewest: int, most: int) -> str:
    """Writes how many seeds there are: `1 seed`, `2 seeds`, `1 to 3 seeds`."""
    if fewest == most:
        return counted(most, "seed")
    return f"{fewest} to {most} seeds"


def per_cell(scores: Scores) -> str:
    """Writes how many seeds a cell has, or that they are means whose runs nobody counted."""
    if scores.means:
        return "a mean over an unknown number of runs"
    return seeds(*scores.runs_per_cell())


def basis(data: StudyData, scores: Scores) -> str:
    """States normalisation, seeds, protocol, evaluation and env frames, and what is missing."""
    study = data.study
    words = (
        f"{normalised(scores)} At {scores.env_frames:,} env frames, "
        f"{per_cell(scores)} per arm and game; protocol {study.protocol}; "
        f"evaluation: {study.evaluation}."
    )
    if scores.measure == "auc":
        words += " A run is scored by the mean height of its evaluation curve up to there."
    return f"{words} {partial(scores)}".strip()


def partial(scores: Scores) -> str:
    """States how many runs have a score where some have none; else empty."""
    if not scores.missing:
        return ""
    total = len(scores.frame)
    return (
        f"Partial: {total - len(scores.missing)} of {total} runs have a score; what is missing is "
        "left out, never counted as 0."
    )


def left_out(scores: Scores) -> str:
    """States what the mean over games had to leave out so that all arms compare; else empty."""
    matrices = scores.matrices()
    words = []
    if matrices.dropped_games:
        words.append(f"the games {', '.join(matrices.dropped_games)}")
    dropped = sum(len(some) for some in matrices.dropped_seeds.values())
    if dropped:
        words.append(f"{counted(dropped, 'seed')} of arms that lack one of the games")
    return f"The mean over games leaves out {' and '.join(words)}." if words else ""


def foot(scores: Scores, interval: str, warning: str = "") -> str:
    """Writes the foot of the figure itself: seeds, interval, normalisation, env frames.

    A warning stands in a line of its own.
    """
    words = [
        f"{'' if scores.means else 'n = '}{per_cell(scores)} per arm and game",
        interval,
        f"HNS ({scores.normalization.id})",
        f"{scores.env_frames:,} env frames",
    ]
    if scores.measure == "auc":
        words[-1] = f"mean height up to {words[-1]}"
    if scores.missing:
        total = len(scores.frame)
        words.append(f"partial: {total - len(scores.missing)} of {total} runs")
    return "\n".join(line for line in (" · ".join(words), warning) if line)


def visible(scores: Scores) -> str:
    """States in short what few seeds cannot show of effects and interactions; else empty."""
    fewest, most = scores.runs_per_cell()
    if scores.means:
        return "means over unknown numbers of runs: no effect can be told from chance"
    if most == 1:
        return "one seed: no effect can be told from chance"
    return "few seeds: only very large effects are visible" if fewest <= FEW_SEEDS else ""


def detectable(effects: Sequence[Estimate], interactions: Sequence[Estimate]) -> str:
    """States the smallest effect and interaction that the seeds can show; else empty.

    Of several the largest is named: what is safely visible.
    """
    words = []
    for name, estimates in (("effects", effects), ("interactions", interactions)):
        limits = [one.mde for one in estimates if math.isfinite(one.mde)]
        if limits:
            words.append(f"{name} below {max(limits):.2f} HNS")
    if not words:
        return ""
    return f"With so few runs {' and '.join(words)} would be missed more often than 1 time in 5."


def interval_words(estimates: Sequence[Estimate], options: Options) -> str:
    """Names the interval that the estimates have, or why they have none."""
    if any(math.isfinite(one.low) for one in estimates):
        return f"{percent(options.ci)} pooled t-interval"
    return next(
        (one.note for one in estimates if math.isfinite(one.value)), "no complete seed yet"
    )
