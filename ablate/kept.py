"""What the code made of a study, kept for the plans to come: they need not wait for the agent.

Kept under everything that decides it: the study file, the sources of this program, the libraries
and the machine. Only plans read it: what goes into the database is put together anew.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ablate.assembled import AssembledStudy, Assembly, run_records
from ablate.provenance import sources_sha256
from ablate.study import StudyFile
from results import caching


def assembled_before(file: StudyFile) -> AssembledStudy:
    """What `assemble_study` gives, from what was kept if that is the same, else put together.

    Raises:
        StudyError: As `assemble_study`.
    """
    found = _kept(file)
    return assembled_now(file) if found is None else found


def assembled_now(file: StudyFile) -> AssembledStudy:
    """What `assemble_study` gives, and keeps it.

    A study with games of gymnasium is not kept: what these are is decided elsewhere.

    Raises:
        StudyError: As `assemble_study`.
    """
    from ablate.assembly import assemble_study
    from agents.training.environments import GAMES

    assembled = assemble_study(file)
    if all(game in GAMES for game in assembled.study.games):
        kept = Assembly(**{one.name: getattr(assembled, one.name) for one in fields(Assembly)})
        text = json.dumps({"decided_by": _decided_by(file), "assembly": asdict(kept)})
        caching.keep(_name(file), text)
    return assembled


def _kept(file: StudyFile) -> AssembledStudy | None:
    text = caching.read(_name(file))
    try:
        values = json.loads(text or "{}")
        if values["decided_by"] != _decided_by(file):
            return None
        kept = TypeAdapter(Assembly).validate_python(values["assembly"])
    except (KeyError, TypeError, ValidationError, json.JSONDecodeError):
        return None
    return AssembledStudy(**vars(kept), file=file, runs=run_records(kept.study, kept.arms))


def _name(file: StudyFile) -> str:
    return f"study_{file.study.name}"


def _decided_by(file: StudyFile) -> str:
    """sha256 of everything that decides what a study means, and how long it takes here."""
    digest = hashlib.sha256()
    for word in (file.source, sources_sha256(), platform.node(), sys.version, *_libraries()):
        digest.update(f"{len(word)} {word}\n".encode())
    return digest.hexdigest()


def _libraries() -> Iterator[str]:
    """Names and versions of what is installed."""
    for folder in sys.path:
        yield from sorted(path.name for path in Path(folder).glob("*.dist-info"))
