"""What the scores of a study's arms look like side by side, run by run and on the way."""

import math
from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from results.figures import bands, captions, improvement, setting_curves, style
from results.figures.bands import Band
from results.figures.drawn import Drawn
from results.figures.learning_curves import frames_unit
from results.statistics.aggregates import FEW_RUNS
from results.statistics.cells import MEAN
from results.statistics.collecting import collect
from results.statistics.efficiency import efficiency_curves, metric_of
from results.statistics.errors import StatisticsError, counted
from results.statistics.improvement import improvements
from results.statistics.intervals import SINGLE, Estimate, contrast, missing_estimate
from results.statistics.options import Options
from results.statistics.profiles import performance_profiles
from results.statistics.scores import Scores
from results.statistics.settings import ladder
from results.statistics.study_data import StudyData

NAMES = {"iqm": "IQM", "mean": "mean"}


def draw_profiles(data: StudyData, options: Options) -> Drawn:
    """Draws the performance profiles of a study.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    scores = collect(data, options)
    games, found = performance_profiles(scores, options)
    interval = _interval(scores, options, [one.runs for one in found])
    lines = [Band(one.arm, one.thresholds, one.shares, one.low, one.high) for one in found]
    with style.house_style():
        figure = bands.draw(
            lines,
            x_label="score t (HNS)",
            y_label="share of runs with score > t",
            marks=((1.0, "human"),),
            note=captions.foot(scores, interval, _warning(one.runs for one in found)),
            width=style.width(options.columns),
        )
    caption = (
        f"Performance profiles over {counted(len(games), 'game')} ({', '.join(games)}): the share "
        "of runs that score more than each threshold; every game weighs the same. Band: pointwise "
        f"{_with_seed(interval, options)}. The thresholds end at the 95th percentile of scores. "
        f"{captions.basis(data, scores)}"
    )
    return Drawn(
        f"{data.study.name}_profiles", "Performance profiles", caption, figure,
        _numbers(lines, "threshold", "share"),
    )  # fmt: skip


def draw_efficiency(data: StudyData, options: Options) -> Drawn:
    """Draws an aggregate of each arm as a function of the env frames seen.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    scores = collect(data, options)
    games, found = efficiency_curves(data, options)
    interval = _interval(scores, options, [one.runs for one in found])
    unit, name = frames_unit(float(found[0].env_frames[-1]))
    metric = NAMES[metric_of(games)]
    lines = [Band(one.arm, one.env_frames, one.values, one.low, one.high) for one in found]
    shown = [Band(one.name, one.x / unit, one.y, one.low, one.high) for one in lines]
    with style.house_style():
        figure = bands.draw(
            shown,
            x_label=f"env frames ({name})",
            y_label=f"{metric} of scores (HNS)",
            human=max(float(one.y.max()) for one in shown) > 0.7,
            note=captions.foot(scores, interval, _warning(one.runs for one in found)),
            width=style.width(options.columns),
        )
    caption = (
        f"Sample efficiency: the {metric} over {counted(len(games), 'game')} "
        f"({', '.join(games)}) at the points where every run was evaluated. Band: pointwise "
        f"{_with_seed(interval, options)}. {captions.basis(data, scores)}"
    )
    return Drawn(
        f"{data.study.name}_efficiency", "Sample efficiency", caption, figure,
        _numbers(lines, "env_frames", metric.lower()),
    )  # fmt: skip


