"""Importing: files become records, records a study; nothing is written before all is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from results.database.imports import Written, put_imported
from results.database.records import (
    ImportedRunRecord,
    ImportSourceRecord,
    NormalizationRow,
    StudyRecord,
)
from results.database.store import put_normalization
from results.exchange import tensorboard
from results.exchange.arms import ArmFile, switched
from results.exchange.assembly import assemble, canonical_json
from results.exchange.checking import ATARI, check
from results.exchange.errors import ExchangeError
from results.exchange.formats import Format
from results.exchange.record import (
    COLUMNS,
    X_UNITS,
    Reading,
    ReadOptions,
    Record,
    RecordSet,
    Refused,
    methods,
)
from results.statistics.errors import nearest
from results.statistics.normalize import normalization

SEEDS = "seeds"
"""Where the options of a source hold the names of seeds, each with its number."""
_STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Request:
    """What to import, and what its files do not say.

    Attributes:
        paths: Files or folders.
        format: How they are read.
        study: What the study is to be called.
        protocol: Label of the protocol that the runs followed.
        options: What the format needs besides.
        arms: What is on in arms whose names do not say it.
        other_games: Games besides Atari's, by the names that they are to keep.
        skip_bad: Whether records that cannot be used are left out, and named.
    """

    paths: Sequence[Path]
    format: Format
    study: str
    protocol: str
    options: ReadOptions = field(default_factory=ReadOptions)
    arms: ArmFile | None = None
    other_games: Collection[str] = ()
    skip_bad: bool = False


@dataclass(frozen=True)
class Imported:
    """What files hold, ready to be written.

    Attributes:
        study: The study.
        runs: Its runs.
        record_set: The same as records.
        refused: The records that were left out.
        seed_names: The numbers of seeds that are names in the files.
    """

    study: StudyRecord
    runs: Sequence[ImportedRunRecord]
    record_set: RecordSet
    refused: Sequence[Refused]
    seed_names: Mapping[str, int]


def read_study(request: Request) -> Imported:
    """Reads the files and makes a study of them.

    Raises:
        ExchangeError: If a file cannot be read, does not say what it must, or holds a record that
            cannot be used (unless those are to be skipped).
    """
    _check_request(request)
    record_set, sources, refused = read_records(request)
    study, runs = assemble(
        record_set,
        name=request.study,
        protocol=request.protocol.strip(),
        env_frames=request.options.env_frames,
        switched=switched(methods(record_set.records), request.arms),
        sources=sources,
    )
    seed_names = {
        name: seed
        for options in dict.fromkeys(source.options for source in sources)
        for name, seed in json.loads(options).get(SEEDS, {}).items()
    }
    return Imported(study, runs, record_set, refused, seed_names)


def read_records(
    request: Request,
) -> tuple[RecordSet, list[ImportSourceRecord], list[Refused]]:
    """The records of the files, the file of each, and what had to be left out.

    Raises:
        ExchangeError: As `read_study`.
    """
    records: list[Record] = []
    sources: list[ImportSourceRecord] = []
    refused: list[Refused] = []
    taken: dict[tuple[str, str, int], str] = {}
    seed_names: dict[int, str] = {}
    kinds: dict[tuple[str | None, bool], Path] = {}
    for root, file in _files(request):
        reading = request.format.read(file, root, request.options)
        kinds.setdefault((reading.normalization, reading.means), file)
        own, bad = check(
            reading.drafts,
            file=str(file),
            frames_per_x=reading.frames_per_x,
            other_games=request.other_games,
            taken=taken,
            seed_names=seed_names,
        )
        if bad and not request.skip_bad:
            raise ExchangeError(_bad(bad))
        named = {seed_names[one.seed]: one.seed for one in own if one.seed in seed_names}
        source = _source(file, reading, request, named)
        records += own
        refused += bad
        sources += [source] * len(own)
    if len(kinds) > 1:
        first, second = list(kinds.values())[:2]
        raise ExchangeError(
            f"{first} and {second} hold different things (raw returns, normalised scores): import "
            "them as two studies."
        )
    if not records:
        what = f" that can be used ({refused[0]})" if refused else ""
        raise ExchangeError(
            f"{', '.join(map(str, request.paths))} holds no record{what}. Nothing was imported."
        )
    ((normalization, means),) = kinds
    return RecordSet(tuple(records), normalization, means), sources, refused


def write_study(engine: Engine, imported: Imported) -> Written:
    """Writes what was read, and the reference returns that views of the database need.

    Raises:
        StudyConflict: If the name is taken by a study with other contents.
        DatabaseError: If the database cannot be written.
    """
    written = put_imported(engine, imported.study, imported.runs)
    if imported.record_set.normalization is None:
        table = normalization(ATARI)
        known = [table.reference(game) for game in imported.study.games if game in table]
        rows = [NormalizationRow(one.game, one.random, one.human) for one in known]
        put_normalization(engine, ATARI, rows)
    return written


def sha256_of(path: Path) -> str:
    """The sha256 of a file, or of the event files of a folder one after the other."""
    digest = hashlib.sha256()
    for file in sorted(path.glob(tensorboard.FILES)) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _check_request(request: Request) -> None:
    """Makes sure that names and options make sense.

    Raises:
        ExchangeError: If one does not.
    """
    if not _STUDY.fullmatch(request.study):
        raise ExchangeError(
            f"The name {request.study!r} will not do for a study: letters, digits, _ and - are "
            "allowed."
        )
    if not request.protocol.strip():
        raise ExchangeError(
            "Say with --protocol which game interface and evaluation the runs followed: "
            "atari100k, dreamerv2, or a label of your own. Scores are compared only under equal "
            "labels."
        )
    options, format = request.options, request.format
    given = {
        "x_unit": options.x_unit,
        "columns": options.columns,
        "normalization": options.normalization,
        "tag": options.tag,
        "layout": options.layout,
    }
    for name, value in given.items():
        if value and name not in format.options:
            flag = {"columns": "column"}.get(name, name.replace("_", "-"))
            raise ExchangeError(
                f"--{flag} means nothing to the format {format.name}: leave it out."
            )
    if options.x_unit is not None and options.x_unit not in X_UNITS:
        raise ExchangeError(
            f"There is no unit {options.x_unit!r}: {nearest(options.x_unit, X_UNITS)}"
        )
    for column in options.columns:
        if column not in COLUMNS:
            raise ExchangeError(f"There is no column {column!r}: {nearest(column, COLUMNS)}")


def _files(request: Request) -> list[tuple[Path, Path]]:
    """Every file with the folder that it was found in, each once.

    Raises:
        ExchangeError: If a path is not there, or a folder holds no file of the format.
    """
    found: dict[Path, Path] = {}
    for path in request.paths:
        if not path.exists():
            raise ExchangeError(f"There is no file or folder {path}.")
        inside = request.format.find(path) if path.is_dir() else [path]
        if not inside:
            raise ExchangeError(
                f"The folder {path} holds no file of the format {request.format.name}."
            )
        for file in inside:
            found.setdefault(file, path if path.is_dir() else path.parent)
    return [(root, file) for file, root in found.items()]


def _source(
    file: Path, reading: Reading, request: Request, seeds: Mapping[str, int]
) -> ImportSourceRecord:
    """Where runs come from: their file, how it was read, and the names of their seeds."""
    options = request.options
    said = {
        "env_frames": options.env_frames,
        "x_unit": options.x_unit,
        "columns": options.columns,
        "normalization": options.normalization,
        "tag": options.tag,
        "layout": options.layout,
        "other_games": sorted(request.other_games),
        "arms": {name: dict(on) for name, on in request.arms.arms.items()} if request.arms else {},
        "skip_bad": request.skip_bad,
        SEEDS: seeds,
    }
    return ImportSourceRecord(
        file=str(file),
        sha256=sha256_of(file),
        format=request.format.name,
        options=canonical_json({name: value for name, value in said.items() if value}),
        protocol=request.protocol.strip(),
        normalization=reading.normalization,
        means=reading.means,
    )


def _bad(bad: Sequence[Refused]) -> str:
    more = f" ({len(bad) - 1} more in this file cannot be used either)" if len(bad) > 1 else ""
    stop = "" if bad[0].reason.endswith("?") else "."
    return (
        f"{bad[0]}{stop}{more} Nothing was imported. --skip-bad imports the rest and lists these."
    )
