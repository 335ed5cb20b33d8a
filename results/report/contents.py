"""What stands in the report of a study, as plain values that the template lays out."""

import base64
import json
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import pandas as pd

from results import figures, tables
from results.database.looks import in_words
from results.database.records import ArmRecord, RunState
from results.report import svg
from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.errors import StatisticsError, listed
from results.statistics.normalize import study_normalization
from results.statistics.options import Options
from results.statistics.settings import ladder
from results.statistics.study_data import StudyData

COMPUTE: Final = "compute"
TABLE_TITLES: Final[Mapping[str, str]] = {
    "scores": "Returns",
    "hns": "Normalised scores",
    "aggregates": "Aggregate scores",
    "effects": "Effects of the toggles",
    "interactions": "Interactions of pairs",
    "compute": "Compute used",
}
FIGURE_TITLES: Final[Mapping[str, str]] = {
    "interference": "Interference map",
    "interactions": "Interactions of pairs",
    "pairs": "The clearest pairs",
    "combinations": "Combinations of toggles",
    "effects": "Effects of the toggles",
    "waterfall": "Who brings the gain",
    "one_at_a_time": "One toggle at a time",
    "aggregates": "Aggregate scores",
    "profiles": "Performance profiles",
    "improvement": "Probability of improvement",
    "efficiency": "Sample efficiency",
    "setting": "Score against a setting",
    "curves": "Learning curves",
}

LIBRARIES: Final = ("ablate", "numpy", "scipy", "statsmodels", "rliable", "matplotlib")


@dataclass(frozen=True)
class Shown:
    """A figure or table, or the paragraph that says why there is none.

    Attributes:
        kind: Which one.
        title: Its heading.
        html: The picture or the table, as HTML; empty where there is none.
        caption: The words under it.
        numbers: The numbers as CSV, in a link that needs no file.
        why_not: Why it could not be made; else empty.
        rows: Of a table.
    """

    kind: str
    title: str
    html: str = ""
    caption: str = ""
    numbers: str = ""
    why_not: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Arm:
    """An arm in the design table.

    Attributes:
        name: Its name.
        toggles: The toggles that are on, in words.
        differences: Where its assembled agent differs from the base's: setting, base, here.
        finished: Finished runs.
        runs: All its runs.
        attempts: Attempts at them, failed and lost ones included.
        duration: Time that its finished attempts took together.
        per_run: Time per finished run.
    """

    name: str
    toggles: str
    differences: tuple[tuple[str, str, str], ...]
    finished: int
    runs: int
    attempts: int
    duration: str
    per_run: str


@dataclass(frozen=True)
class Failure:
    """A failed run and why: the last line of its traceback.

    The rest holds paths of the machine, which a page that is handed on does not tell.
    """

    run: str
    last_line: str


def shown_figures(data: StudyData, options: Options) -> list[Shown]:
    """Draws every figure, or says why not; one against a setting only where arms differ in it."""
    return [_attempt(kind, title, lambda k: _figure(k, data, options))
            for kind, title in FIGURE_TITLES.items()
            if kind != "setting" or _has_a_setting(data, options)]  # fmt: skip


def shown_tables(data: StudyData, options: Options) -> list[Shown]:
    """Builds every table of scores, or says why not."""
    return [_attempt(kind, title, lambda k: _table(k, data, options))
            for kind, title in TABLE_TITLES.items() if kind != COMPUTE]  # fmt: skip


def compute(data: StudyData, options: Options) -> Shown:
    """Builds the table of what the runs cost, or says why not."""
    return _attempt(COMPUTE, TABLE_TITLES[COMPUTE], lambda k: _table(k, data, options))


def _has_a_setting(data: StudyData, options: Options) -> bool:
    """Whether the arms differ in one numeric setting."""
    names = chosen_arms(options.arms, tuple(arm.name for arm in data.study.arms))
    try:
        ladder([arm for arm in data.study.arms if arm.name in names])
    except StatisticsError:
        return False
    return True


