"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from results.database.migrations.views_0001 import VIEWS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes every table and view."""
    _studies()
    _arms()
    _runs()
    _attempts()
    _curves_and_evaluations()
    _events()
    _normalization()
    for view in VIEWS:
        op.execute(view)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


def _key(name: str, *foreign: sa.ForeignKey) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *foreign, primary_key=True)


def _integer(name: str, *foreign: sa.ForeignKey, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *foreign, nullable=null)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _text_key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _real(name: str, *, null: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=null)


def _moment(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime, nullable=null)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(name=name, create_constraint=True), nullable=False)


def _one_of(name: str, *values: str) -> sa.Column[str]:
    kind = sa.Enum(*values, name=name, native_enum=False, create_constraint=True)
    return sa.Column(name, kind, nullable=False)


def _study() -> sa.ForeignKey:
    return sa.ForeignKey("study.id")


def _studies() -> None:
    op.create_table(
        "study",
        _id(),
        _text("name"),
        _text("question"),
        _text("source"),
        _text("contents_sha256"),
        _text("protocol"),
        _integer("env_frames"),
        _integer("prefill_frames"),
        _text("evaluation"),
        _moment("created_at"),
        sa.UniqueConstraint("name"),
        sa.CheckConstraint("name <> ''", name="named"),
        sa.CheckConstraint("length(contents_sha256) = 64", name="contents_sha256"),
        sa.CheckConstraint("env_frames > 0", name="env_frames"),
        sa.CheckConstraint("prefill_frames BETWEEN 0 AND env_frames", name="prefill_frames"),
    )
    op.create_table(
        "study_design",
        _key("study_id", _study()),
        _key("position"),
        _text("name"),
        sa.UniqueConstraint("study_id", "name"),
    )
    op.create_table(
        "study_game",
        _key("study_id", _study()),
        _key("position"),
        _text("game"),
        sa.UniqueConstraint("study_id", "game"),
    )
    op.create_table(
        "study_seed",
        _key("study_id", _study()),
        _key("position"),
        _integer("seed"),
        sa.UniqueConstraint("study_id", "seed"),
        sa.CheckConstraint("seed >= 0", name="seed"),
    )
    op.create_table(
        "study_toggle",
        _key("study_id", _study()),
        _text_key("name"),
        _integer("position"),
        sa.UniqueConstraint("study_id", "position"),
        sa.CheckConstraint("name <> ''", name="named"),
    )
    op.create_table(
        "study_toggle_level",
        _key("study_id"),
        _text_key("toggle"),
        _text_key("level"),
        _integer("position"),
        _flag("in_full"),
        sa.ForeignKeyConstraint(
            ["study_id", "toggle"], ["study_toggle.study_id", "study_toggle.name"]
        ),
        sa.UniqueConstraint("study_id", "toggle", "position"),
    )
    op.create_index(
        "ix_study_toggle_level_one_in_full",
        "study_toggle_level",
        ["study_id", "toggle"],
        unique=True,
        sqlite_where=sa.text("in_full"),
    )


def _arms() -> None:
    op.create_table(
        "arm",
        _id(),
        _text("identity"),
        _text("agent"),
        _integer("env_frames"),
        _integer("prefill_frames"),
        sa.UniqueConstraint("identity"),
        sa.CheckConstraint("length(identity) = 64", name="identity"),
        sa.CheckConstraint("env_frames > 0", name="env_frames"),
        sa.CheckConstraint("prefill_frames BETWEEN 0 AND env_frames", name="prefill_frames"),
    )
    op.create_table(
        "study_arm",
        _key("study_id", _study()),
        _key("arm_id", sa.ForeignKey("arm.id")),
        _text("name"),
        _integer("position"),
        sa.UniqueConstraint("study_id", "name"),
        sa.UniqueConstraint("study_id", "position"),
    )
    op.create_table(
        "study_arm_toggle",
        _key("study_id"),
        _key("arm_id"),
        _text_key("toggle"),
        _text("level"),
        sa.ForeignKeyConstraint(
            ["study_id", "arm_id"], ["study_arm.study_id", "study_arm.arm_id"]
        ),
        sa.ForeignKeyConstraint(
            ["study_id", "toggle", "level"],
            [
                "study_toggle_level.study_id",
                "study_toggle_level.toggle",
                "study_toggle_level.level",
            ],
        ),
    )


