"""Activation: whether what a run's arm switches on has done anything.

It is judged once, when the run is finished: the curves of ten thousand runs are too many to read
every time somebody asks how a study stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from results.database.engine import read
from results.database.lookup import study_named
from results.database.reading import curves_of
from results.database.schema import Activation

Proofs = Mapping[str, tuple[str, float]]
"""By modification the curve that shows that it acts, and its value all along if it does not."""


NO_PROOFS: Proofs = MappingProxyType({})


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


def judge(session: Session, attempt_id: int, proofs: Proofs) -> None:
    """Writes down which modifications acted in an attempt, those that it went on from included."""
    if not proofs:
        return
    points = curves_of(session, attempt_id, {metric for metric, _ in proofs.values()})
    rows = [
        {
            "attempt_id": attempt_id,
            "modification": modification,
            "metric": metric,
            "acted": metric in points and bool((points[metric].values != idle).any()),
        }
        for modification, (metric, idle) in proofs.items()
    ]
    session.execute(insert(Activation), rows)


def silent(engine: Engine, study: str) -> tuple[Silent, ...]:
    """The modifications that were judged to have done nothing, in the study's order.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = text(
        "SELECT run_id, arm, game, seed, modification, metric "
        "FROM v_runs JOIN activation USING (attempt_id) "
        "WHERE study = :study AND state = 'finished' AND NOT acted "
        "ORDER BY position, activation.rowid"
    )
    with read(engine) as session:
        study_named(session, study)
        return tuple(Silent(*row) for row in session.execute(query, {"study": study}))


def unjudged(engine: Engine, study: str) -> dict[int, str]:
    """The specification of every finished run with toggles on that nobody has judged, by its id.

    These were finished by an earlier version, or submitted by one that knew of no proofs.

    Raises:
        DatabaseError: If there is no such study.
    """
    query = text(
        "SELECT run.id, run.specification FROM study "
        "JOIN study_run ON study_run.study_id = study.id JOIN run ON run.id = study_run.run_id "
        "JOIN attempt ON attempt.run_id = run.id AND attempt.state = 'finished' "
        "WHERE study.name = :study AND run.state = 'finished' "
        "AND NOT EXISTS (SELECT 1 FROM activation WHERE activation.attempt_id = attempt.id) "
        "AND EXISTS (SELECT 1 FROM study_arm_toggle AS one "
        "WHERE one.study_id = study.id AND one.arm_id = run.arm_id) "
        "ORDER BY study_run.position"
    )
    with read(engine) as session:
        study_named(session, study)
        return dict(session.execute(query, {"study": study}).all())
