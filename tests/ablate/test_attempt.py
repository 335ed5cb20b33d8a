"""Attempts with a stand-in for training: what is written, where a run goes on, how it is left."""

import hashlib
import os
import time

import numpy as np
import pytest
import torch
from sqlalchemy import update

from ablate import attempt, worker
from ablate.assembly import assemble_study
from ablate.planner import submit
from agents.training.checkpoint import Checkpoint, CheckpointError
from agents.training.reports import (
    Dreams,
    Episode,
    EpisodeResult,
    Evaluation,
    Metrics,
    NotSaved,
    Progress,
    Timing,
)
from results.database import queue, reading
from results.database.engine import write
from results.database.location import checkpoint_directory
from results.database.schema import Checkpoint as Row

REPORTS = (
    Progress(env_frames=400, updates=0, phase="prefill"),
    Episode(400, episode_return=-3.0, length=100, truncated=True, discounted_return=-0.5),
    Metrics(env_frames=800, updates=5, values={"model_loss": 2.5}),
    Timing(env_frames=800, values={"updates_per_second": 7.0}),
    Evaluation(2000, True, "argmax", (EpisodeResult(0, 12.0, 90, False, (30, 60)),)),
    Dreams(env_frames=2000, arrays={"reward": np.ones((2, 3), np.float32)}),
    Progress(env_frames=2000, updates=9, phase="evaluate"),
)


class Told(worker.Stop):
    """Says stop from the moment that it is told to."""

    def __init__(self) -> None:
        super().__init__(os.getppid())
        self.told = False

    def reason(self) -> str | None:
        return "the test says so" if self.told else None


def finishing(spec, parts, checkpoints, resume):
    yield from REPORTS


class Saving:
    """Trains in name only: saves a checkpoint at each of these env_frames that is still ahead.

    Attributes:
        resumed: The env_frames at which its runs went on; None for a start.
        crash_after: It dies after the checkpoint at this place.
    """

    def __init__(self, *places: int, crash_after: int | None = None) -> None:
        self.places, self.crash_after = places, crash_after
        self.resumed: list[int | None] = []

    def __call__(self, spec, parts, checkpoints, resume):
        self.resumed.append(resume.env_frames if resume else None)
        yield Progress(resume.env_frames if resume else 0, 0, "train")
        for place in self.places:
            if resume is None or place > resume.env_frames:
                yield Metrics(place, 1, {"model_loss": float(place)})
                yield checkpoints.save(Checkpoint(place, {"values": torch.full((3,), place)}))
                if place == self.crash_after:
                    raise SystemExit("killed")  # nothing is written after it
        yield from REPORTS[-3:]


@pytest.fixture
def crashed(submitted, work):
    """The first run, of which a dead worker left checkpoints at these places."""

    def crash(*places: int) -> None:
        with pytest.raises(SystemExit):
            work(Saving(*places, crash_after=places[-1]))
        queue.release_dead(submitted, process_is_alive=lambda pid, started_at: False)

    return crash


@pytest.fixture
def files(submitted):
    """The names of the files in the checkpoint directory, with their folders."""
    root = checkpoint_directory(submitted)

    def listed() -> list[str]:
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    return listed


def events(said, name: str) -> list[dict[str, object]]:
    return [message for message in said if message["event"] == name]


def newest(submitted):
    """The path of the furthest checkpoint."""
    return max(checkpoint_directory(submitted).rglob("*.pt"), key=lambda path: path.name)


def test_everything_that_a_run_reports_is_written(work, submitted) -> None:
    work(finishing)
    values = {
        metric: reading.curve(submitted, "mini", metric)[["env_frames", "value"]].iloc[0].tolist()
        for metric in reading.metrics(submitted, "mini")
    }
    assert values == {
        "model_loss": [800, 2.5],
        "updates_per_second": [800, 7.0],
        "episode_return": [400, -3.0],
        "episode_length": [400, 100],
        "discounted_return": [400, -0.5],
        "evaluation/action_0": [2000, 1 / 3],
        "evaluation/action_1": [2000, 2 / 3],
    }
    row = reading.evaluations(submitted, "mini").iloc[0]
    assert (row["episode_return"], row["length"], row["final"]) == (12.0, 90, True)
    runs = reading.runs(submitted, "mini")
    assert (runs["env_frames"].tolist(), runs["updates"].tolist()) == ([2000] * 4, [9] * 4)
    env_frames, arrays = reading.dreams(submitted, int(runs["run_id"].iloc[0]))
    assert env_frames == 2000
    assert arrays["reward"].tolist() == [[1, 1, 1]] * 2


