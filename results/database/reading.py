"""What is known about a study, for people and for statistics.

The data of a run are those of its finished attempt, or else of the one under way: what a lost,
released or failed attempt has written is never shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from results.database.curves import decode, join
from results.database.engine import read
from results.database.frames import (
    FLAG,
    MOMENT,
    REAL,
    TEXT,
    WHOLE,
    WHOLE_OR_MISSING,
    frame,
)
from results.database.lookup import study_named
from results.database.records import RunState, StudyRecord
from results.database.studies import study_record

if TYPE_CHECKING:
    import pandas as pd

_RUN = {"run_id": WHOLE, "arm": TEXT, "game": TEXT, "seed": WHOLE}
_STUDIES = {"name": TEXT, "question": TEXT, "created_at": MOMENT, "runs": WHOLE} | {
    state.value: WHOLE for state in RunState
}
_RUNS = _RUN | {
    "state": TEXT,
    "attempts": WHOLE,
    "env_frames": WHOLE,
    "updates": WHOLE,
    "seconds": REAL,
    "error": TEXT,
    "host": TEXT,
    "pid": WHOLE_OR_MISSING,
    "started_at": MOMENT,
    "heartbeat_at": MOMENT,
}
_EVALUATIONS = _RUN | {
    "env_frames": WHOLE,
    "final": FLAG,
    "episode": WHOLE,
    "episode_return": REAL,
    "length": WHOLE,
    "policy": TEXT,
    "truncated": FLAG,
}


def load_study(engine: Engine, name: str) -> StudyRecord:
    """The contents of a study, as they were submitted.

    Raises:
        DatabaseError: If there is no such study; the nearest names are given.
    """
    with read(engine) as session:
        return study_record(session, study_named(session, name))


def studies(engine: Engine) -> pd.DataFrame:
    """Every study in the order of submission: name, question, created_at, runs, and by state."""
    by_state = ", ".join(f"coalesce(sum(run.state = '{state}'), 0)" for state in RunState)
    query = (
        f"SELECT study.name, study.question, study.created_at, count(run.id), {by_state} "
        "FROM study LEFT JOIN study_run ON study_run.study_id = study.id "
        "LEFT JOIN run ON run.id = study_run.run_id GROUP BY study.id ORDER BY study.id"
    )
    with read(engine) as session:
        return frame(_STUDIES, session.execute(text(query)))


def counts(engine: Engine, study: str) -> dict[str, int]:
    """How many runs of a study are in each state; all five states are there.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = text("SELECT state, count(*) FROM v_runs WHERE study = :study GROUP BY state")
    with read(engine) as session:
        study_named(session, study)
        found: dict[str, int] = dict(session.execute(query, {"study": study}).all())
    return {state.value: found.get(state.value, 0) for state in RunState}


def runs(engine: Engine, study: str) -> pd.DataFrame:
    """The runs of a study in its own order, with the attempt that their data come from.

    Columns: run_id, arm (its name in this study), game, seed, state, attempts, env_frames,
    updates, seconds (so far, while it runs), error (of the latest attempt), host, pid,
    started_at, heartbeat_at.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = f"SELECT {', '.join(_RUNS)} FROM v_runs WHERE study = :study ORDER BY position"
    return _of_study(engine, study, _RUNS, query)


def evaluations(engine: Engine, study: str) -> pd.DataFrame:
    """The test episodes of a study's runs.

    Columns: run_id, arm, game, seed, env_frames, final, episode, episode_return, length, policy,
    truncated.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = (
        "SELECT run_id, arm, game, seed, evaluation.env_frames, final, episode, episode_return, "
        "length, policy, truncated "
        "FROM v_runs JOIN evaluation USING (attempt_id) "
        "WHERE study = :study AND state IN ('finished', 'running') "
        "ORDER BY position, evaluation.env_frames, final, policy, episode"
    )
    return _of_study(engine, study, _EVALUATIONS, query)


def curve(engine: Engine, study: str, metric: str) -> pd.DataFrame:
    """One metric of all runs of a study: run_id, arm, game, seed, env_frames, value.

    Raises:
        DatabaseError: If there is no such study, or its data are damaged.
    """
    query = (
        "SELECT run_id, arm, game, seed, codec, points, env_frames_data, values_data "
        "FROM v_runs JOIN curve_chunk USING (attempt_id) "
        "JOIN metric ON metric.id = curve_chunk.metric_id "
        "WHERE study = :study AND metric.name = :metric AND state IN ('finished', 'running') "
        "ORDER BY position, seq"
    )
    with read(engine) as session:
        study_named(session, study)
        chunks = session.execute(text(query), {"study": study, "metric": metric}).all()
    points = join(decode(*chunk[len(_RUN) :]) for chunk in chunks)
    heads = frame(_RUN, (chunk[: len(_RUN)] for chunk in chunks))
    table = heads.loc[heads.index.repeat([chunk.points for chunk in chunks])]
    return table.reset_index(drop=True).assign(env_frames=points.env_frames, value=points.values)


def metrics(engine: Engine, study: str) -> list[str]:
    """The names of the curves that a study's runs have.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = "SELECT DISTINCT metric FROM v_curves_index WHERE study = :study ORDER BY metric"
    with read(engine) as session:
        study_named(session, study)
        return list(session.scalars(text(query), {"study": study}))


def _of_study(engine: Engine, study: str, columns: dict[str, str], query: str) -> pd.DataFrame:
    with read(engine) as session:
        study_named(session, study)
        return frame(columns, session.execute(text(query), {"study": study}))