def shared_reason(shown: Sequence[Shown]) -> str:
    """Returns the paragraph that explains all of them, where none could be made for one reason."""
    reasons = {one.why_not for one in shown}
    return reasons.pop() if len(reasons) == 1 else ""


def scale(data: StudyData, options: Options) -> str:
    """Says what scores are made of, and which games have none."""
    if data.imported is not None:
        return (
            f"Its runs were imported as human-normalised scores of the table "
            f"{data.imported.table}; raw returns are not known."
        )
    games = chosen_games(options.games, data.study.games, partial=options.partial)
    table = study_normalization(options.norm, games, data.declared)
    raw = [game for game in games if game not in table]
    words = []
    if len(table.declared) + len(raw) < len(games):
        words.append(
            f"Its score is human-normalised with the table {table.table}: (return − random) / "
            "(human − random), nothing clipped."
        )
    if table.declared:
        words.append(
            f"The score on {listed(tuple(table.declared))} is made of returns that the game "
            "declares of itself: (return − random) / (reference − random), nothing clipped."
        )
    if raw:
        words.append(f"No score can be made on {listed(raw)}: the returns are raw.")
    return " ".join(words)


def _attempt(kind: str, title: str, make: Callable[[str], Shown]) -> Shown:
    try:
        return make(kind)
    except StatisticsError as error:
        return Shown(kind, title, why_not=str(error))


def _figure(kind: str, data: StudyData, options: Options) -> Shown:
    drawn = figures.draw(kind, data, options)
    title = FIGURE_TITLES[kind]
    return Shown(kind, title, svg.inline(drawn), drawn.caption, _link(drawn.numbers))


def _table(kind: str, data: StudyData, options: Options) -> Shown:
    table = tables.build(kind, data, options)
    html = tables.render(table, "html")
    legend = table.layout.legend
    caption = f"{table.caption} Bold marks {legend}" if legend else table.caption
    link, rows = _link(table.frame), len(table.layout.rows)
    return Shown(kind, TABLE_TITLES[kind], html, caption, link, rows=rows)


