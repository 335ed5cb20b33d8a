"""A study made of records: arms, runs and their identities, all from the contents alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from results.database.records import (
    ArmRecord,
    ImportedRunRecord,
    ImportSourceRecord,
    RunRecord,
    StudyRecord,
)
from results.exchange.arms import Switched
from results.exchange.record import Record, RecordSet, games, methods

UNKNOWN = "unknown"


def assemble(
    record_set: RecordSet,
    *,
    name: str,
    protocol: str,
    env_frames: int | None,
    switched: Switched,
    sources: Sequence[ImportSourceRecord],
) -> tuple[StudyRecord, list[ImportedRunRecord]]:
    """The study of the records, each method an arm, and its runs in the order of the records.

    An arm is known by what its runs scored: the same files give the same arms and runs, in any
    study and any database; other numbers give others.

    Args:
        record_set: The records, at least one.
        name: What the study is called.
        protocol: Label of the protocol.
        env_frames: Where the arms are compared; the last point of all records where None.
        switched: What is on in each arm.
        sources: The file of each record.
    """
    records = record_set.records
    end = max(one.env_frames[-1] for one in records) if env_frames is None else env_frames
    names = methods(records)
    shared = {
        method: _shared(
            record_set, [one for one in records if one.method == method], protocol, end
        )
        for method in names
    }
    arms = tuple(
        ArmRecord(
            name=method,
            identity=_sha256(shared[method]),
            agent=canonical_json({"imported": method}),
            toggles=switched.arms[method],
        )
        for method in names
    )
    runs = [
        _run(record, shared[record.method], source, end)
        for record, source in zip(records, sources, strict=True)
    ]
    seeds = tuple(sorted({record.seed for record in records}))
    contents = {
        "arms": [{"name": arm.name, "identity": arm.identity, "on": arm.toggles} for arm in arms],
        "games": games(records),
        "seeds": seeds,
        "toggles": [[one.name, one.levels, one.in_full] for one in switched.toggles],
    }
    files = list(dict.fromkeys(source.file for source in sources))
    study = StudyRecord(
        name=name,
        question=f"What did {_counted(files)} report?",
        source="",
        contents_sha256=_sha256(contents),
        protocol=protocol,
        env_frames=end,
        prefill_frames=0,
        designs=(),
        games=tuple(games(records)),
        seeds=seeds,
        toggles=switched.toggles,
        arms=arms,
        evaluation=_evaluation(record_set, sources),
    )
    return study, runs


def final_env_frames(env_frames: Sequence[int], end: int) -> int | None:
    """The point that is a run's score at the end; None where the curve ended early.

    It is the last point at or before the end, at most one evaluation interval back: the median
    of the gaps between the curve's points. A single point counts only at the end itself.
    """
    before = [point for point in env_frames if point <= end]
    if not before:
        return None
    interval = float(np.median(np.diff(env_frames))) if len(env_frames) > 1 else 0.0
    return before[-1] if before[-1] >= end - interval else None


def canonical_json(value: object) -> str:
    """One text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _run(
    record: Record, shared: Mapping[str, object], source: ImportSourceRecord, end: int
) -> ImportedRunRecord:
    determinants = {**shared, "game": record.game, "seed": record.seed}
    run = RunRecord(
        identity=_sha256(determinants),
        arm=record.method,
        game=record.game,
        seed=record.seed,
        specification=canonical_json({**determinants, "config": {}, "modifications": []}),
    )
    return ImportedRunRecord(
        run=run,
        source=source,
        env_frames=record.env_frames,
        values=record.values,
        final_env_frames=final_env_frames(record.env_frames, end),
    )


def _shared(
    record_set: RecordSet, records: Sequence[Record], protocol: str, end: int
) -> dict[str, object]:
    """What the runs of an arm share, in the shape of a trained run's specification."""
    return {
        "agent": {
            "imported": records[0].method,
            "means": record_set.means,
            "normalization": record_set.normalization,
            "records_sha256": _records_sha256(records),
        },
        "agent_version": 0,
        "protocol": {"label": protocol},
        "budget": {"env_frames": end, "prefill_frames": 0},
        "precision": UNKNOWN,
    }


def _records_sha256(records: Sequence[Record]) -> str:
    digest = hashlib.sha256()
    for record in sorted(records, key=lambda one: (one.game, one.seed)):
        digest.update(canonical_json([record.game, record.seed, len(record.values)]).encode())
        digest.update(np.array(record.env_frames, "<i8").tobytes())
        digest.update(np.array(record.values, "<f8").tobytes())
    return digest.hexdigest()


def _sha256(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _counted(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"


def _evaluation(record_set: RecordSet, sources: Sequence[ImportSourceRecord]) -> str:
    """One phrase about what a number stands for."""
    formats = ", ".join(dict.fromkeys(source.format for source in sources))
    if record_set.means:
        return f"imported, {formats}: a mean over an unknown number of runs, not one run"
    if record_set.normalization is not None:
        return f"imported, {formats}: a score, not a return"
    return f"imported, {formats}"
