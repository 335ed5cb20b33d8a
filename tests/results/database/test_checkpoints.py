from __future__ import annotations

import pytest
from sqlalchemy import text

from results.database import engine as engine_module
from results.database.attempts import AttemptWriter
from results.database.engine import read
from results.database.errors import LeaseLost
from results.database.queue import claim
from results.database.reading import curve
from results.database.records import CheckpointRow

SHA = "f" * 64


@pytest.fixture
def attempt(engine, submitted, add_worker, clock):
    """Begins the next attempt at the first run, whoever had it."""
    worker = add_worker()
    return lambda: AttemptWriter(engine, claim(engine, worker, clock=clock), clock=clock)


def paths(engine):
    with read(engine) as session:
        return list(session.scalars(text("SELECT path FROM checkpoint ORDER BY id")))


def test_a_claim_names_the_checkpoints_of_earlier_attempts_the_furthest_first(attempt):
    first = attempt()
    assert first.claim.checkpoints == ()
    first.checkpoint(400, "a/400", SHA, 7)
    first.checkpoint(800, "a/800", "e" * 64, 8)
    first.release("asked to stop")
    assert attempt().claim.checkpoints == (
        CheckpointRow(
            attempt_id=1, env_frames=800, path="a/800", sha256="e" * 64, size=8, number=1
        ),
        CheckpointRow(attempt_id=1, env_frames=400, path="a/400", sha256=SHA, size=7, number=1),
    )


def test_another_run_has_no_part_in_them(engine, attempt, add_worker):
    attempt().checkpoint(400, "a/400", SHA, 7)
    other = claim(engine, add_worker(200))
    assert (other.run_id, other.checkpoints) == (2, ())


def test_the_latest_two_checkpoints_of_a_run_stay(engine, attempt):
    writer = attempt()
    assert writer.checkpoint(400, "a/400", SHA, 7) == []
    assert writer.checkpoint(800, "a/800", SHA, 7) == []
    assert writer.checkpoint(1200, "a/1200", SHA, 7) == ["a/400"]
    assert paths(engine) == ["a/800", "a/1200"]


def test_a_new_checkpoint_stays_however_far_an_unreadable_one_was(engine, attempt):
    first = attempt()
    first.checkpoint(400, "a/400", SHA, 7)
    first.checkpoint(800, "a/800", SHA, 7)
    first.release("asked to stop")
    second = attempt()  # from the start: neither could be read
    assert second.checkpoint(100, "a/100", SHA, 7) == ["a/400"]
    assert second.checkpoint(200, "a/200", SHA, 7) == ["a/800"]
    assert paths(engine) == ["a/100", "a/200"]


def test_a_file_written_again_is_not_forgotten(engine, attempt):
    first = attempt()
    first.checkpoint(400, "a/400", SHA, 7)
    first.checkpoint(800, "a/800", SHA, 7)
    first.release("asked to stop")
    second = attempt()
    assert second.checkpoint(800, "a/800", "e" * 64, 9) == []
    assert second.checkpoint(1200, "a/1200", SHA, 7) == ["a/400"]
    assert paths(engine) == ["a/800", "a/1200"]


def test_a_checkpoint_at_the_same_place_takes_the_place_of_the_first(engine, attempt):
    writer = attempt()
    writer.checkpoint(400, "a/first", SHA, 7)
    assert writer.checkpoint(400, "a/second", SHA, 7) == ["a/first"]
    assert paths(engine) == ["a/second"]


def test_everything_up_to_a_checkpoint_is_on_the_disk_with_it(engine, attempt):
    writer = attempt()
    writer.log({"loss": 0.5}, env_frames=400)
    levels = []

    def look(connection, *_):
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    engine_module.event.listen(engine, "commit", look)
    writer.checkpoint(400, "a/400", SHA, 7)
    assert levels == [2]  # FULL
    assert curve(engine, "smoke", "loss")["value"].tolist() == [0.5]


def test_a_finished_run_forgets_the_checkpoints_of_all_its_attempts(engine, attempt):
    first = attempt()
    first.checkpoint(400, "a/400", SHA, 7)
    first.release("asked to stop")
    second = attempt()
    second.checkpoint(800, "a/800", SHA, 7)
    assert second.finish(1.0) == ["a/400", "a/800"]
    assert paths(engine) == []


def test_an_attempt_without_its_run_leaves_the_checkpoints_alone(engine, attempt):
    first = attempt()
    first.checkpoint(400, "a/400", SHA, 7)
    attempt()
    for write in (
        lambda: first.checkpoint(800, "a/800", SHA, 7),
        lambda: first.finish(1.0),
        lambda: first.resume(CheckpointRow(1, 400, "a/400", SHA, 7, 1)),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert paths(engine) == ["a/400"]


def test_an_attempt_goes_on_from_a_checkpoint_of_its_own_run_only(engine, attempt, add_worker):
    first = attempt()
    first.checkpoint(400, "a/400", SHA, 7)
    first.release("asked to stop")
    second = attempt()
    other = AttemptWriter(engine, claim(engine, add_worker(200)))
    with pytest.raises(ValueError, match="attempt 1 is not one at run 2"):
        other.resume(second.claim.checkpoints[0])


def test_a_run_that_is_saved_is_forgiven_its_losses(engine, attempt):
    with engine_module.write(engine) as session:
        session.execute(text("UPDATE run SET losses = 3"))
    attempt().checkpoint(400, "a/400", SHA, 7)
    with read(engine) as session:
        losses = session.execute(text("SELECT id, losses FROM run")).all()
    assert dict(losses)[1] == 0
    assert set(dict(losses).values()) == {0, 3}