def test_a_run_that_raises_fails_and_the_worker_goes_on(work, submitted) -> None:
    def failing(spec, parts, checkpoints, resume):
        yield REPORTS[0]
        if not parts.views:
            raise ValueError("too dark")

    failed = events(work(failing), "failed")
    assert [message["error"] for message in failed] == ["ValueError: too dark"] * 2
    counts = reading.counts(submitted, "mini")
    assert (counts["failed"], counts["finished"]) == (2, 2)
    errors = reading.runs(submitted, "mini")["error"].dropna()
    assert all("Traceback" in error and "too dark" in error for error in errors)


def test_a_run_of_other_code_fails_in_one_sentence(work, submitted, monkeypatch) -> None:
    monkeypatch.setattr("ablate.rebuilding.AGENT_VERSION", 99)
    failed = events(work(finishing), "failed")
    assert len(failed) == 4
    assert "99 now" in str(failed[0]["error"])
    assert "Traceback" not in reading.runs(submitted, "mini")["error"].iloc[0]


def test_a_run_goes_on_from_its_newest_checkpoint(work, submitted, crashed) -> None:
    crashed(400, 800)
    train = Saving(400, 800, 1200)
    said = work(train)
    assert train.resumed == [800, None, None, None]
    [resumed] = events(said, "resumed")
    assert (resumed["env_frames"], resumed["number"], resumed["parent"]) == (800, 2, 1)
    curve = reading.curve(submitted, "mini", "model_loss")
    assert curve[curve["run_id"] == 1]["env_frames"].tolist() == [400, 800, 1200]
    runs = reading.runs(submitted, "mini")
    assert runs["resumed_env_frames"].iloc[0] == 800
    assert not events(said, "checkpoint_refused")


def cut_short(path, engine) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def removed(path, engine) -> None:
    path.unlink()


def of_another_run(path, engine) -> None:
    torch.save(torch.load(path, weights_only=True) | {"identity": "f" * 64}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with write(engine) as session:
        session.execute(update(Row).where(Row.env_frames == 800).values(sha256=sha256))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut_short, "its bytes are not those once written"),
        (removed, "No such file"),
        (of_another_run, "belongs to the run ffffffffffff"),
    ],
)
def test_a_newest_checkpoint_that_is_no_good_is_passed_over(
    work, submitted, crashed, damage, why
) -> None:
    crashed(400, 800)
    damage(newest(submitted), submitted)
    train = Saving(400, 800, 1200)
    said = work(train)
    assert train.resumed[0] == 400
    [refused] = events(said, "checkpoint_refused")
    assert refused["env_frames"] == 800
    assert why in str(refused["reason"])
    curve = reading.curve(submitted, "mini", "model_loss")
    assert curve[curve["run_id"] == 1]["env_frames"].tolist() == [400, 800, 1200]
    assert reading.counts(submitted, "mini")["finished"] == 4


def test_a_run_without_a_good_checkpoint_starts_again(work, submitted, crashed) -> None:
    crashed(400, 800)
    for path in checkpoint_directory(submitted).rglob("*.pt"):
        cut_short(path, submitted)
    train = Saving(400, 800, 1200)
    said = work(train)
    assert train.resumed[0] is None
    assert [message["env_frames"] for message in events(said, "checkpoint_refused")] == [800, 400]
    assert not events(said, "resumed")


def test_a_checkpoint_that_training_refuses_is_passed_over(work, submitted, crashed) -> None:
    crashed(400, 800)
    inner = Saving(400, 800, 1200)

    def refusing(spec, parts, checkpoints, resume):
        if resume is not None and resume.env_frames == 800:
            raise CheckpointError("the environment does not come back")
        yield from inner(spec, parts, checkpoints, resume)

    [refused] = events(work(refusing), "checkpoint_refused")
    assert "does not come back" in str(refused["reason"])
    assert inner.resumed[0] == 400
    assert reading.runs(submitted, "mini")["resumed_env_frames"].iloc[0] == 400


def test_the_two_latest_checkpoints_are_kept(crashed, files) -> None:
    crashed(400, 800, 1200)
    assert [name.split("/")[1].split("-")[0] for name in files()] == ["1200", "800"]


def test_a_finished_run_leaves_no_files(work, submitted, crashed, files) -> None:
    crashed(400, 800)
    folder = newest(submitted).parent
    (folder / "123.draft").write_text("half")
    work(Saving(400, 800, 1200))
    assert files() == []
    assert not checkpoint_directory(submitted).exists()


def test_files_of_other_runs_stay(work, submitted) -> None:
    other = checkpoint_directory(submitted) / "0123456789abcdef" / "400-x.pt"
    other.parent.mkdir(parents=True)
    other.write_text("precious")
    work(Saving(400))
    assert other.read_text() == "precious"


