"""The sentences under tables that say how their numbers were made."""

import math
from collections.abc import Iterable, Sequence

from results.statistics.aggregates import TOO_NARROW, Aggregates
from results.statistics.errors import counted, listed
from results.statistics.intervals import MEANS_ONLY, Estimate
from results.statistics.options import Options
from results.statistics.scores import Matrices, Scores
from results.statistics.study_data import StudyData

CLIPPED = (
    "The clipped mean counts each game's mean between 0 and 1; the human gap is how far the means "
    "of the games, each counted at most 1, fall short of 1 on average."
)


OF_MEANS = "the games' means, and not comparable with those of runs"
"""What the IQM and the optimality gap are over where single runs are not known."""


def compared(data: StudyData, scores: Scores, options: Options) -> str:
    """Protocol, where the arms are compared, what a run's score is, and what is missing."""
    study = data.study
    if options.measure == "auc":
        score = (
            "its evaluation curve, by trapezoids from "
            f"{study.prefill_frames:,} env frames up to there"
        )
    elif options.at is None:
        score = f"its final evaluation ({study.evaluation})"
    else:
        score = "its last evaluation at or before that point"
    sentences = [
        f"Study {study.name}, protocol {study.protocol}, at {scores.env_frames:,} env frames.",
        f"A run's return is the mean of {score}.",
        runs_per_cell(scores),
    ]
    episodes = int(scores.frame["episodes"].sum())
    truncated = int(scores.frame["truncated"].sum())
    if truncated:
        sentences.append(
            f"{truncated:,} of the {episodes:,} evaluation episodes were cut before their end."
        )
    return " ".join(sentences)


def runs_per_cell(scores: Scores) -> str:
    """How many runs a cell (arm x game) has, and how many are missing."""
    fewest, most = scores.runs_per_cell()
    if scores.means:
        count = "A mean over an unknown number of runs per cell"
    else:
        count = f"{counted(most, 'run')} per cell"
    if fewest != most and not scores.means:
        count = f"{fewest} to {count}"
    if scores.missing:
        what = "means" if scores.means else "runs"
        count += f": {len(scores.missing)} of {len(scores.frame)} {what} are missing"
    return f"{count}."


def normalised(scores: Scores) -> str:
    """The scale of the scores, and the games whose scale is their own."""
    own = scores.normalization.declared
    if len(own) == len(scores.games):
        return (
            "Scores are normalised by the returns that the games declare of themselves (0 random, "
            "1 their reference player; declared, nothing clipped)."
        )
    sentence = (
        "Scores are human-normalised (0 random, 1 human; "
        f"table {scores.normalization.table}, nothing clipped)"
    )
    if own:
        sentence += f"; for {listed(tuple(own))} by declared returns (1 is a reference player)"
    return f"{sentence}."


def references(scores: Scores) -> str:
    """Where the random and human returns come from, game by game where that differs."""
    known = [game for game in scores.games if game in scores.normalization]
    own = [game for game in known if game in scores.normalization.declared]
    sentences = []
    if len(known) > len(own) or not known:
        sentences.append(f"Random and human returns: table {scores.normalization.table}.")
    if own:
        sentences.append(f"Declared by the game itself (random, reference): {listed(own)}.")
    raw = [game for game in scores.games if game not in known]
    if raw:
        sentences.append(f"Without either, and so without a score: {listed(raw)}.")
    return " ".join(sentences)


def t_interval(cells: Iterable[Estimate], options: Options) -> str:
    """What ± means in a cell of runs, and why some have none."""
    shown = [one for one in cells if not math.isnan(one.value)]
    return without(
        f"± is the half-width of the {percent(options.ci)} t-interval over seeds.",
        [one.note for one in shown],
        mark="±",
    )


def without(sentence: str, notes: Sequence[str], *, mark: str) -> str:
    """Says what an interval is where there is one, and why there is none elsewhere."""
    reasons = sorted({note for note in notes if note})
    if len(reasons) == 1 and all(notes):
        return f"{reasons[0].capitalize()}."
    return " ".join(
        [sentence, *(f"Without {mark}: {r.removesuffix(': no interval')}." for r in reasons)]
    )


def percent(level: float) -> str:
    """A level as people say it: 95%."""
    return f"{100 * level:.4g}%"


def bootstrap(aggregates: Aggregates) -> str:
    """Where the intervals of aggregates come from, and how far to trust them."""
    if not any(one.runs for one in aggregates.values):
        return "No game has a run of every arm yet, so nothing can be averaged over games."
    sentence = (
        f"Brackets are {percent(aggregates.ci)} percentile intervals of a stratified bootstrap "
        f"over runs ({'as rliable' if aggregates.uneven else 'rliable'}, "
        f"{aggregates.resamples:,} resamples, seed {aggregates.seed})."
    )
    if aggregates.too_narrow:
        sentence += f" {TOO_NARROW}"
    notes = [one.note for one in aggregates.values if one.runs]
    words = without(sentence, notes, mark="brackets")
    if MEANS_ONLY in notes:
        words += f" The IQM and the optimality gap are over {OF_MEANS}."
    return words


def restricted(matrices: Matrices) -> str:
    """What had to be left out of means over games; empty where nothing was."""
    sentences = []
    if matrices.dropped_games:
        sentences.append(
            f"Left out of the mean over games, because an arm has no run of it: "
            f"{listed(matrices.dropped_games)}."
        )
    seeds = [
        f"{arm} seed {seed}" for arm, dropped in matrices.dropped_seeds.items() for seed in dropped
    ]
    if seeds:
        sentences.append(
            f"Left out of the mean over games, because a game is missing: {listed(seeds)}."
        )
    return " ".join(sentences)


def uneven(aggregates: Aggregates) -> str:
    """What aggregates had to leave out, and how unequal numbers of runs were taken."""
    sentences = []
    if aggregates.dropped_games:
        sentences.append(
            "Left out of the aggregates, because an arm has no run of it: "
            f"{listed(aggregates.dropped_games)}."
        )
    if aggregates.uneven:
        sentences.append(
            "Some games have fewer runs than others: every game weighs the same, and of a game "
            "with n runs the bootstrap draws n."
        )
        if any(one.runs == 1 for one in aggregates.values):
            sentences.append("A game with one run adds nothing to the width of an interval.")
    return " ".join(sentences)


def few_games(aggregates: Aggregates) -> str:
    """When the IQM, or the median, is not a number to quote."""
    games = len(aggregates.games)
    if games == 1:
        same = [name for name in ("median", "iqm") if name not in aggregates.shown]
        names = " and ".join({"median": "median", "iqm": "IQM"}[name] for name in same)
        return f"Over one game the {names} {'is' if len(same) == 1 else 'are'} the mean."
    return f"Over {games} games the IQM is unstable; quote the mean." if games < 10 else ""


def paragraph(*sentences: str) -> str:
    """Joins what there is to say, saying nothing twice."""
    return " ".join(dict.fromkeys(sentence for sentence in sentences if sentence))
