"""Looks: when somebody let the results of a study decide how many seeds it gets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table."""
    op.create_table(
        "look",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, sa.ForeignKey("study.id"), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "top_up",
                "cancel_settled",
                name="purpose",
                native_enum=False,
                create_constraint=True,
            ),
            nullable=False,
        ),
        sa.Column("width", sa.Double, nullable=True),
        sa.Column("effects", sa.Text, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("ci", sa.Double, nullable=False),
        sa.Column("finished_runs", sa.Integer, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
        sa.Column("unanswered", sa.Integer, nullable=False),
        sa.Column("changed_runs", sa.Integer, nullable=False),
        sa.CheckConstraint("width > 0", name="width"),
        sa.CheckConstraint("batch > 0", name="batch"),
        sa.CheckConstraint("ci > 0 AND ci < 1", name="ci"),
        sa.CheckConstraint("finished_runs >= 0", name="finished_runs"),
        sa.CheckConstraint("answered >= 0", name="answered"),
        sa.CheckConstraint("unanswered >= 0", name="unanswered"),
        sa.CheckConstraint("changed_runs >= 0", name="changed_runs"),
    )
    op.create_index("ix_look_study_id", "look", ["study_id"])