def _runs() -> None:
    op.create_table(
        "run",
        _id(),
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
        sa.CheckConstraint("game <> '' AND game NOT GLOB '*[^A-Za-z0-9]*'", name="game"),
        sa.CheckConstraint("seed >= 0", name="seed"),
        sa.CheckConstraint("losses BETWEEN 0 AND 5", name="losses"),
        sa.CheckConstraint("losses < 5 OR state = 'failed'", name="lost_too_often"),
    )
    op.create_index("ix_run_state", "run", ["state"])
    op.create_table(
        "study_run",
        _key("study_id", _study()),
        _key("run_id", sa.ForeignKey("run.id")),
        _integer("position"),
        sa.UniqueConstraint("study_id", "position"),
    )
    op.create_index("ix_study_run_run_id", "study_run", ["run_id"])


def _attempts() -> None:
    op.create_table(
        "worker",
        _id(),
        _text("host"),
        _text("machine"),
        _integer("pid"),
        _real("process_started_at"),
        _text("device"),
        _integer("slot"),
        _moment("registered_at"),
        _moment("ended_at", null=True),
        sa.CheckConstraint("pid > 0", name="pid"),
        sa.CheckConstraint("slot >= 0", name="slot"),
        sa.CheckConstraint(
            "ended_at IS NULL OR ended_at >= registered_at", name="ends_after_start"
        ),
    )
    op.create_table(
        "attempt",
        _id(),
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
        sqlite_autoincrement=True,
    )
    for name, column, state in (
        ("ix_attempt_one_running_per_run", "run_id", "running"),
        ("ix_attempt_one_finished_per_run", "run_id", "finished"),
        ("ix_attempt_one_running_per_worker", "worker_id", "running"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "attempt", [column], unique=True, sqlite_where=where)


def _curves_and_evaluations() -> None:
    op.create_table(
        "metric",
        _id(),
        _text("name"),
        sa.UniqueConstraint("name"),
        sa.CheckConstraint("name <> ''", name="named"),
    )
    op.create_table(
        "curve_chunk",
        _key("attempt_id", sa.ForeignKey("attempt.id")),
        _key("metric_id", sa.ForeignKey("metric.id")),
        _key("seq"),
        _text("codec"),
        _integer("points"),
        _integer("first_env_frames"),
        _integer("last_env_frames"),
        sa.Column("env_frames_data", sa.LargeBinary, nullable=False),
        sa.Column("values_data", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("seq >= 0", name="seq"),
        sa.CheckConstraint("codec <> ''", name="codec"),
        sa.CheckConstraint("points > 0", name="points"),
        sa.CheckConstraint("first_env_frames BETWEEN 0 AND last_env_frames", name="env_frames"),
    )
    op.create_table(
        "evaluation",
        _id(),
        _integer("attempt_id", sa.ForeignKey("attempt.id")),
        _integer("env_frames"),
        _flag("final"),
        _text("policy"),
        _integer("episode"),
        _real("episode_return"),
        _integer("length"),
        _flag("truncated"),
        sa.UniqueConstraint("attempt_id", "env_frames", "final", "policy", "episode"),
        sa.CheckConstraint("env_frames >= 0", name="env_frames"),
        sa.CheckConstraint("episode >= 0", name="episode"),
        sa.CheckConstraint("length > 0", name="length"),
        sa.CheckConstraint("policy <> ''", name="policy"),
        sa.CheckConstraint("abs(episode_return) <= 1.7976931348623157e308", name="finite_return"),
    )


def _events() -> None:
    kinds = ("submitted", "retried", "claimed", "finished", "failed", "lost", "released")
    op.create_table(
        "event",
        _id(),
        _moment("at"),
        _one_of("kind", *kinds),
        _integer("run_id", sa.ForeignKey("run.id")),
        _integer("attempt_id", sa.ForeignKey("attempt.id"), null=True),
        _integer("study_id", _study(), null=True),
        _text("detail", null=True),
    )
    op.create_index("ix_event_run_id", "event", ["run_id"])


def _normalization() -> None:
    op.create_table(
        "normalization",
        _text_key("table_id"),
        _text_key("game_key"),
        _text("game"),
        _real("random_return"),
        _real("human_return"),
        sa.CheckConstraint("game_key <> '' AND game_key NOT GLOB '*[^a-z]*'", name="game_key"),
        sa.CheckConstraint("human_return <> random_return", name="scale"),
    )
