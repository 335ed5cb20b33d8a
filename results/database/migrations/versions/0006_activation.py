"""Activation: which modifications acted in a finished run, judged when it is finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table; runs that were finished before are judged when somebody asks."""
    op.create_table(
        "activation",
        sa.Column("attempt_id", sa.Integer, sa.ForeignKey("attempt.id"), primary_key=True),
        sa.Column("modification", sa.Text, primary_key=True),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("acted", sa.Boolean(create_constraint=True, name="acted"), nullable=False),
    )
