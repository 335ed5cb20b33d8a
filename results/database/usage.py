"""What studies have cost: the time for which runs held a GPU or a core, lost tries included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from results.database.engine import read
from results.database.lookup import study_named


@dataclass(frozen=True)
class Usage:
    """Hours that the runs of an arm have cost."""

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(self.gpu_hours + other.gpu_hours, self.cpu_hours + other.cpu_hours)


@dataclass(frozen=True)
class Stretch:
    """A time during which an attempt held a slot.

    Attributes:
        run_id: The run.
        device: Machine and device.
        on_gpu: Whether the device is a GPU, which several runs may share.
        start: When it began, in seconds.
        end: When it ended, or was last heard of.
    """

    run_id: int
    device: tuple[str, str]
    on_gpu: bool
    start: float
    end: float


def usage(engine: Engine, study: str) -> dict[str, Usage]:
    """The cost of each arm of a study so far, all attempts included; imported runs cost nothing.

    GPU-hours are those of the device: while n runs share a GPU, each counts 1/n of the time. A
    run on the CPU counts one core. A run that studies share counts in each of them.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    attempts = text(
        "SELECT run_id, machine, device, started_at, coalesce(attempt.ended_at, heartbeat_at) "
        "FROM attempt JOIN worker ON worker.id = attempt.worker_id "
        "WHERE device LIKE 'cuda%' OR run_id IN (SELECT run_id FROM v_runs WHERE study = :study)"
    )
    arms = text("SELECT run_id, arm FROM v_runs WHERE study = :study")
    with read(engine) as session:
        study_named(session, study)
        arm_of: dict[int, str] = dict(session.execute(arms, {"study": study}).all())
        rows = session.execute(attempts, {"study": study}).all()
    stretches = [
        Stretch(run_id, (machine, device), device.startswith("cuda"), _seconds(a), _seconds(b))
        for run_id, machine, device, a, b in rows
        if device != "import"
    ]
    found: dict[str, Usage] = dict.fromkeys(arm_of.values(), Usage())
    for run_id, cost in costs(stretches).items():
        if run_id in arm_of:
            found[arm_of[run_id]] += cost
    return found


def costs(stretches: Iterable[Stretch]) -> dict[int, Usage]:
    """What each run has cost."""
    found: dict[int, Usage] = defaultdict(Usage)
    on_gpu: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for one in stretches:
        if one.on_gpu:
            on_gpu[one.device].append(one)
        else:
            found[one.run_id] += Usage(cpu_hours=max(0.0, one.end - one.start) / 3600)
    for sharing in on_gpu.values():
        for run_id, seconds in _shares(sharing).items():
            found[run_id] += Usage(gpu_hours=seconds / 3600)
    return dict(found)


def _shares(stretches: Iterable[Stretch]) -> dict[int, float]:
    """The seconds of one GPU that each run has cost: between two changes all have equal shares."""
    changes = sorted(
        (moment, begins, number, one.run_id)
        for number, one in enumerate(stretches)
        if one.end > one.start
        for moment, begins in ((one.start, True), (one.end, False))
    )
    there: dict[int, int] = {}
    found: dict[int, float] = defaultdict(float)
    before = 0.0
    for moment, begins, number, run_id in changes:
        for other in there.values():
            found[other] += (moment - before) / len(there)
        before = moment
        if begins:
            there[number] = run_id
        else:
            del there[number]
    return found


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