def draw_improvement(data: StudyData, options: Options) -> Drawn:
    """Draws how probable it is that a run of each arm scores more than one of the base.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    scores = collect(data, options)
    base = next((arm.name for arm in data.study.arms if not arm.toggles), None)
    other = base if base in scores.arms else scores.arms[0]
    found = improvements(scores, str(other), options)
    interval = _interval(scores, options, [one.runs for one in found])
    with style.house_style():
        figure = improvement.draw(
            found,
            note=captions.foot(scores, interval, _warning(one.runs for one in found)),
            width=style.width(options.columns),
        )
    caption = (
        f"How probable it is that a run of an arm scores more than a run of {other} on the same "
        f"game, averaged over {counted(found[0].games, 'game')}; ties count one half, and at one "
        f"half neither is better. Bar: {_with_seed(interval, options)}. "
        f"{captions.basis(data, scores)}"
    )
    return Drawn(
        f"{data.study.name}_improvement", "Probability of improvement", caption, figure,
        pd.DataFrame([asdict(one) for one in found]),
    )  # fmt: skip


def draw_setting(data: StudyData, options: Options) -> Drawn:
    """Draws scores against the numeric setting in which the arms differ.

    Raises:
        StatisticsError: if the arms differ in no such setting, or in several, or the runs do not
            allow it.
    """
    scores = collect(data, options)
    found = ladder([arm for arm in data.study.arms if arm.name in scores.arms])
    scopes = (*((MEAN,) if len(scores.games) > 1 else ()), *scores.games)
    panels = {
        scope: {
            line: {value: _mean(scores, arm, scope, options) for value, arm in along.items()}
            for line, along in found.lines.items()
        }
        for scope in scopes
    }
    estimates = [e for lines in panels.values() for line in lines.values() for e in line.values()]
    known = any(math.isfinite(one.low) for one in estimates)
    interval = f"{captions.percent(options.ci)} t-interval over seeds" if known else scores.alone
    setting = found.setting.rsplit(".", 1)[-1].replace("_", " ")
    with style.house_style():
        figure = setting_curves.draw(
            panels,
            setting=setting,
            note=captions.foot(scores, interval),
            width=style.width(options.columns),
        )
    caption = (
        f"Scores against {setting}; arms that agree in everything else are joined. Bars: "
        f"{interval}. {captions.basis(data, scores)}"
    )
    if few := captions.left_out(scores):
        caption += f" {few}"
    numbers = pd.DataFrame(
        [
            {
                "scope": scope,
                "setting": found.setting,
                "setting_value": value,
                "arm": found.lines[line][value],
                "line": line,
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "runs": one.most,
                "note": one.note,
            }
            for scope, lines in panels.items()
            for line, along in lines.items()
            for value, one in along.items()
        ]
    )
    return Drawn(
        f"{data.study.name}_setting", f"Score against {setting}", caption, figure, numbers
    )


def _mean(scores: Scores, arm: str, scope: str, options: Options) -> Estimate:
    runs = scores.matrices().seed_means(arm) if scope == MEAN else scores.hns(arm, scope)
    if not len(runs):
        return missing_estimate("no run yet")
    return contrast([runs], [1], ci=options.ci, alone=scores.alone)


def _warning(runs: Iterable[int]) -> str:
    """That an interval rests on few runs, where one does."""
    return captions.TOO_NARROW if any(1 < count < FEW_RUNS for count in runs) else ""


def _interval(scores: Scores, options: Options, fewest: Iterable[int]) -> str:
    """What the intervals are, or why no arm has one: by the fewest runs of a game of each."""
    if all(runs < 2 for runs in fewest):
        return scores.alone if scores.runs_per_cell()[1] < 2 else SINGLE
    percent = captions.percent(options.ci)
    return f"{percent} stratified bootstrap, {options.resamples:,} resamples"


def _with_seed(interval: str, options: Options) -> str:
    return f"{interval}, seed {options.seed}" if "bootstrap" in interval else interval


def _numbers(lines: list[Band], x: str, y: str) -> pd.DataFrame:
    if not lines:
        raise StatisticsError("No arm has a run of every game yet: there is nothing to draw.")
    return pd.concat(
        [
            pd.DataFrame({"arm": one.name, x: one.x, y: one.y, "low": one.low, "high": one.high})
            for one in lines
        ],
        ignore_index=True,
    )
