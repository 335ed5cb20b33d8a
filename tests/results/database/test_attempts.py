from __future__ import annotations

import math

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from results.database import engine as engine_module
from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError, open_database, read, write
from results.database.queue import claim, release_dead
from results.database.reading import curve, evaluations, metrics, runs
from results.database.records import EpisodeRow


@pytest.fixture
def writer(engine, submitted, add_worker, clock) -> AttemptWriter:
    return AttemptWriter(engine, claim(engine, add_worker(), clock=clock), clock=clock)


def chunks(engine):
    with read(engine) as session:
        return [
            tuple(row)
            for row in session.execute(
                text(
                    "SELECT name, seq, points, first_env_frames, last_env_frames "
                    "FROM curve_chunk JOIN metric ON metric.id = metric_id ORDER BY name, seq"
                )
            )
        ]


def progress(engine):
    row = runs(engine, "smoke").iloc[0]
    return row["env_frames"], row["updates"], row["heartbeat_at"].to_pydatetime()


def test_points_wait_until_there_are_a_hundred(engine, writer):
    for point in range(99):
        writer.log({"loss": point}, env_frames=point)
    assert chunks(engine) == []
    writer.log({"loss": 99}, env_frames=99)
    assert chunks(engine) == [("loss", 0, 100, 0, 99)]


def test_points_wait_no_longer_than_thirty_seconds(engine, writer, clock):
    writer.log({"loss": 1.0}, env_frames=4)
    clock.move(29)
    writer.log({"loss": 2.0}, env_frames=8)
    assert chunks(engine) == []
    clock.move(1)
    writer.progress(env_frames=12, updates=1)
    assert chunks(engine) == [("loss", 0, 2, 4, 8)]


def test_progress_and_heartbeat_are_written_every_two_seconds(engine, writer, clock):
    start = clock()
    writer.progress(env_frames=4, updates=1)
    assert progress(engine) == (0, 0, start)
    clock.move(2)
    writer.progress(env_frames=8, updates=2)
    assert progress(engine) == (8, 2, clock())


def test_a_clock_that_is_set_back_does_not_stop_the_heartbeat(engine, writer, clock):
    clock.move(-3600)
    writer.progress(env_frames=8, updates=2)
    assert progress(engine) == (8, 2, clock())


def test_an_episode_adds_its_return_and_its_length(engine, writer):
    writer.episode(env_frames=400, episode_return=-21.0, length=800)
    writer.finish(1.0)
    assert metrics(engine, "smoke") == ["episode_length", "episode_return"]
    assert curve(engine, "smoke", "episode_length")["value"].tolist() == [800.0]


def test_a_finished_attempt_has_one_chunk_per_metric_and_every_point(engine, writer):
    for point in range(250):
        writer.log({"loss": point / 3, "norm": math.nan}, env_frames=point * 4)
    assert len(chunks(engine)) == 4
    writer.finish(1.0)
    assert chunks(engine) == [("loss", 0, 250, 0, 996), ("norm", 0, 250, 0, 996)]
    frame = curve(engine, "smoke", "loss")
    assert frame["env_frames"].tolist() == [point * 4 for point in range(250)]
    assert frame["value"].tolist() == [point / 3 for point in range(250)]
    assert curve(engine, "smoke", "norm")["value"].isna().all()


def test_finishing_ends_the_attempt_and_the_run(engine, writer, clock):
    writer.progress(env_frames=6000, updates=120)
    clock.move(50)
    writer.finish(48.5)
    row = runs(engine, "smoke").iloc[0]
    assert (row["state"], row["seconds"], row["env_frames"]) == ("finished", 48.5, 6000)
    assert row["error"] is None


def test_the_commit_that_finishes_a_run_waits_for_the_disk(engine, writer):
    levels = []

    def look(connection, *_):
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    engine_module.event.listen(engine, "commit", look)
    writer.flush(force=True)
    writer.finish(1.0)
    assert levels == [1, 2]


