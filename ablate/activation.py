"""Activation: whether what a run's arm switches on has done anything, by what the run recorded.

A modification declares the curve that shows that it acts, and the value that the curve has all
along if it does not (`agents.modification.Proof`). A run is submitted with these, so that the
record tells without the agent.
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Engine

from ablate.runspec import RunSpec
from results.database import reading


@dataclass(frozen=True)
class Silent:
    """A modification that did nothing in a finished run.

    Attributes:
        metric: The curve that would show it; it is missing, or has never left its idle value.
    """

    run_id: int
    arm: str
    game: str
    seed: int
    modification: str
    metric: str


def silent(engine: Engine, study: str) -> tuple[Silent, ...]:
    """The modifications that did nothing, run by run in the study's order.

    Runs that were submitted before modifications declared their proofs are not judged.

    Raises:
        DatabaseError: If there is no such study, or its data are damaged.
    """
    proofs = {
        run_id: RunSpec.from_json(text).proofs
        for run_id, text in reading.specifications(engine, study).items()
    }
    acted = _acted(engine, study, {proof for own in proofs.values() for proof in own.values()})
    runs = reading.runs(engine, study).set_index("run_id")
    return tuple(
        Silent(
            run_id=run_id,
            arm=str(runs.at[run_id, "arm"]),
            game=str(runs.at[run_id, "game"]),
            seed=int(runs.at[run_id, "seed"]),
            modification=name,
            metric=proof[0],
        )
        for run_id, own in proofs.items()
        for name, proof in own.items()
        if run_id not in acted[proof]
    )


def _acted(
    engine: Engine, study: str, proofs: set[tuple[str, float]]
) -> dict[tuple[str, float], set[int]]:
    """For each proof the runs whose curve leaves its idle value."""
    found: dict[tuple[str, float], set[int]] = defaultdict(set)
    curves = {metric: reading.curve(engine, study, metric) for metric, _ in proofs}
    for metric, idle in proofs:
        curve = curves[metric]
        found[metric, idle] = {int(run_id) for run_id in curve[curve["value"] != idle]["run_id"]}
    return found
