"""Runs that fit on no device of this machine: which those are, and what can be done."""

from sqlalchemy import Engine

from ablate.placement import Placement
from ablate.progress import counted
from ablate.standing import Standing, run_label
from results.database.waiting import ready_beyond

MOST_NAMED = 5
"""How many runs are named."""


def about_oversized(
    engine: Engine,
    study: str | None,
    placement: Placement,
    standing: Standing,
    *,
    begun_only: bool = False,
) -> str | None:
    """One sentence for each such run and the remedies, or None if every run fits somewhere.

    Args:
        engine: The database.
        study: Name of the study; None for all.
        placement: Has seen the devices.
        standing: How the runs are called.
        begun_only: Whether only runs that have been begun are to be worked on.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    largest = placement.largest()
    if largest is None:
        return None
    device, room = largest
    sizes = ready_beyond(engine, study, room, begun_only=begun_only)
    if not sizes:
        return None
    labels = {
        run_id: run_label(arm, game, seed)
        for run_id, arm, game, seed in standing.runs[["run_id", "arm", "game", "seed"]].itertuples(
            index=False
        )
    }
    named = list(sizes)[:MOST_NAMED]
    runs = "; ".join(
        f"run {one} ({labels.get(one, 'new')}) takes about {sizes[one] / 1e9:.1f} GB"
        for one in named
    )
    more = f"; and {len(sizes) - len(named)} more" if len(sizes) > len(named) else ""
    these = " ".join(f"--run {one}" for one in named)
    return (
        f"{counted(len(sizes), 'run')} cannot be begun on this machine, whose largest device "
        f"({device}) has {room / 1e9:.1f} GB for runs: {runs}{more}. Use a larger device, a "
        f"smaller --min-free or a smaller agent; `ablate queue pause {these}` keeps them for "
        f"another machine, `ablate queue cancel {these}` drops them."
    )
