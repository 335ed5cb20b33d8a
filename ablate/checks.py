"""Checks: what a person should know of a study's runs beyond where they stand."""

from sqlalchemy import Engine

from ablate.disk import DiskGuard
from ablate.progress import counted
from results.database import history, looks, provenance, reading


def checks(engine: Engine, study: str) -> list[str]:
    """One line per thing that is worth a look; none where all is well.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    looked = looks.in_words(looks.looks_at(engine, study))
    return [
        *_full_disk(engine, study),
        *_losses(engine, study),
        *_other_code(engine, study),
        *looked,
    ]


def _full_disk(engine: Engine, study: str) -> list[str]:
    """Why no worker goes on, while there is something to do."""
    counts = reading.counts(engine, study)
    problem = DiskGuard.of_database(engine).problem()
    return [problem] if problem and counts["queued"] + counts["running"] else []


def _losses(engine: Engine, study: str) -> list[str]:
    """Runs that workers died of, or that an exception stopped, and that were tried again."""
    lost = history.unlucky_runs(engine, study)
    if not lost:
        return []
    listed = ", ".join(f"run {one.run_id} ({one.losses})" for one in lost[:5])
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    return [
        f"{counted(len(lost), 'run')} lost or failed before and tried again, with how often: "
        f"{listed}{more}. `ablate logs RUN` tells why."
    ]


def _other_code(engine: Engine, study: str) -> list[str]:
    """Runs that were not trained with the code that queued them."""
    runs = provenance.run_with_other_code(engine, study)
    if not runs:
        return []
    listed = ", ".join(map(str, runs[:5])) + (" ..." if len(runs) > 5 else "")
    return [
        f"{counted(len(runs), 'run')} trained with other source files than those that queued "
        f"them: {listed}. `ablate logs RUN --origin` shows both."
    ]
