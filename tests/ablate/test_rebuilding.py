"""Runs are rebuilt from their specifications, those of earlier versions of the code included."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import results
from ablate import rebuilding
from ablate.assembly import assemble_study
from ablate.rebuilding import OutdatedRun, rebuild
from ablate.runspec import RunSpec
from ablate.study_files import find_study

REFERENCE = Path(results.__file__).parent / "reference"


def recorded(name: str) -> Iterator[tuple[str, str]]:
    """Identity and specification of the runs of a database that ships with the project."""
    url = f"file:{REFERENCE / name}?mode=ro&immutable=1"
    with closing(sqlite3.connect(url, uri=True)) as connection:
        yield from connection.execute("SELECT identity, specification FROM run ORDER BY id")


def test_every_run_is_rebuilt_as_it_was_submitted(parsed) -> None:
    for run in assemble_study(parsed()).runs:
        spec = RunSpec.from_json(run.specification)
        assert rebuild(spec, run.identity).describe() is not None


def test_infinite_settings_survive_the_queue(parsed) -> None:
    run = assemble_study(parsed(("= 64", "= inf"), ("= 32 }", "= 64 }"))).runs[0]
    spec = RunSpec.from_json(run.specification)
    assert rebuild(spec, run.identity).config.env_frames_per_update == float("inf")


def test_a_run_of_another_agent_version_is_refused_with_the_difference(
    parsed, monkeypatch
) -> None:
    run = assemble_study(parsed()).runs[0]
    monkeypatch.setattr(rebuilding, "AGENT_VERSION", 99)
    with pytest.raises(OutdatedRun, match=r"agent_version: . then, 99 now.*under a new name"):
        rebuild(RunSpec.from_json(run.specification), run.identity)


def test_a_run_that_cannot_be_built_any_more_is_refused_with_the_reason(parsed) -> None:
    run = assemble_study(parsed()).runs[0]
    spec = RunSpec.from_json(run.specification)
    gone = replace(spec, modifications=(("no_such_thing", {}),))
    with pytest.raises(OutdatedRun, match="no_such_thing"):
        rebuild(gone, run.identity)


@pytest.mark.parametrize("name", ["smoke.sqlite", "cpu_small.sqlite"])
def test_runs_that_were_recorded_before_settings_were_added_keep_their_identity(name) -> None:
    runs = list(recorded(name))
    assert runs
    for identity, specification in runs:
        rebuild(RunSpec.from_json(specification), identity)


def test_the_smoke_study_still_asks_for_the_runs_that_were_recorded() -> None:
    asked = {run.identity for run in assemble_study(find_study("smoke")).runs}
    assert asked == {identity for identity, _ in recorded("smoke.sqlite")}


def test_a_setting_that_was_added_counts_once_it_is_used(parsed) -> None:
    change = ('size = "micro"', 'size = "micro"\ncorrected_targets = true')
    before = {run.identity for run in assemble_study(parsed()).runs}
    assert before.isdisjoint({run.identity for run in assemble_study(parsed(change)).runs})
    spelled = ('size = "micro"', 'size = "micro"\ncorrected_targets = false')
    assert before == {run.identity for run in assemble_study(parsed(spelled)).runs}
