"""Activation: whether what a run's arm switches on has done anything, by what the run recorded.

A modification declares the curve that shows that it acts, and the value that the curve has all
along if it does not (`agents.modification.Proof`). A run is submitted with these, so that the
record tells without the agent, and judged by them when it is finished. Runs that were finished by
versions that did not judge are judged here, from their curves.
"""

from collections import defaultdict

from sqlalchemy import Engine

from ablate.runspec import RunSpec
from results.database import activation, reading
from results.database.activation import Silent


def silent(engine: Engine, study: str) -> tuple[Silent, ...]:
    """The modifications that did nothing in finished runs.

    Runs that were submitted before modifications declared their proofs are not judged.

    Raises:
        DatabaseError: If there is no such study, or its data are damaged.
    """
    judged = activation.silent(engine, study)
    proofs = {
        run_id: RunSpec.from_json(text).proofs
        for run_id, text in activation.unjudged(engine, study).items()
    }
    if not any(proofs.values()):
        return judged
    acted = _acted(engine, study, {proof for own in proofs.values() for proof in own.values()})
    return judged + tuple(
        Silent(run["run_id"], run["arm"], run["game"], run["seed"], name, proof[0])
        for run in reading.runs(engine, study).to_dict("records")
        for name, proof in proofs.get(run["run_id"], {}).items()
        if run["run_id"] not in acted[proof]
    )


def _acted(
    engine: Engine, study: str, proofs: set[tuple[str, float]]
) -> dict[tuple[str, float], set[int]]:
    """For each proof the runs whose curve leaves its idle value."""
    found: dict[tuple[str, float], set[int]] = defaultdict(set)
    curves = {metric: reading.curve(engine, study, metric) for metric, _ in proofs}
    for metric, idle in proofs:
        curve = curves[metric]
        found[metric, idle] = set(curve["run_id"][curve["value"] != idle].unique().tolist())
    return found
