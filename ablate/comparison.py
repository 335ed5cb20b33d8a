"""Comparison: why two runs, or two arms, are not the same."""

from sqlalchemy import Engine, select

from ablate.runspec import Difference, RunSpec, differences
from ablate.study import StudyError, nearest
from results.database import reading
from results.database.engine import read
from results.database.schema import Run

MOST_DIGITS = 18
"""Of the id of a run: what the database can hold whatever the digits are."""


def compare(engine: Engine, left: str, right: str) -> tuple[Difference, ...]:
    """Where what decides the results of two runs or arms differs.

    Args:
        engine: The database.
        left: The id of a run, or `STUDY/ARM`.
        right: The same. Two arms are compared without game and seed.

    Raises:
        StudyError: If one of them does not exist.
        DatabaseError: If the database cannot be read.
    """
    sides = [_specification(engine, word).determinants for word in (left, right)]
    if not _is_run_id(left) and not _is_run_id(right):
        for side in sides:
            del side["game"], side["seed"]
    return differences(*sides)


def _specification(engine: Engine, word: str) -> RunSpec:
    """The specification of a run, or of the first run of an arm."""
    text = None
    if not _is_run_id(word) or len(word) <= MOST_DIGITS:
        run_id = int(word) if _is_run_id(word) else _first_run(engine, word)
        with read(engine) as session:
            text = session.scalar(select(Run.specification).where(Run.id == run_id))
    if text is None:
        raise StudyError(
            f"There is no run {word} in {engine.url.database}; `ablate status STUDY --json` "
            "lists the ids of a study's runs."
        )
    return RunSpec.from_json(text)


def _is_run_id(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _first_run(engine: Engine, word: str) -> int:
    study, slash, arm = word.partition("/")
    if not slash:
        raise StudyError(f"{word!r} is neither the id of a run nor an arm written STUDY/ARM.")
    runs = reading.runs(engine, study)
    names = list(dict.fromkeys(runs["arm"]))
    if arm not in names:
        raise StudyError(f"The study {study} has no arm {arm!r}; {nearest(arm, names)}.")
    return int(runs[runs["arm"] == arm]["run_id"].iloc[0])
