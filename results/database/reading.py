"""What is known about a study, for people and for statistics.

The data of a run are those of its finished attempt, or else of the one under way, preceded by
what the attempts before it wrote up to the checkpoint from which it went on. What else a lost,
released or failed attempt has written is not shown; the dreams of a failed one are, since they
may tell why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, Row, bindparam, text
from sqlalchemy.orm import Session

from results.database import artifacts
from results.database.curves import Points, decode, join
from results.database.engine import read
from results.database.errors import DatabaseError
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
from results.database.records import DECLARED, NormalizationRow, RunState, StudyRecord
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
    "attempt": WHOLE_OR_MISSING,
    "parent_attempt": WHOLE_OR_MISSING,
    "resumed_env_frames": WHOLE_OR_MISSING,
    "env_frames": WHOLE,
    "updates": WHOLE,
    "seconds": REAL,
    "error": TEXT,
    "host": TEXT,
    "pid": WHOLE_OR_MISSING,
    "device": TEXT,
    "planned_env_frames": WHOLE,
    "priority": WHOLE,
    "paused": FLAG,
    "not_before": MOMENT,
    "started_at": MOMENT,
    "heartbeat_at": MOMENT,
}
EVALUATION_COLUMNS = _RUN | {
    "env_frames": WHOLE,
    "final": FLAG,
    "episode": WHOLE,
    "episode_return": REAL,
    "length": WHOLE_OR_MISSING,
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

    Columns: run_id, arm (its name in this study), game, seed, state, attempts (how many),
    attempt (the number of the one that the data come from), parent_attempt and
    resumed_env_frames (where that one went on from a checkpoint), env_frames, updates, seconds
    (so far, while it runs; those of the attempts it went on from included), error (of the
    latest attempt), host, pid, device, planned_env_frames, priority, paused, not_before (while it
    waits after a loss), started_at, heartbeat_at.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = f"SELECT {', '.join(_RUNS)} FROM v_runs WHERE study = :study ORDER BY position"
    return _of_study(engine, study, _RUNS, query)


def specifications(engine: Engine, study: str) -> dict[int, str]:
    """The specification of every finished run of a study, by its id.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = (
        "SELECT v_runs.run_id, run.specification FROM v_runs JOIN run ON run.id = v_runs.run_id "
        "WHERE v_runs.study = :study AND v_runs.state = 'finished' ORDER BY v_runs.position"
    )
    with read(engine) as session:
        study_named(session, study)
        rows = session.execute(text(query), {"study": study})
        return {int(run_id): str(specification) for run_id, specification in rows}


def evaluations(engine: Engine, study: str) -> pd.DataFrame:
    """The test episodes of a study's runs.

    Columns: run_id, arm, game, seed, env_frames, final, episode, episode_return, length, policy,
    truncated.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = (
        f"SELECT {', '.join(EVALUATION_COLUMNS)} FROM v_evaluations WHERE study = :study "
        "ORDER BY position, env_frames, final, policy, episode"
    )
    return _of_study(engine, study, EVALUATION_COLUMNS, query)


def curve(engine: Engine, study: str, metric: str) -> pd.DataFrame:
    """One metric of all runs of a study: run_id, arm, game, seed, env_frames, value.

    Raises:
        DatabaseError: If there is no such study, or its data are damaged.
    """
    query = (
        "SELECT run_id, arm, game, seed, depth, until_env_frames, "
        "codec, points, env_frames_data, values_data "
        "FROM v_runs JOIN v_lineage USING (attempt_id) "
        "JOIN curve_chunk ON curve_chunk.attempt_id = v_lineage.source_id "
        "JOIN metric ON metric.id = curve_chunk.metric_id "
        "WHERE study = :study AND metric.name = :metric AND state IN ('finished', 'running') "
        "ORDER BY position, depth DESC, seq"
    )
    with read(engine) as session:
        study_named(session, study)
        chunks = session.execute(text(query), {"study": study, "metric": metric}).all()
    import pandas as pd

    runs = [(key, _chained(list(own))) for key, own in groupby(chunks, key=lambda row: row[:4])]
    points = join(one for _, one in runs)
    heads = frame(_RUN, (key for key, _ in runs))
    counts = [len(one.env_frames) for _, one in runs]
    columns = {name: heads[name].repeat(counts).array for name in _RUN}
    return pd.DataFrame(
        {**columns, "env_frames": points.env_frames, "value": points.values}, copy=False
    )


def curves_of(session: Session, attempt_id: int, metrics: Iterable[str]) -> dict[str, Points]:
    """Those of these curves that an attempt has, with what it went on from."""
    query = text(
        "SELECT metric.name, depth, until_env_frames, codec, points, env_frames_data, values_data "
        "FROM v_lineage JOIN curve_chunk ON curve_chunk.attempt_id = v_lineage.source_id "
        "JOIN metric ON metric.id = curve_chunk.metric_id "
        "WHERE v_lineage.attempt_id = :attempt_id AND metric.name IN :metrics "
        "ORDER BY metric.name, depth DESC, seq"
    ).bindparams(bindparam("metrics", expanding=True))
    chunks = session.execute(query, {"attempt_id": attempt_id, "metrics": list(metrics)})
    return {name: _chained(list(own)) for name, own in groupby(chunks, key=lambda row: row[0])}


def metrics(engine: Engine, study: str) -> list[str]:
    """The names of the curves that a study's runs have.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = "SELECT DISTINCT metric FROM v_curves_index WHERE study = :study ORDER BY metric"
    with read(engine) as session:
        study_named(session, study)
        return list(session.scalars(text(query), {"study": study}))