def test_what_a_killed_worker_left_half_done_is_deleted(work, submitted, crashed) -> None:
    crashed(400)
    draft = newest(submitted).parent / "123.draft"
    draft.write_text("half")
    seen = []

    def looking(spec, parts, checkpoints, resume):
        seen.append(draft.exists())
        yield from REPORTS

    work(looking)
    assert not seen[0]


def test_a_failed_run_goes_on_from_its_checkpoint_when_it_is_tried_again(
    work, submitted, parsed
) -> None:
    def failing(spec, parts, checkpoints, resume):
        yield checkpoints.save(Checkpoint(400, {}))
        raise OSError("no room")

    work(failing)
    assert reading.counts(submitted, "mini")["failed"] == 4
    file = parsed(("seeds = 2", "seeds = 1"), ('["Pong", "Assault"]', '["Pong"]'))
    submit(assemble_study(file), submitted, retry_failed=True)
    train = Saving(800)
    work(train)
    assert train.resumed == [400] * 4


def test_a_stopped_run_is_saved_before_it_is_handed_back(work, submitted) -> None:
    stop = Told()

    def long(spec, parts, checkpoints, resume):
        for place in range(400, 4000, 400):
            if checkpoints.due():
                yield checkpoints.save(Checkpoint(place, {}))
            stop.told = place == 800
            yield Progress(place, place, "train")

    said = work(long, stop)
    assert [message["event"] for message in said][-1] == "released"
    assert reading.counts(submitted, "mini")["queued"] == 4
    train = Saving(2000)
    work(train)
    assert train.resumed == [1200, None, None, None]


def stopped(work, *reports) -> list[object]:
    """Stops a run at the first of these reports; the events that were told."""
    stop = Told()

    def train(spec, parts, checkpoints, resume):
        stop.told = True
        yield from reports

    return [message["event"] for message in work(train, stop)]


def test_a_run_that_is_stopped_in_an_evaluation_is_handed_back_at_once(work) -> None:
    evaluates = Progress(800, 3, "evaluate")
    assert stopped(work, evaluates, *REPORTS) == ["started", "progress", "released"]


def test_a_run_that_cannot_be_saved_is_handed_back(work) -> None:
    trains = Progress(800, 3, "train")
    said = stopped(work, trains, NotSaved(800, "no room"), trains, *REPORTS)
    assert said == ["started", "progress", "not_saved", "released"]


def test_a_run_that_is_not_saved_in_time_is_handed_back(work, monkeypatch) -> None:
    monkeypatch.setattr(attempt, "STOP_SECONDS", 0.05)
    stop = Told()

    def train(spec, parts, checkpoints, resume):
        stop.told = True
        while True:
            time.sleep(0.01)
            yield Progress(800, 3, "train")

    assert work(train, stop)[-1]["event"] == "released"


def test_a_run_that_ends_while_it_is_stopped_is_finished(work, submitted) -> None:
    trains = Progress(800, 3, "train")
    assert stopped(work, trains, trains)[-1] == "finished"
    assert reading.counts(submitted, "mini")["finished"] == 1


def test_a_stopped_run_closes_its_environments(work) -> None:
    closed, kept = [], []

    def holding(spec):
        try:
            yield Progress(800, 3, "evaluate")
            yield from REPORTS
        finally:
            closed.append(spec.game)

    stop = Told()

    def train(spec, parts, checkpoints, resume):
        stop.told = True
        kept.append(holding(spec))  # or it would be closed when nobody holds it any more
        return kept[-1]

    work(train, stop)
    assert closed == ["Pong"]


def test_a_full_disk_is_told_once_until_there_is_room_again(work) -> None:
    def full(spec, parts, checkpoints, resume):
        yield NotSaved(400, "no room")
        yield NotSaved(800, "no room")
        yield checkpoints.save(Checkpoint(1200, {}))
        yield NotSaved(1600, "no room again")
        yield from REPORTS

    told = events(work(full), "not_saved")
    assert [message["env_frames"] for message in told] == [400, 1600] * 4


def test_a_run_that_was_lost_keeps_its_files(work, submitted, files) -> None:
    losing = iter([True])

    def slow(spec, parts, checkpoints, resume):
        if resume is None:
            yield checkpoints.save(Checkpoint(400, {}))
        if next(losing, False):
            queue.release_dead(submitted, process_is_alive=lambda pid, started_at: False)
            assert len(files()) == 1
        yield from REPORTS

    said = work(slow)
    assert [len(events(said, name)) for name in ("lost", "resumed", "finished")] == [1, 1, 4]
