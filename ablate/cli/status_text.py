"""How the standing of studies is put into words."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ablate.cli.output import table
from ablate.progress import counted, duration
from ablate.standing import Standing, last_line, run_label
from results.database.activation import Silent
from results.database.records import RunState, StudyRecord
from results.database.usage import Usage

MOST_LISTED = 50
"""Runs that are listed one by one; of more, `--json` tells."""

MOST_REASONS = 3
"""Reasons that are listed of workers that are gone."""

MOST_COLUMNS = 5
"""Games that have a column each; more do not fit into a terminal."""

STATES = tuple(state.value for state in RunState)


def studies_json(studies: pd.DataFrame) -> list[dict[str, object]]:
    """All studies as plain values."""
    return [
        {
            "study": row["name"],
            "question": row["question"],
            "created_at": row["created_at"].isoformat(),
            "runs": row["runs"],
            "counts": {state: row[state] for state in STATES},
        }
        for row in studies.to_dict("records")
    ]


def studies_lines(studies: pd.DataFrame, worked_on: Mapping[str, Standing]) -> list[str]:
    """All studies for readers: a line of numbers each, and the question below it.

    Args:
        studies: As `reading.studies` gives them.
        worked_on: The standing of those that have runs in hand.
    """
    lines = []
    for row in studies.to_dict("records"):
        name = str(row["name"])
        counts = ", ".join(f"{row[state]:,} {state}" for state in STATES if row[state])
        lines += [f"{name}: {counted(row['runs'], 'run')} ({counts or 'none'})"]
        if name in worked_on:
            standing = worked_on[name]
            seconds = standing.seconds_left(standing.under_way, len(standing.under_way))
            lines[-1] += "" if seconds is None else f"; about {duration(seconds)} left"
            lines += [f"    {line}" for line in workers_gone(standing)]
        lines += [f"    {row['question']}"]
    return lines or ["There is no study in this database yet."]


def study_json(
    study: StudyRecord, standing: Standing, costs: Mapping[str, Usage], checks: Sequence[str]
) -> dict[str, object]:
    """One study as plain values: `runs` is how many there are, `run_list` what they are."""
    runs = standing.runs
    return {
        "study": study.name,
        "question": study.question,
        "runs": len(runs),
        "counts": standing.counts,
        "paused": int(runs["paused"].sum()),
        "seconds_left": standing.seconds_left(standing.under_way, len(standing.under_way)),
        "gpu_hours": {arm: cost.gpu_hours for arm, cost in costs.items()},
        "cpu_hours": {arm: cost.cpu_hours for arm, cost in costs.items()},
        "checks": list(checks),
        "run_list": [
            {
                "run_id": row["run_id"],
                "arm": row["arm"],
                "game": row["game"],
                "seed": row["seed"],
                "state": row["state"],
                "paused": bool(row["paused"]),
                "priority": row["priority"],
                "device": row["device"],
                "worker_gone": standing.workers_gone.get(row["run_id"]),
                "attempts": row["attempts"],
                "parent_attempt": _whole_or_none(row["parent_attempt"]),
                "resumed_env_frames": _whole_or_none(row["resumed_env_frames"]),
                "env_frames": row["env_frames"],
                "updates": row["updates"],
                "seconds": None if pd.isna(row["seconds"]) else row["seconds"],
                "error": row["error"] if row["state"] == RunState.FAILED else None,
            }
            for row in runs.to_dict("records")
        ],
    }


def study_tables(
    study: StudyRecord,
    standing: Standing,
    costs: Mapping[str, Usage],
    checks: Sequence[str],
    *,
    retry: str,
) -> list[Any]:
    """One study for readers.

    Args:
        study: The study.
        standing: Of its runs.
        costs: What each arm has cost so far.
        checks: What is worth a look.
        retry: What to do about failed runs.
    """
    runs = standing.runs
    things: list[Any] = [f"{study.name}: {study.question}", counts_in_words(runs)]
    things += time_left(standing)
    things.append(_finished(study, runs))
    things += running_tables(standing)
    if standing.failures:
        rows_failed = [
            (failure.run_id, failure.run, last_line(failure.error))
            for failure in standing.failures
        ]
        things.append(table("Failed", ["#id", "run", "why"], rows_failed[:MOST_LISTED]))
        things.append(f"The whole traceback: ablate logs {standing.failures[0].run_id}")
        things.append(retry)
    things += _spent(costs)
    things += [f"Check: {line}" for line in checks]
    things.append(_listing(study, runs))
    return things


def silent_tables(silent: Sequence[Silent]) -> list[Any]:
    """Modifications that did nothing in finished runs, if there are any."""
    if not silent:
        return []
    rows = [
        (one.run_id, run_label(one.arm, one.game, one.seed), one.modification, one.metric)
        for one in silent
    ]
    columns = ["#id", "run", "modification", "the curve that would show it"]
    return [
        table("Did nothing", columns, rows),
        "These runs are finished, and by what they recorded the modification never acted in them: "
        "what they say about its toggle is worth nothing.",
    ]


def counts_in_words(runs: pd.DataFrame) -> str:
    """How many runs are in each state, and which of the queued ones wait for something else."""
    words = [f"{number:,} {state}" for state, number in Standing(runs).counts.items() if number]
    text = f"{counted(len(runs), 'run')}: {', '.join(words)}"
    queued = runs[runs["state"] == RunState.QUEUED.value]
    waiting = int((queued["not_before"] > datetime.now(UTC)).sum())
    paused = int(queued["paused"].sum())
    notes = [f"{paused:,} paused"] if paused else []
    notes += [f"{waiting:,} waiting to be tried again"] if waiting else []
    return f"{text} (of the queued: {', '.join(notes)})" if notes else text


def time_left(standing: Standing) -> list[str]:
    """How long the rest should take with the workers that are there now."""
    workers = len(standing.under_way)
    if not standing.counts["queued"] and not workers:
        return []
    if not workers:
        return ["Nobody works on it now."]
    seconds = standing.seconds_left(standing.under_way, workers)
    if seconds is None:
        return [f"{counted(workers, 'worker')}; no run is finished, so nobody knows how long."]
    return [f"{counted(workers, 'worker')}; about {duration(seconds)} left, as runs took so far."]


def _finished(study: StudyRecord, runs: pd.DataFrame) -> Any:
    """How many runs are finished, of how many: per game too where there are few."""
    done = _cells(runs[runs["state"] == RunState.FINISHED.value])
    there = _cells(runs)
    if len(study.games) <= MOST_COLUMNS:
        rows = [
            (
                arm.name,
                *(f"{done[arm.name, game]}/{there[arm.name, game]}" for game in study.games),
            )
            for arm in study.arms
        ]
        return table("Finished runs", ["arm", *(f"#{game}" for game in study.games)], rows)
    rows = [
        (arm.name, f"{_of_arm(done, arm.name, study):,}/{_of_arm(there, arm.name, study):,}")
        for arm in study.arms
    ]
    return table("Finished runs", ["arm", f"#all {len(study.games)} games"], rows)


def _of_arm(cells: Counter[tuple[str, str]], arm: str, study: StudyRecord) -> int:
    return sum(cells[arm, game] for game in study.games)


def workers_gone(standing: Standing) -> list[str]:
    """Which runs have lost their worker, and what to do, if there are any."""
    gone = standing.workers_gone
    if not gone:
        return []
    reasons = list(dict.fromkeys(gone.values()))
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    why = ", ".join([*reasons[:MOST_REASONS], *more])
    them = "it" if len(gone) == 1 else "them"
    return [f"{counted(len(gone), 'run')} without a worker: {why}. `ablate work` takes {them} up."]


def running_tables(standing: Standing, *, most: int | None = None) -> list[Any]:
    """The runs under way: how far, how fast, and where; nothing where there are none.

    Args:
        standing: Of the runs.
        most: Lists so many at most; the rest is counted.
    """
    runs, gone = standing.runs, standing.workers_gone
    running = runs[runs["state"] == RunState.RUNNING.value].to_dict("records")
    if not running:
        return []
    shown = running[:most]
    rows = [
        (
            row["run_id"],
            run_label(row["arm"], row["game"], row["seed"]),
            f"{row['env_frames'] / row['planned_env_frames']:.0%}",
            "-" if (fast := speed(row)) is None else f"{fast:,.0f}",
            f"{row['device']} {row['host']}:{row['pid']}",
            f"{_seconds_since(row['heartbeat_at'])} ago{', gone' * (row['run_id'] in gone)}",
        )
        for row in shown
    ]
    columns = ["#id", "run", "#done", "#frames/s", "where", "last heard"]
    resumed = [
        f"Run {row['run_id']} is at attempt {_attempt(row)}."
        for row in shown
        if row["attempt"] > 1
    ]
    left = len(running) - len(shown)
    more = [f"and {left:,} more"] if left else []
    return [table("Running", columns, rows), *more, *resumed, *workers_gone(standing)]


def speed(row: Mapping[Hashable, Any]) -> float | None:
    """Frames per second of a run that is under way, since it was begun; None if it just was."""
    seconds = row["seconds"]
    return None if pd.isna(seconds) or seconds < 1 else row["env_frames"] / seconds


def _spent(costs: Mapping[str, Usage]) -> list[Any]:
    """What the study has cost, if it has cost anything."""
    total = sum(costs.values(), Usage())
    if not (total.gpu_hours or total.cpu_hours):
        return []
    on_gpu, on_cpu = total.gpu_hours > 0, total.cpu_hours > 0
    columns = ["arm", *(["#GPU-hours"] if on_gpu else []), *(["#CPU-hours"] if on_cpu else [])]
    rows = [
        (
            name,
            *([f"{cost.gpu_hours:,.2f}"] if on_gpu else []),
            *([f"{cost.cpu_hours:,.2f}"] if on_cpu else []),
        )
        for name, cost in [*costs.items(), ("all arms", total)]
    ]
    return [table("Spent, lost attempts included", columns, rows)]


def _listing(study: StudyRecord, runs: pd.DataFrame) -> Any:
    """Every run with its id, which `ablate plot dreams` and `ablate diff` take."""
    if len(runs) > MOST_LISTED:
        return f"The ids of all runs: `ablate status {study.name} --json`."
    rows = [
        (row["run_id"], run_label(row["arm"], row["game"], row["seed"]), row["state"])
        for row in runs.to_dict("records")
    ]
    return table("Runs", ["#id", "run", "state"], rows)


def _attempt(row: Mapping[Hashable, Any]) -> str:
    """Which attempt at a run is under way, and where it went on."""
    if pd.isna(row["resumed_env_frames"]):
        return str(row["attempt"])
    place = f"{row['resumed_env_frames']:,} env frames"
    return f"{row['attempt']}, resumed at {place} from attempt {row['parent_attempt']}"


def _whole_or_none(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _cells(runs: pd.DataFrame) -> Counter[tuple[str, str]]:
    """How many runs each arm has on each game."""
    return Counter(zip(runs["arm"], runs["game"], strict=True))


def _seconds_since(moment: datetime) -> str:
    return duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))