def declared_returns(engine: Engine) -> dict[str, NormalizationRow]:
    """What tasks say of their own random and reference returns, by the name of the task.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = "SELECT game, random_return, human_return FROM normalization WHERE table_id = :table"
    with read(engine) as session:
        rows = session.execute(text(query), {"table": DECLARED}).all()
    return {row.game: NormalizationRow(*row) for row in rows}


def dreams(engine: Engine, run_id: int) -> tuple[int, dict[str, NDArray[Any]]]:
    """The newest dreams of a run, and the env frames at which they were dreamed.

    Raises:
        DatabaseError: If there is no such run, it has none, or they are damaged.
    """
    query = (
        "SELECT artifact.env_frames, codec, data FROM v_runs JOIN v_lineage USING (attempt_id) "
        "JOIN artifact ON artifact.attempt_id = v_lineage.source_id "
        "AND artifact.env_frames <= coalesce(until_env_frames, artifact.env_frames) "
        "WHERE run_id = :run_id AND artifact.kind = 'dreams' ORDER BY depth LIMIT 1"
    )
    label = run_label(engine, run_id)
    with read(engine) as session:
        found = session.execute(text(query), {"run_id": run_id}).first()
    if found is None:
        raise DatabaseError(
            f"Run {run_id} ({label}) has no dreams in {engine.url.database}: they are written "
            "while a run of a game with images is trained, at its evaluations. `ablate status "
            "STUDY` shows where the runs stand."
        )
    return found.env_frames, artifacts.unpack(found.codec, found.data)


def run_label(engine: Engine, run_id: int) -> str:
    """A run as captions name it: `base · Pong · seed 0, study smoke`.

    Raises:
        DatabaseError: If there is no such run.
    """
    query = (
        "SELECT arm, game, seed, study FROM v_runs JOIN study ON study.name = v_runs.study "
        "WHERE run_id = :run_id ORDER BY study.id LIMIT 1"
    )
    with read(engine) as session:
        found = session.execute(text(query), {"run_id": run_id}).first()
    if found is None:
        raise DatabaseError(
            f"There is no run {run_id} in {engine.url.database}. `ablate status STUDY` shows the "
            "runs of a study with their numbers; --db or ABLATE_DB names another database."
        )
    return f"{found.arm} · {found.game} · seed {found.seed}, study {found.study}"


def _chained(chunks: Sequence[Row[Any]]) -> Points:
    """One curve of one run from its chunks, those of the earliest attempt first.

    An earlier attempt counts up to the checkpoint from which the next one went on; of a point
    that the next one wrote again, the earlier version is dropped.
    """
    levels = [list(own) for _, own in groupby(chunks, key=lambda chunk: chunk.depth)]
    parts: list[Points] = []
    first_after = np.iinfo(np.int64).max
    for own in reversed(levels):
        points = join(decode(*chunk[-4:]) for chunk in own)
        until = own[0].until_env_frames
        last = first_after - 1 if until is None else min(first_after - 1, until)
        kept = points.env_frames <= last
        parts.insert(0, Points(points.env_frames[kept], points.values[kept]))
        if kept.any():
            first_after = int(points.env_frames[kept].min())
    return join(parts)


def _of_study(engine: Engine, study: str, columns: dict[str, str], query: str) -> pd.DataFrame:
    with read(engine) as session:
        study_named(session, study)
        return frame(columns, session.execute(text(query), {"study": study}))
