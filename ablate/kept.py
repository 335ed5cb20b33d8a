"""What the code made of a study, kept for the plans of a day: they need not wait for the agent.

It follows from the study file, the sources of this program, what is installed and the machine;
how fast the machine is was measured when it was kept. Only plans read it: what goes into the
database is put together anew.
"""

import hashlib
import json
import platform

from pydantic import TypeAdapter

from ablate.assembled import AssembledStudy, Assembly, run_records
from ablate.devices import cpu_model
from ablate.provenance import packages_here, sources_sha256
from ablate.study import StudyFile
from results import caching

ASSEMBLY = TypeAdapter(Assembly)
DAYS = 1.0
"""For which a forecast of a run's time stands for the machine."""


def assembled_before(file: StudyFile) -> AssembledStudy:
    """What `assemble_study` gives: kept today under the same conditions, else put together.

    Raises:
        StudyError: As `assemble_study`.
    """
    checked, _, text = (caching.read(_name(file), days=DAYS) or "").partition("\n")
    if checked != _check(_conditions(file), text):
        return assembled_now(file)
    kept = ASSEMBLY.validate_python(json.loads(text))
    return AssembledStudy(**vars(kept), file=file, runs=run_records(kept.study, kept.arms))


def assembled_now(file: StudyFile) -> AssembledStudy:
    """What `assemble_study` gives, and keeps it.

    It is not kept if somebody changed the sources meanwhile, or if the study has games of
    gymnasium: what these are is decided elsewhere.

    Raises:
        StudyError: As `assemble_study`.
    """
    conditions = _conditions(file)
    from ablate.assembly import assemble_study
    from agents.training.environments import GAMES

    assembled = assemble_study(file)
    known = all(game in GAMES for game in assembled.study.games)
    if known and conditions == _conditions(file):
        text = json.dumps(ASSEMBLY.dump_python(assembled))
        caching.keep(_name(file), f"{_check(conditions, text)}\n{text}")
    return assembled


def _name(file: StudyFile) -> str:
    return f"study_{file.study.name}"


def _conditions(file: StudyFile) -> str:
    """Everything that decides what a study comes to."""
    return "\n".join(
        (sources_sha256(), packages_here().sha256, platform.node(), cpu_model(), file.source)
    )


def _check(conditions: str, text: str) -> str:
    """sha256 of what is kept and what it follows from: neither can change unnoticed."""
    return hashlib.sha256(f"{conditions}\n{text}".encode()).hexdigest()
