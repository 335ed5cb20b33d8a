"""Attempts that go on from checkpoints, artifacts, and games other than Atari's."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from results.database.migrations.views_0002 import VIEWS

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OLD_VIEWS = ("v_curves_index", "v_scores", "v_runs")


def upgrade() -> None:
    """Builds three tables anew with their rows, adds two, and replaces the views."""
    for view in OLD_VIEWS:
        op.execute(f"DROP VIEW {view}")
    _build_anew("run", _run)
    _build_anew("attempt", _attempt)
    _build_anew("normalization", _normalization)
    _checkpoint()
    _artifact()
    for view in VIEWS:
        op.execute(view)


def _build_anew(table: str, build: Callable[[], None]) -> None:
    """Makes a table by its new rules around the rows that it has, which keep their ids.

    The connection must not enforce foreign keys meanwhile. Renaming instead would take the
    constraints' names, and what refers to the table, along.
    """
    columns = ", ".join(
        row[1] for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})")
    )
    op.execute(f"CREATE TEMP TABLE kept_rows AS SELECT * FROM {table}")
    op.execute("CREATE TEMP TABLE kept_sequence AS SELECT * FROM sqlite_sequence")
    op.execute(f"DROP TABLE {table}")
    build()
    op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM temp.kept_rows")
    op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")
    op.execute(
        f"INSERT INTO sqlite_sequence SELECT * FROM temp.kept_sequence WHERE name = '{table}'"
    )
    op.execute("DROP TABLE temp.kept_rows")
    op.execute("DROP TABLE temp.kept_sequence")


def _integer(name: str, *foreign: sa.ForeignKey, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *foreign, nullable=null)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _moment(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime, nullable=null)


def _one_of(name: str, *values: str) -> sa.Column[str]:
    kind = sa.Enum(*values, name=name, native_enum=False, create_constraint=True)
    return sa.Column(name, kind, nullable=False)


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("identity"),
        _integer("arm_id", sa.ForeignKey("arm.id")),
        _text("game"),
        _integer("seed"),
        _text("specification"),
        _one_of("state", "queued", "running", "finished", "failed", "cancelled"),
        _integer("priority"),
        _integer("position"),
        _integer("losses"),
        _moment("created_at"),
        sa.UniqueConstraint("identity"),
        sa.UniqueConstraint("arm_id", "game", "seed"),
        sa.CheckConstraint("length(identity) = 64", name="identity"),
        sa.CheckConstraint("game <> '' AND game NOT GLOB '*[^A-Za-z0-9:_./-]*'", name="game"),
        sa.CheckConstraint("seed >= 0", name="seed"),
        sa.CheckConstraint("losses BETWEEN 0 AND 5", name="losses"),
        sa.CheckConstraint("losses < 5 OR state = 'failed'", name="lost_too_often"),
    )
    op.create_index("ix_run_state", "run", ["state"])


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer, primary_key=True),
        _integer("run_id", sa.ForeignKey("run.id")),
        _integer("number"),
        _integer("worker_id", sa.ForeignKey("worker.id")),
        _one_of("state", "running", "finished", "failed", "lost", "released"),
        _moment("started_at"),
        _moment("heartbeat_at"),
        _moment("ended_at", null=True),
        _integer("env_frames"),
        _integer("updates"),
        sa.Column("seconds", sa.Double),
        _text("error", null=True),
        _integer("parent_id", sa.ForeignKey("attempt.id"), null=True),
        _integer("resumed_env_frames", null=True),
        sa.UniqueConstraint("run_id", "number"),
        sa.CheckConstraint("number >= 1", name="number"),
        sa.CheckConstraint("env_frames >= 0 AND updates >= 0", name="progress"),
        sa.CheckConstraint(
            "(state = 'running') = (ended_at IS NULL)", name="ended_iff_not_running"
        ),
        sa.CheckConstraint(
            "(state = 'finished') = (seconds IS NOT NULL)", name="seconds_iff_finished"
        ),
        sa.CheckConstraint("seconds IS NULL OR seconds >= 0", name="seconds"),
        sa.CheckConstraint(
            "(state IN ('running', 'finished')) = (error IS NULL)", name="error_iff_ended_early"
        ),
        sa.CheckConstraint("parent_id < id", name="parent_is_earlier"),
        sa.CheckConstraint(
            "(parent_id IS NULL) = (resumed_env_frames IS NULL)", name="resumed_iff_parent"
        ),
        sa.CheckConstraint("resumed_env_frames >= 0", name="resumed_env_frames"),
        sqlite_autoincrement=True,
    )
    for name, column, state in (
        ("ix_attempt_one_running_per_run", "run_id", "running"),
        ("ix_attempt_one_finished_per_run", "run_id", "finished"),
        ("ix_attempt_one_running_per_worker", "worker_id", "running"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "attempt", [column], unique=True, sqlite_where=where)


def _normalization() -> None:
    op.create_table(
        "normalization",
        sa.Column("table_id", sa.Text, primary_key=True),
        sa.Column("game_key", sa.Text, primary_key=True),
        _text("game"),
        sa.Column("random_return", sa.Double, nullable=False),
        sa.Column("human_return", sa.Double, nullable=False),
        sa.CheckConstraint("game_key <> '' AND game_key = lower(game_key)", name="game_key"),
        sa.CheckConstraint("human_return <> random_return", name="scale"),
    )


def _checkpoint() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Integer, primary_key=True),
        _integer("attempt_id", sa.ForeignKey("attempt.id")),
        _integer("env_frames"),
        _text("path"),
        _text("sha256"),
        _integer("bytes"),
        _moment("created_at"),
        sa.UniqueConstraint("attempt_id", "env_frames"),
        sa.CheckConstraint("env_frames >= 0", name="env_frames"),
        sa.CheckConstraint("path <> ''", name="path"),
        sa.CheckConstraint("length(sha256) = 64", name="sha256"),
        sa.CheckConstraint("bytes > 0", name="bytes"),
    )


def _artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer, primary_key=True),
        _integer("attempt_id", sa.ForeignKey("attempt.id")),
        _text("kind"),
        _integer("env_frames"),
        _text("codec"),
        sa.Column("data", sa.LargeBinary, nullable=False),
        _moment("created_at"),
        sa.UniqueConstraint("attempt_id", "kind"),
        sa.CheckConstraint("kind <> ''", name="kind"),
        sa.CheckConstraint("env_frames >= 0", name="env_frames"),
        sa.CheckConstraint("codec <> ''", name="codec"),
    )
