"""A queue on a shared machine: pauses, waits, points of failure, code, and books of slots."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from results.database.views import VIEWS

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OLD_VIEWS = ("v_curves_index", "v_scores", "v_evaluations", "v_runs", "v_lineage")


def upgrade() -> None:
    """Adds three tables, builds four anew with their rows, and replaces the views."""
    for view in OLD_VIEWS:
        op.execute(f"DROP VIEW {view}")
    _code()
    _packages()
    _reservation()
    _build_anew("run", _run)
    _build_anew("worker", _worker)
    _build_anew("attempt", _attempt)
    _build_anew("event", _event)
    for view in VIEWS:
        op.execute(view)


def _build_anew(table: str, build: Callable[[], None]) -> None:
    """Makes a table by its new rules around the rows that it has, which keep their ids.

    The connection must not enforce foreign keys meanwhile. Columns that are new are empty, or
    hold their server default.
    """
    columns = ", ".join(
        row[1] for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({table})")
    )
    op.execute(f"CREATE TEMP TABLE kept_rows AS SELECT * FROM {table}")
    op.execute("CREATE TEMP TABLE kept_sequence AS SELECT * FROM sqlite_sequence")
    op.execute(f"DROP TABLE {table}")
    build()
    more, values = (", paused", ", 0") if table == "run" else ("", "")
    op.execute(
        f"INSERT INTO {table} ({columns}{more}) SELECT {columns}{values} FROM temp.kept_rows"
    )
    op.execute(f"DELETE FROM sqlite_sequence WHERE name = '{table}'")
    op.execute(
        f"INSERT INTO sqlite_sequence SELECT * FROM temp.kept_sequence WHERE name = '{table}'"
    )
    op.execute("DROP TABLE temp.kept_rows")
    op.execute("DROP TABLE temp.kept_sequence")


def _integer(name: str, *foreign: sa.ForeignKey, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *foreign, nullable=null)


def _real(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=null)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _moment(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime, nullable=null)


def _one_of(name: str, *values: str) -> sa.Column[str]:
    kind = sa.Enum(*values, name=name, native_enum=False, create_constraint=True)
    return sa.Column(name, kind, nullable=False)


def _code() -> None:
    op.create_table(
        "code",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("sources_sha256"),
        _text("commit"),
        _text("diff_sha256"),
        _text("version"),
        sa.Column("diff", sa.LargeBinary, nullable=False),
        sa.Column("sources", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("sources_sha256", "commit", "diff_sha256"),
        sa.CheckConstraint("length(sources_sha256) = 64", name="sources_sha256"),
        sa.CheckConstraint("length(diff_sha256) IN (0, 64)", name="diff_sha256"),
    )


def _packages() -> None:
    op.create_table(
        "packages",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("sha256"),
        _text("python"),
        _text("lines"),
        sa.UniqueConstraint("sha256"),
        sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    )


def _reservation() -> None:
    op.create_table(
        "reservation",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("machine"),
        _text("device"),
        _integer("slot"),
        _integer("pid"),
        _real("process_started_at"),
        _integer("bytes"),
        _moment("reserved_at"),
        sa.UniqueConstraint("machine", "device", "slot"),
        sa.CheckConstraint("pid > 0", name="pid"),
        sa.CheckConstraint("slot >= 0", name="slot"),
        sa.CheckConstraint("bytes >= 0", name="bytes"),
    )


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
        sa.Column("paused", sa.Boolean(name="paused", create_constraint=True), nullable=False),
        _moment("not_before", null=True),
        _integer("memory_bytes", null=True),
        _integer("code_id", sa.ForeignKey("code.id"), null=True),
        sa.UniqueConstraint("identity"),
        sa.UniqueConstraint("arm_id", "game", "seed"),
        sa.CheckConstraint("length(identity) = 64", name="identity"),
        sa.CheckConstraint("game <> '' AND game NOT GLOB '*[^A-Za-z0-9:_./-]*'", name="game"),
        sa.CheckConstraint("seed >= 0", name="seed"),
        sa.CheckConstraint("losses BETWEEN 0 AND 5", name="losses"),
        sa.CheckConstraint("losses < 5 OR state = 'failed'", name="lost_too_often"),
        sa.CheckConstraint(
            "NOT paused OR state IN ('queued', 'running')", name="paused_if_unended"
        ),
        sa.CheckConstraint("memory_bytes > 0", name="memory_bytes"),
    )
    op.create_index("ix_run_queue", "run", ["state", "priority", "position", "id"])


def _worker() -> None:
    """Lets a worker end before it began: the clock may be set back in between."""
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("host"),
        _text("machine"),
        _integer("pid"),
        _real("process_started_at"),
        _text("device"),
        _integer("slot"),
        _moment("registered_at"),
        _moment("ended_at", null=True),
        _integer("code_id", sa.ForeignKey("code.id"), null=True),
        _integer("packages_id", sa.ForeignKey("packages.id"), null=True),
        _text("device_model", null=True),
        _text("driver", null=True),
        _text("command", null=True),
        sa.CheckConstraint("pid > 0", name="pid"),
        sa.CheckConstraint("slot >= 0", name="slot"),
    )


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
        _real("seconds", null=True),
        _text("error", null=True),
        _integer("parent_id", sa.ForeignKey("attempt.id"), null=True),
        _integer("resumed_env_frames", null=True),
        _text("point", null=True),
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
        sa.CheckConstraint("point IS NULL OR state = 'failed'", name="point_if_failed"),
        sqlite_autoincrement=True,
    )
    for name, column, state in (
        ("ix_attempt_one_running_per_run", "run_id", "running"),
        ("ix_attempt_one_finished_per_run", "run_id", "finished"),
        ("ix_attempt_one_running_per_worker", "worker_id", "running"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "attempt", [column], unique=True, sqlite_where=where)


def _event() -> None:
    kinds = (
        *("submitted", "retried", "claimed", "finished", "failed", "lost", "released"),
        *("cancelled", "paused", "resumed", "prioritized"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, primary_key=True),
        _moment("at"),
        _one_of("kind", *kinds),
        _integer("run_id", sa.ForeignKey("run.id")),
        _integer("attempt_id", sa.ForeignKey("attempt.id"), null=True),
        _integer("study_id", sa.ForeignKey("study.id"), null=True),
        _text("detail", null=True),
    )
    op.create_index("ix_event_run_id", "event", ["run_id"])
