"""A toggle that did nothing in a finished run is found out."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from ablate import planner
from ablate.activation import silent
from ablate.assembly import assemble_study
from ablate.runspec import RunSpec
from agents.training.reports import EpisodeResult, Evaluation, Metrics, Report
from results.database import queue
from results.database.engine import read, write

PROOFS = {
    "random_shift": ("random_shift/inputs_changed", 0.0),
    "replay_ratio": ("recipe/env_frames_per_update", 64.0),
}


def training(shifted: float | None, every: float) -> Callable[..., Iterator[Report]]:
    """A stand-in that records how much was shifted, and at which ratio it was updated."""

    def train(spec: RunSpec, *_: object) -> Iterator[Report]:
        changed = {} if shifted is None else {"random_shift/inputs_changed": shifted}
        for env_frames in (1000, 2000):
            values = changed | {"recipe/env_frames_per_update": every}
            yield Metrics(env_frames, 10, values)
        result = EpisodeResult(0, 1.0, 4, False, (4,))
        yield Evaluation(2000, True, "argmax", (result,))

    return train


def found(engine: Engine) -> list[tuple[str, str]]:
    return [(one.arm, one.modification) for one in silent(engine, "mini")]


def test_a_run_is_submitted_with_what_would_prove_its_modifications(parsed) -> None:
    runs = {run.arm: run for run in assemble_study(parsed()).runs}
    specs = {arm: RunSpec.from_json(run.specification) for arm, run in runs.items()}
    assert specs["base"].proofs == {}
    assert specs["full"].proofs == PROOFS
    without = replace(specs["full"], proofs={})
    assert without.identity == specs["full"].identity
    assert RunSpec.from_json(specs["full"].to_json()) == specs["full"]


def test_a_modification_that_acted_is_not_flagged(work, submitted) -> None:
    said = work(training(shifted=0.98, every=32.0))
    assert [one["arm"] for one in said if one["event"] == "finished"]
    assert found(submitted) == []


@pytest.mark.parametrize("shifted", [0.0, None])
def test_a_modification_that_stayed_silent_is_flagged(work, submitted, shifted) -> None:
    work(training(shifted=shifted, every=32.0))
    assert found(submitted) == [
        ("full", "random_shift"),
        ("base+augmentation", "random_shift"),
    ]


def test_a_ratio_that_stayed_the_bases_is_flagged(work, submitted) -> None:
    work(training(shifted=0.5, every=64.0))
    assert found(submitted) == [("full", "replay_ratio"), ("base+ratio", "replay_ratio")]


def test_a_run_that_is_not_finished_is_not_judged(submitted) -> None:
    assert found(submitted) == []


def test_a_run_from_before_there_were_proofs_is_not_judged(parsed, engine) -> None:
    spec = RunSpec.from_json(assemble_study(parsed()).runs[0].specification)
    values = json.loads(spec.to_json())
    del values["proofs"]
    assert RunSpec.from_json(json.dumps(values)).proofs == {}


def test_a_run_that_an_earlier_version_finished_is_judged_by_its_curves(work, submitted) -> None:
    work(training(shifted=0.0, every=32.0))
    judged = silent(submitted, "mini")
    with write(submitted) as session:
        session.execute(text("DELETE FROM activation"))
    assert judged
    assert silent(submitted, "mini") == judged


def test_how_a_finished_study_stands_is_said_without_reading_its_curves(work, submitted) -> None:
    work(training(shifted=0.0, every=32.0))
    judged = silent(submitted, "mini")
    with write(submitted) as session:
        session.execute(text("DELETE FROM curve_chunk"))
    assert silent(submitted, "mini") == judged


def test_what_acted_before_the_checkpoint_that_a_run_went_on_from_has_acted(submitted) -> None:
    """One modification acts before the checkpoint, one after it in what was lost, one never."""
    proofs = {"early": ("a", 0.0), "lost": ("b", 0.0), "never": ("c", 0.0)}
    worker = queue.register_worker(submitted, device="cpu", slot=0)
    claim = queue.claim(submitted, worker)
    assert claim is not None
    first = queue.AttemptWriter(submitted, claim)
    first.log({"a": 0.5, "b": 0.0, "c": 0.0}, 100)
    first.checkpoint(1000, "one.pt", "0" * 64, 10)
    first.log({"a": 0.0, "b": 0.5, "c": 0.0}, 1100)
    first.release("stopped")
    again = queue.claim(submitted, worker)
    assert again is not None
    assert again.run_id == claim.run_id
    second = queue.AttemptWriter(submitted, again)
    second.resume(again.checkpoints[0])
    second.log({"a": 0.0, "b": 0.0, "c": 0.0}, 2000)
    second.finish(3.0, proofs)
    with read(submitted) as session:
        rows = session.execute(text("SELECT modification, acted FROM activation")).all()
    assert dict(rows) == {"early": True, "lost": False, "never": False}


def test_status_says_which_toggles_did_nothing(work, ablate, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    work(training(shifted=0.0, every=32.0))
    shown = ablate("status", "mini").stdout
    assert "Did nothing" in shown
    assert "random_shift/inputs_changed" in shown
    listed = json.loads(ablate("status", "mini", "--json").stdout)["silent"]
    assert [one["arm"] for one in listed] == ["full", "base+augmentation"]
    assert listed[0]["modification"] == "random_shift"
    assert listed[0]["metric"] == "random_shift/inputs_changed"


def test_status_is_quiet_where_everything_acted(work, ablate) -> None:
    work(training(shifted=0.5, every=32.0))
    assert "Did nothing" not in ablate("status", "mini").stdout
    assert json.loads(ablate("status", "mini", "--json").stdout)["silent"] == []


def test_status_can_be_asked_before_anything_is_finished(submitted: Engine, ablate) -> None:
    assert json.loads(ablate("status", "mini", "--json").stdout)["silent"] == []
    assert planner.existing_database(str(submitted.url)) is not None
