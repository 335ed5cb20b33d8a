"""What is read of a run that was interrupted and went on from a checkpoint."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError
from results.database.queue import claim
from results.database.reading import curve, dreams, evaluations, metrics, run_label, runs
from results.database.records import EpisodeRow, NormalizationRow
from results.database.store import existing_runs, measured_seconds, put_normalization, submit

SHA = "f" * 64


@pytest.fixture
def attempt(engine, submitted, add_worker, clock):
    """Begins the next attempt at the first run, from its furthest checkpoint if it has one."""
    worker = add_worker()

    def begin() -> AttemptWriter:
        writer = AttemptWriter(engine, claim(engine, worker, clock=clock), clock=clock)
        if writer.claim.checkpoints:
            writer.resume(writer.claim.checkpoints[0])
        return writer

    return begin


def log(writer, *env_frames, metric="loss"):
    """Points whose values tell which attempt wrote them."""
    for point in env_frames:
        writer.log({metric: writer.claim.number + point / 10_000}, env_frames=point)


def evaluate(writer, env_frames, *, final=False, shift=0.0):
    row = EpisodeRow(0, writer.claim.number + shift, 10, False)
    writer.evaluation(env_frames, [row], "argmax", final=final)


def points(engine, metric="loss"):
    frame = curve(engine, "smoke", metric)
    frame = frame[frame["run_id"] == 1]
    return list(zip(frame["env_frames"], frame["value"].astype(int), strict=True))


def test_a_curve_is_the_parents_up_to_the_checkpoint_and_then_its_own(engine, attempt):
    first = attempt()
    log(first, 100, 200)
    first.checkpoint(200, "a", SHA, 1)
    log(first, 300, 400)
    first.release("asked to stop")
    second = attempt()
    log(second, 300, 400, 500)
    second.flush(force=True)
    assert points(engine) == [(100, 1), (200, 1), (300, 2), (400, 2), (500, 2)]


def test_what_a_parent_wrote_after_the_checkpoint_is_never_read(engine, attempt):
    first = attempt()
    log(first, 100, 200)
    first.checkpoint(200, "a", SHA, 1)
    log(first, 300, 400)
    first.release("asked to stop")
    second = attempt()
    assert points(engine) == [(100, 1), (200, 1)]
    log(second, 500)
    second.flush(force=True)
    assert points(engine) == [(100, 1), (200, 1), (500, 2)]


def test_a_parents_own_bound_applies_to_its_parent(engine, attempt):
    first = attempt()
    log(first, 100, 200, 300)
    first.checkpoint(300, "a", SHA, 1)
    log(first, 350)
    first.release("asked to stop")
    second = attempt()
    log(second, 400, 500)
    second.checkpoint(500, "b", SHA, 1)
    log(second, 600)
    second.release("asked to stop")
    third = attempt()
    log(third, 600, 700)
    third.finish(1.0)
    assert points(engine) == [(100, 1), (200, 1), (300, 1), (400, 2), (500, 2), (600, 3), (700, 3)]


def test_two_children_of_one_checkpoint_do_not_mix(engine, attempt):
    first = attempt()
    log(first, 100)
    first.checkpoint(100, "a", SHA, 1)
    first.release("asked to stop")
    second = attempt()
    log(second, 200)
    second.release("asked to stop")
    third = attempt()
    log(third, 300)
    third.finish(1.0)
    assert points(engine) == [(100, 1), (300, 3)]


def test_an_attempt_from_the_start_has_no_part_in_earlier_ones(engine, attempt, clock, add_worker):
    first = attempt()
    log(first, 100)
    first.checkpoint(100, "a", SHA, 1)
    first.release("asked to stop")
    writer = AttemptWriter(engine, claim(engine, add_worker(9), clock=clock), clock=clock)
    log(writer, 50)
    writer.finish(1.0)
    assert points(engine) == [(50, 2)]


def test_a_point_that_was_written_again_counts_once(engine, attempt):
    first = attempt()
    log(first, 100, 200)
    log(first, 200, metric="entropy")
    first.checkpoint(200, "a", SHA, 1)
    log(first, 200, metric="late")
    first.release("asked to stop")
    second = attempt()
    log(second, 200, 300)
    second.finish(1.0)
    assert points(engine) == [(100, 1), (200, 2), (300, 2)]
    assert points(engine, "entropy") == [(200, 1)]


def test_evaluations_follow_the_same_rule(engine, attempt):
    first = attempt()
    evaluate(first, 100)
    evaluate(first, 200)
    first.checkpoint(200, "a", SHA, 1)
    evaluate(first, 300)
    first.release("asked to stop")
    second = attempt()
    evaluate(second, 200)
    evaluate(second, 300, final=True)
    second.finish(1.0)
    frame = evaluations(engine, "smoke")
    assert frame[["env_frames", "episode_return", "final"]].to_numpy().tolist() == [
        [100, 1.0, False],
        [200, 2.0, False],
        [300, 2.0, True],
    ]


def test_a_final_evaluation_before_the_last_checkpoint_is_scored_once(engine, attempt, path):
    first = attempt()
    evaluate(first, 6000, final=True)
    first.checkpoint(6000, "a", SHA, 1)
    first.release("asked to stop")
    attempt().finish(1.0)
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", 0.0, 4.0)])
    connection = sqlite3.connect(path)
    scores = connection.execute("SELECT episodes, mean_return, score FROM v_scores").fetchall()
    connection.close()
    assert scores == [(1, 1.0, 0.25)]


def test_the_index_of_curves_counts_the_points_that_are_read(engine, attempt, path):
    first = attempt()
    log(first, 100, 200)
    log(first, 200, metric="entropy")
    first.checkpoint(200, "a", SHA, 1)
    log(first, 300, 400)
    log(first, 300, metric="gone")
    first.release("asked to stop")
    second = attempt()
    log(second, 300)
    second.finish(1.0)
    connection = sqlite3.connect(path)
    index = connection.execute(
        "SELECT metric, points, first_env_frames, last_env_frames FROM v_curves_index "
        "ORDER BY metric"
    ).fetchall()
    connection.close()
    assert index == [("entropy", 1, 200, 200), ("loss", 3, 100, 300)]
    assert len(points(engine)) == 3
    assert metrics(engine, "smoke") == ["entropy", "loss"]


def test_a_run_shared_by_two_studies_is_chained_in_both(engine, attempt, make_study):
    first = attempt()
    log(first, 100)
    evaluate(first, 100)
    first.checkpoint(100, "a", SHA, 1)
    first.release("asked to stop")
    submit(engine, *make_study("second", seeds=(0,)))
    second = attempt()
    log(second, 200)
    second.finish(1.0)
    assert curve(engine, "second", "loss")["env_frames"].tolist() == [100, 200]
    assert len(evaluations(engine, "second")) == len(evaluations(engine, "smoke")) == 1


def test_runs_tell_where_an_attempt_went_on(engine, attempt, clock):
    first = attempt()
    clock.move(30)
    first.checkpoint(400, "a", SHA, 1)
    clock.move(10)
    first.release("asked to stop")
    clock.move(3600)
    second = attempt()
    row = runs(engine, "smoke").iloc[0]
    assert (row["attempt"], row["parent_attempt"], row["resumed_env_frames"]) == (2, 1, 400)
    assert (row["env_frames"], row["attempts"]) == (400, 2)
    clock.move(5)
    second.progress(500, 9)
    assert runs(engine, "smoke").iloc[0]["seconds"] == pytest.approx(45.0, abs=0.001)
    second.finish(8.0)
    row = runs(engine, "smoke").iloc[0]
    assert row["seconds"] == pytest.approx(48.0, abs=0.001)
    assert row["env_frames"] == 500


def test_a_resumed_run_does_not_pass_for_a_fast_one(engine, attempt, make_study):
    first = attempt()
    first.checkpoint(400, "a", SHA, 1)
    first.release("asked to stop")
    attempt().finish(1.0)
    attempt().finish(20.0)
    assert list(measured_seconds(engine).values()) == [20.0]
    _, records = make_study()
    found = existing_runs(engine, [records[0].identity])[records[0].identity]
    assert (found.attempts, found.state.value) == (2, "finished")


def test_dreams_are_the_newest_of_the_runs_own_past(engine, attempt):
    first = attempt()
    first.artifact("dreams", 100, {"x": np.array([1])})
    first.checkpoint(100, "a", SHA, 1)
    first.release("asked to stop")
    second = attempt()
    assert dreams(engine, 1)[0] == 100
    second.artifact("dreams", 200, {"x": np.array([2])})
    assert dreams(engine, 1)[1]["x"].tolist() == [2]


def test_dreams_of_a_past_that_was_left_are_not_shown(engine, attempt):
    first = attempt()
    first.checkpoint(100, "a", SHA, 1)
    first.artifact("dreams", 200, {"x": np.array([1])})
    first.release("asked to stop")
    attempt()
    with pytest.raises(DatabaseError, match="has no dreams"):
        dreams(engine, 1)


def test_a_run_is_named_as_its_first_study_names_it(engine, submitted, make_study):
    submit(engine, *make_study("second", seeds=(0,)))
    assert run_label(engine, 2) == "base · CrazyClimber · seed 0, study smoke"