def _link(frame: pd.DataFrame) -> str:
    """Writes a frame as a link that carries its own CSV."""
    content = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return f"data:text/csv;charset=utf-8;base64,{content}"


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Counts the runs in each of the five states."""
    found = runs["state"].value_counts()
    return {state.value: int(found.get(state.value, 0)) for state in RunState}


def arms(data: StudyData) -> list[Arm]:
    """Describes every arm: what it has, how far it is, what it cost."""
    base = next((arm for arm in data.study.arms if not arm.toggles), None)
    return [_arm(arm, base, data.runs[data.runs["arm"] == arm.name]) for arm in data.study.arms]


def _arm(arm: ArmRecord, base: ArmRecord | None, runs: pd.DataFrame) -> Arm:
    finished = runs[runs["state"] == RunState.FINISHED.value]
    seconds = finished["seconds"].dropna()
    return Arm(
        name=arm.name,
        toggles=", ".join(
            name if level == "on" else f"{name}: {level}" for name, level in arm.toggles.items()
        )
        or "none",
        differences=differences(base.agent, arm.agent) if base is not None else (),
        finished=len(finished),
        runs=len(runs),
        attempts=int(runs["attempts"].sum()),
        duration=duration(float(seconds.sum())) if len(seconds) else "",
        per_run=duration(float(seconds.mean())) if len(seconds) else "",
    )


def differences(base: str, other: str) -> tuple[tuple[str, str, str], ...]:
    """Lists the settings in which two assembled agents differ.

    Args:
        base: Canonical JSON of the one agent.
        other: Canonical JSON of the other.

    Returns:
        Setting, its value in the one, its value in the other; "absent" where it is not there.
    """
    one, two = _leaves(json.loads(base)), _leaves(json.loads(other))
    names = [*one, *(name for name in two if name not in one)]
    return tuple(
        (name, one.get(name, "absent"), two.get(name, "absent"))
        for name in names
        if one.get(name) != two.get(name)
    )


def _leaves(value: Any, name: str = "", *, named: bool = False) -> dict[str, str]:
    """Flattens nested JSON to dotted names and values as JSON.

    An item of a list that has a name stands under it; it is then not told again.
    """
    parts: Iterable[tuple[str, Any]]
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list) and all(isinstance(one, dict | list) for one in value):
        parts = ((_item_name(one, index), one) for index, one in enumerate(value))
    else:
        return {name: json.dumps(value, ensure_ascii=False)}
    return {
        leaf: text
        for key, one in parts
        if not (named and key == "name")
        for leaf, text in _leaves(
            one, f"{name}.{key}" if name else str(key), named=isinstance(value, list)
        ).items()
    }


def _item_name(value: Any, index: int) -> str:
    """Names an item of a list by its own name where it has one."""
    own = value.get("name") if isinstance(value, dict) else None
    return own if isinstance(own, str) else str(index)


def failures(runs: pd.DataFrame) -> list[Failure]:
    """Lists the failed runs with the last lines of their tracebacks."""
    failed = runs[runs["state"] == RunState.FAILED.value]
    return [
        Failure(
            run=f"{row['arm']} on {row['game']}, seed {row['seed']}",
            last_line=last_line(row["error"]),
        )
        for _, row in failed.iterrows()
    ]


def last_line(traceback: object) -> str:
    """Returns the last line of a traceback that says anything."""
    lines = traceback.strip().splitlines() if isinstance(traceback, str) else []
    return lines[-1].strip() if lines else "no message was recorded"


def run_rows(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Lists every run as short texts."""
    return [
        {
            "arm": str(row["arm"]),
            "game": str(row["game"]),
            "seed": str(row["seed"]),
            "state": str(row["state"]),
            "attempts": str(row["attempts"]),
            "env_frames": _count(row["env_frames"]),
            "updates": _count(row["updates"]),
            "time": "" if pd.isna(row["seconds"]) else duration(float(row["seconds"])),
            "host": "" if pd.isna(row["host"]) else str(row["host"]),
        }
        for _, row in runs.iterrows()
    ]


def _count(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def duration(seconds: float) -> str:
    """Writes a time as people say it: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def toggles(data: StudyData) -> list[tuple[str, str]]:
    """Lists the toggles with their levels."""
    return [
        (
            toggle.name,
            "on or off"
            if toggle.levels == ("on",)
            else f"off, {', '.join(toggle.levels)} ({toggle.in_full} in the full agent)",
        )
        for toggle in data.study.toggles
    ]


def provenance(data: StudyData) -> list[tuple[str, str]]:
    """Says where the runs were made, when, and with what the page was."""
    runs = data.runs
    words = []
    hosts = sorted({str(host) for host in runs["host"].dropna()})
    if hosts:
        words.append(("Machines", ", ".join(hosts)))
    started = runs["started_at"].dropna()
    if len(started):
        ended = runs["heartbeat_at"].dropna()
        last = f" to {_moment(ended.max())}" if len(ended) else ""
        words.append(("Attempts", f"{_moment(started.min())}{last} UTC"))
    if data.looks:
        words.append(("Number of seeds", " ".join(in_words(data.looks))))
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    words.append(("Analysis", f"{versions}; Python {platform.python_version()}"))
    return words


def _moment(value: Any) -> str:
    return pd.Timestamp(value).strftime("%Y-%m-%d %H:%M")


def breakable(text: str) -> str:
    """Puts invisible breaking points after the joints of long names, never within a number."""
    return re.sub(r"([+:=_]|(?<=\w)\(|(?<!\d)[.,]|[.,](?!\d))(?=\w)", "\\1\u200b", text)
