"""What Alembic runs: the migrations, on the connection that the caller hands over."""

from __future__ import annotations

from alembic import context

from results.database.schema import Study

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Study.metadata,  # for the names of constraints
    render_as_batch=True,  # SQLite alters a table by building it anew
)
with context.begin_transaction():
    context.run_migrations()
