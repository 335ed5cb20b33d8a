"""The sentences under the tables of effects and interactions."""

import math
from collections.abc import Sequence

from results.statistics.bootstrap import FEWEST
from results.statistics.cells import FLOOR, MEAN
from results.statistics.compared import SCREEN
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT
from results.statistics.equal_updates import EqualUpdates
from results.statistics.errors import counted
from results.statistics.findings import Findings
from results.statistics.moebius import Term
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.scores import Scores
from results.statistics.shapley import SHAPLEY
from results.statistics.study_data import StudyData
from results.tables import captions
from results.tables.table import number

MOST_TERMS = 12  # higher Moebius terms in the layout; all of them are in the numbers


def about_all(data: StudyData, scores: Scores, options: Options) -> str:
    """What every number of effects and interactions rests on."""
    most = scores.runs_per_cell()[1]
    sure = (
        f"± is the half-width of the {captions.percent(options.ci)} t-interval with the variance "
        "pooled over the cells involved; detectable is the true effect that this many seeds "
        "find with 80% power."
        if most > 1
        else f"{scores.alone.capitalize()}."
    )
    return captions.paragraph(
        captions.compared(data, scores, options),
        captions.normalised(scores),
        _about_the_mean(scores),
        sure,
        captions.restricted(scores.matrices()),
        f"Floor: games on which a cell's mean is at most {FLOOR} on that scale; a "
        "floor can hide an effect and feign an interaction, and so can a ceiling (within 5% of "
        "the highest return there is).",
    )


def _about_the_mean(scores: Scores) -> str:
    """What the mean of games is over; empty where there is one game, which is its own mean."""
    games = scores.matrices().games
    if len(scores.games) == 1:
        return ""
    per_seed = "" if scores.means else "one value per seed, "
    return f"The mean of games is {per_seed}over {', '.join(games)}."


def about_kinds(kinds: Sequence[str], found: Findings) -> str:
    """What the columns of effects are."""
    sentences = []
    if ADD_ONE_IN in kinds:
        sentences.append("Add-one-in: the toggle added to the base.")
    if LEAVE_ONE_OUT in kinds:
        sentences.append("Leave-one-out: the full agent minus the agent without it.")
    sentences.append("Positive: it helps.")
    if AVERAGED in kinds:
        sentences.append(about_averages(found))
    if SHAPLEY in kinds:
        sentences.append(
            "Shapley: the toggle's share of full − base, over all orders of adding the toggles; "
            "the shares add up to it."
        )
    return " ".join(sentences)


def about_averages(found: Findings) -> str:
    """What averaged effects are averaged over; empty where there are none."""
    averages = found.averages
    if averages is None:
        return ""
    crossing = averages.crossing
    absent = averages.absent[MEAN]
    sentence = (
        "Averaged: over everything else that is crossed, by least squares with seeds as blocks "
        f"over {counted(len(crossing.cells) - absent, 'cell')} of the design {crossing.design}"
    )
    if absent:
        sentence += f" ({absent} more are missing or not defined, which makes it less sure)"
    p = averages.lack_of_fit[MEAN]
    bounded = [
        f"{count} at the {bound} of {game}"
        for game in found.cells.compared_games
        for bound, count in averages.bounded[game].items()
        if count
    ]
    if bounded:
        sentence += f", {', '.join(bounded)}"
    if crossing.design == SCREEN:
        return f"{sentence}: a screen, in which each is mixed with interactions of pairs."
    if math.isnan(p):
        return f"{sentence}."
    told = "are there" if p <= 0.05 else "do not show"
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}"
    return f"{sentence}; interactions of three and more toggles {told} (F test, p {shown})."


def about_families(found: Findings) -> str:
    """What is tested together on the mean of games."""
    sizes = {
        one.background == AVERAGED: one.family
        for one in found.interactions
        if one.scope == MEAN and one.family > 1
    }
    if not sizes:
        return ""
    several = len(found.scores.games) > 1
    families = [
        f"the {size} {'averaged interactions' if averaged else 'interactions'}"
        + " of the mean over games" * several
        for averaged, size in sorted(sizes.items())
    ]
    return (
        "Simultaneous intervals (max-|t|, simulated) and p-values (Holm) are over "
        f"{' and, apart, '.join(families)}"
        f"{'; games are secondary, each its own family' * several}."
    )


def about_terms(terms: Sequence[Term]) -> str:
    """What rows of three toggles and more are; empty where there are none."""
    mean = [one for one in terms if one.scope == MEAN]
    if not mean:
        return ""
    rest = f" (the {MOST_TERMS} clearest of {len(mean)})" if len(mean) > MOST_TERMS else ""
    return (
        f"Sets of three and more{rest}: their Moebius term, what they do beyond all that their "
        "parts do; to explore, in no family."
    )


def about_calibration(found: Findings, options: Options) -> str:
    """How often this study finds an interaction where there is none."""
    one = found.calibration
    sentence = ""
    if one.deals and one.family > 1:
        sentence = (
            f"A/A: with the runs dealt anew to the cells {one.deals:,} times, so that all are one "
            f"agent, Holm finds any of these interactions in {captions.percent(one.holm)} and the "
            f"simultaneous intervals in {captions.percent(one.max_t)} of the deals; at most "
            f"{captions.percent(1 - options.ci)} is promised."
        )
    if one.splits:
        sentence += (
            f" Two halves of one arm's seeds differ in {captions.percent(one.halves)} of "
            f"{counted(one.splits, 'split')}."
        )
    return sentence.strip()


def about_equal_updates(equal: EqualUpdates | None) -> str:
    """Where the arms had made equally many updates; empty where that is no other place."""
    if equal is None:
        return ""
    points = sorted(set(equal.env_frames.values()))
    where = f"{points[0]:,} to {points[-1]:,} env frames"
    sentence = (
        f"At equal updates: each arm where it had made {equal.updates:,} updates, as many as the "
        f"arm with the fewest makes in all ({where}; intermediate evaluations may have fewer "
        "episodes); the other rows are at equal env frames."
    )
    missing = len(equal.scores.missing)
    if missing:
        sentence += (
            f" There {missing} of {len(equal.scores.frame)} runs have no evaluation near enough, "
            f"and the mean is over {', '.join(equal.scores.matrices().games)}."
        )
    return sentence


def about_pairing(found: Findings, cells: int, options: Options) -> str:
    """How much the runs of one seed resemble each other, and what follows."""
    one = found.pairing
    if math.isnan(one.rho):
        return ""
    limits = f"[{number(one.low, 2)}, {number(one.high, 2)}]"
    sentence = (
        f"Runs of one seed in different arms correlate with rho = {number(one.rho, 2)} {limits} "
        f"({counted(one.seeds, 'seed')}, {counted(one.cells, 'arm')})"
    )
    if one.helps(cells, ci=options.ci):
        return f"{sentence}: pairing them helps, and paired is the contrast within seeds."
    return f"{sentence}: not enough for pairing them to help, so they count as independent."


def about_bootstrap(scores: Scores, options: Options) -> str:
    """That the intervals were checked; empty where there are too few runs to."""
    if scores.runs_per_cell()[1] < FEWEST:
        return ""
    return (
        f"A bootstrap over seeds ({options.resamples:,} resamples, seed {options.seed}, widened "
        "for few seeds) checks every interval; notes say where it disagrees about 0."
    )
