"""Imported runs: where they come from, and what is not known of their test episodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from results.database.migrations.views_0003 import VIEWS

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OLD_VIEWS = ("v_curves_index", "v_scores", "v_evaluations", "v_runs", "v_lineage")


def upgrade() -> None:
    """Builds the evaluations anew with their rows, adds two tables, and replaces the views."""
    for view in OLD_VIEWS:
        op.execute(f"DROP VIEW {view}")
    _evaluation()
    _import_source()
    _imported_run()
    for view in VIEWS:
        op.execute(view)


def _integer(name: str, *foreign: sa.ForeignKey, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, *foreign, nullable=null)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(name=name, create_constraint=True), nullable=False)


def _evaluation() -> None:
    """Lets the length of an episode be unknown."""
    op.execute("CREATE TEMP TABLE kept_rows AS SELECT * FROM evaluation")
    op.execute("DROP TABLE evaluation")
    op.create_table(
        "evaluation",
        sa.Column("id", sa.Integer, primary_key=True),
        _integer("attempt_id", sa.ForeignKey("attempt.id")),
        _integer("env_frames"),
        _flag("final"),
        _text("policy"),
        _integer("episode"),
        sa.Column("episode_return", sa.Double, nullable=False),
        _integer("length", null=True),
        _flag("truncated"),
        sa.UniqueConstraint("attempt_id", "env_frames", "final", "policy", "episode"),
        sa.CheckConstraint("env_frames >= 0", name="env_frames"),
        sa.CheckConstraint("episode >= 0", name="episode"),
        sa.CheckConstraint("length > 0", name="length"),
        sa.CheckConstraint("policy <> ''", name="policy"),
        sa.CheckConstraint("abs(episode_return) <= 1.7976931348623157e308", name="finite_return"),
    )
    op.execute("INSERT INTO evaluation SELECT * FROM temp.kept_rows")
    op.execute("DROP TABLE temp.kept_rows")


def _import_source() -> None:
    op.create_table(
        "import_source",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("file"),
        _text("sha256"),
        _text("format"),
        _text("options"),
        _text("protocol"),
        _text("normalization", null=True),
        _flag("means"),
        sa.Column("imported_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("file", "sha256", "format", "options", "protocol"),
        sa.CheckConstraint("file <> ''", name="file"),
        sa.CheckConstraint("length(sha256) = 64", name="sha256"),
        sa.CheckConstraint("format <> ''", name="format"),
        sa.CheckConstraint("options <> ''", name="options"),
        sa.CheckConstraint("protocol <> ''", name="protocol"),
        sa.CheckConstraint("normalization <> ''", name="normalization"),
    )


def _imported_run() -> None:
    op.create_table(
        "imported_run",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("run.id"), primary_key=True),
        _integer("source_id", sa.ForeignKey("import_source.id")),
        _integer("final_env_frames", null=True),
        sa.CheckConstraint("final_env_frames >= 0", name="final_env_frames"),
    )
    op.create_index("ix_imported_run_source_id", "imported_run", ["source_id"])