def test_failing_keeps_the_traceback_and_what_waited(engine, writer):
    writer.log({"loss": 1.0}, env_frames=4)
    writer.fail("Traceback: boom")
    row = runs(engine, "smoke").iloc[0]
    assert (row["state"], row["error"]) == ("failed", "Traceback: boom")
    assert chunks(engine) == [("loss", 0, 1, 4, 4)]


def test_what_a_lost_attempt_wrote_is_not_shown(engine, writer, submitted, add_worker, clock):
    episode = EpisodeRow(episode=0, episode_return=1.0, length=10, truncated=False)
    writer.log({"loss": 1.0, "only_here": 1.0}, env_frames=4)
    writer.evaluation(8, [episode], "argmax", final=False)
    assert curve(engine, "smoke", "loss")["value"].tolist() == [1.0]
    release_dead(engine, machine="this machine", process_is_alive=lambda *_: False)
    assert curve(engine, "smoke", "loss").empty
    again = AttemptWriter(engine, claim(engine, add_worker()))
    again.log({"loss": 2.0}, env_frames=8)
    again.finish(1.0)
    assert curve(engine, "smoke", "loss")["value"].tolist() == [2.0]
    assert metrics(engine, "smoke") == ["loss"]
    assert evaluations(engine, "smoke").empty


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_an_evaluation_return_that_is_not_finite_is_refused_whole(engine, writer, wrong):
    episodes = [EpisodeRow(0, 3.0, 10, False), EpisodeRow(1, wrong, 10, False)]
    with pytest.raises(IntegrityError):
        writer.evaluation(8, episodes, "argmax", final=True)
    assert evaluations(engine, "smoke").empty
    writer.fail("the return is not finite")


def test_an_evaluation_is_written_at_once_with_the_points_before_it(engine, writer):
    writer.log({"loss": 1.0}, env_frames=4)
    writer.evaluation(8, [EpisodeRow(0, -21.0, 800, True)], "argmax", final=True)
    row = evaluations(engine, "smoke").iloc[0]
    assert (row["episode_return"], row["length"], row["policy"]) == (-21.0, 800, "argmax")
    assert row["final"]
    assert row["truncated"]
    assert len(chunks(engine)) == 1


def test_an_episode_of_an_evaluation_is_written_once(engine, writer):
    episode = EpisodeRow(0, -21.0, 800, False)
    writer.evaluation(8, [episode], "argmax", final=False)
    with pytest.raises(IntegrityError):
        writer.evaluation(8, [episode], "argmax", final=False)
    writer.evaluation(8, [episode], "argmax", final=True)
    assert len(evaluations(engine, "smoke")) == 2


def test_points_survive_a_full_disk_and_are_written_when_there_is_room(engine, writer):
    with write(engine) as session:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count={pages}"))
    writer.log({f"metric_{i}": i / 7 for i in range(500)}, env_frames=4)
    with pytest.raises(DatabaseError, match="full"):
        writer.flush(force=True)
    with pytest.raises(DatabaseError, match="full"):
        writer.finish(1.0)
    assert chunks(engine) == []
    assert runs(engine, "smoke")["state"].iloc[0] == "running"
    with write(engine) as session:
        session.execute(text("PRAGMA max_page_count=1000000"))
    writer.finish(1.0)
    assert len(chunks(engine)) == 500


def test_a_database_that_stays_locked_is_reported_and_loses_no_point(
    path, engine, writer, monkeypatch
):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    impatient = open_database(path)
    hasty = AttemptWriter(impatient, writer.claim)
    hasty.log({"loss": 1.0}, env_frames=4)
    with write(engine), pytest.raises(DatabaseError, match="stayed locked"):
        hasty.flush(force=True)
    hasty.finish(1.0)
    impatient.dispose()
    assert curve(engine, "smoke", "loss")["value"].tolist() == [1.0]
