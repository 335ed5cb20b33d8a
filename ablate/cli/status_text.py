"""How the standing of studies is put into words."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ablate.activation import Silent
from ablate.cli.output import table
from ablate.progress import counted, duration
from ablate.standing import Standing, last_line, run_label
from results.database.records import RunState, StudyRecord

MOST_LISTED = 50
"""Runs that are listed one by one; of more, `--json` tells."""

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


def studies_table(studies: pd.DataFrame) -> Any:
    """All studies for readers."""
    rows = [
        (row["name"], row["runs"], *(row[state] for state in STATES), row["question"])
        for row in studies.to_dict("records")
    ]
    numbers = [f"#{state}" for state in STATES]
    return table(None, ["study", "#runs", *numbers, "question"], rows)


def study_json(study: StudyRecord, runs: pd.DataFrame) -> dict[str, object]:
    """One study as plain values: `runs` is how many there are, `run_list` what they are."""
    return {
        "study": study.name,
        "question": study.question,
        "runs": len(runs),
        "counts": Standing(runs).counts,
        "run_list": [
            {
                "run_id": row["run_id"],
                "arm": row["arm"],
                "game": row["game"],
                "seed": row["seed"],
                "state": row["state"],
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


def study_tables(study: StudyRecord, runs: pd.DataFrame, *, retry: str) -> list[Any]:
    """One study for readers; `retry` is what to do about failed runs."""
    standing = Standing(runs)
    counts = ", ".join(f"{number} {state}" for state, number in standing.counts.items() if number)
    total = counted(len(runs), "run")
    things: list[Any] = [f"{study.name}: {study.question}", f"{total}: {counts}"]
    finished = runs[runs["state"] == RunState.FINISHED.value]
    cells = [
        (
            arm.name,
            *(
                f"{_count(finished, arm.name, game)}/{_count(runs, arm.name, game)}"
                for game in study.games
            ),
        )
        for arm in study.arms
    ]
    things.append(table("Finished runs", ["arm", *(f"#{game}" for game in study.games)], cells))
    running = runs[runs["state"] == RunState.RUNNING.value]
    if len(running):
        rows = [
            (
                row["run_id"],
                run_label(row["arm"], row["game"], row["seed"]),
                f"{row['env_frames'] / study.env_frames:.0%}",
                _attempt(row),
                f"{row['host']}:{row['pid']}",
                f"{_seconds_since(row['heartbeat_at'])} ago",
            )
            for row in running.to_dict("records")
        ]
        columns = ["#id", "run", "#done", "attempt", "worker", "last heard"]
        things.append(table("Running", columns, rows))
    if standing.failures:
        rows_failed = [(failure.run, last_line(failure.error)) for failure in standing.failures]
        things.append(table("Failed", ["run", "why"], rows_failed))
        things.append(retry)
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


def _count(runs: pd.DataFrame, arm: str, game: str) -> int:
    return int(((runs["arm"] == arm) & (runs["game"] == game)).sum())


def _seconds_since(moment: datetime) -> str:
    return duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))
