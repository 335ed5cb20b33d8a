from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError, read, write
from results.database.queue import claim
from results.database.reading import declared_returns
from results.database.records import NormalizationRow, RunState, RunStatus, Submission
from results.database.store import (
    StudyConflict,
    existing_runs,
    measured_seconds,
    put_normalization,
    submit,
)


def number_of(engine, table):
    with read(engine) as session:
        return session.scalar(text(f"SELECT count(*) FROM {table}"))


def everything(engine):
    tables = ("study", "arm", "study_arm", "study_toggle_level", "run", "study_run", "event")
    return {table: number_of(engine, table) for table in tables}


def set_state(engine, identity, state):
    with write(engine) as session:
        session.execute(
            text("UPDATE run SET state = :state WHERE identity = :identity"),
            {"state": state, "identity": identity},
        )


def test_a_new_study_queues_all_its_runs(engine, make_study):
    study, runs = make_study()
    assert submit(engine, study, runs) == Submission(new=12)
    assert number_of(engine, "run") == 12


def test_submitting_again_adds_nothing(engine, make_study):
    study, runs = make_study()
    submit(engine, study, runs)
    before = everything(engine)
    commented = replace(study, source="# a comment\n" + study.source)
    assert submit(engine, commented, runs) == Submission(already_queued=12)
    assert everything(engine) == before


def test_runs_that_come_later_stand_behind_the_earlier_ones(engine, make_study):
    study, runs = make_study()
    submit(engine, study, runs[4:6])
    assert submit(engine, study, runs) == Submission(new=10, already_queued=2)
    with read(engine) as session:
        order = session.scalars(text("SELECT identity FROM v_runs ORDER BY position"))
        assert list(order) == [run.identity for run in runs[4:6] + runs[:4] + runs[6:]]


def test_two_studies_share_a_run_by_its_identity(engine, make_study):
    submit(engine, *make_study("first", seeds=(0, 1)))
    assert submit(engine, *make_study("second", seeds=(1, 2))) == Submission(
        new=6, already_queued=6
    )
    assert number_of(engine, "run") == 18
    assert number_of(engine, "study_run") == 24
    assert number_of(engine, "arm") == 3


def test_other_contents_under_the_same_name_are_refused_and_leave_nothing(engine, make_study):
    submit(engine, *make_study(seeds=(0,)))
    before = everything(engine)
    with pytest.raises(StudyConflict, match=r"name smoke is taken in .*ablate\.sqlite"):
        submit(engine, *make_study(seeds=(0, 1)))
    assert everything(engine) == before


def test_the_same_contents_with_other_agents_are_refused(engine, make_study):
    submit(engine, *make_study())
    before = everything(engine)
    with pytest.raises(StudyConflict, match="resolves its arms to other agents"):
        submit(engine, *make_study(agent_version=2))
    assert everything(engine) == before


def test_a_submission_says_what_it_found(engine, make_study):
    study, runs = make_study()
    submit(engine, study, runs)
    for run, state in zip(runs, ["finished", "running", "failed", "failed"], strict=False):
        set_state(engine, run.identity, state)
    assert submit(engine, study, runs) == Submission(
        reused_finished=1, running=1, failed=2, already_queued=8
    )
    assert submit(engine, study, runs, retry_failed=True) == Submission(
        reused_finished=1, running=1, retried=2, already_queued=8
    )
    assert submit(engine, study, runs).already_queued == 10


def test_a_cancelled_run_is_queued_again(engine, make_study):
    study, runs = make_study()
    submit(engine, study, runs)
    set_state(engine, runs[0].identity, "cancelled")
    assert submit(engine, study, runs).retried == 1
    assert existing_runs(engine, [runs[0].identity])[runs[0].identity].state == RunState.QUEUED


def test_a_retried_run_may_be_lost_five_times_again(engine, make_study):
    study, runs = make_study()
    submit(engine, study, runs)
    with write(engine) as session:
        session.execute(text("UPDATE run SET state = 'failed', losses = 5 WHERE id = 1"))
    submit(engine, study, runs, retry_failed=True)
    with read(engine) as session:
        assert session.execute(text("SELECT state, losses FROM run WHERE id = 1")).one() == (
            "queued",
            0,
        )


def test_a_run_given_twice_is_refused(engine, make_study):
    study, runs = make_study()
    with pytest.raises(ValueError, match="same run is given twice"):
        submit(engine, study, [*runs, runs[0]])


def test_a_study_whose_arms_share_an_identity_is_refused_whole(engine, make_study):
    study, runs = make_study()
    twin = replace(study.arms[0], name="twin")
    with pytest.raises(IntegrityError):
        submit(engine, replace(study, arms=(*study.arms, twin)), runs)
    assert set(everything(engine).values()) == {0}


def test_a_full_disk_at_submission_leaves_nothing(engine, make_study):
    with write(engine) as session:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count={pages}"))
    with pytest.raises(DatabaseError, match="full"):
        submit(engine, *make_study(seeds=tuple(range(50))))
    assert set(everything(engine).values()) == {0}


def test_existing_runs_are_found_among_very_many(engine, make_study, clock, add_worker):
    study, runs = make_study()
    submit(engine, study, runs)
    taken = claim(engine, add_worker())
    AttemptWriter(engine, taken).finish(12.5)
    asked = [f"{i:064}" for i in range(3000)] + [run.identity for run in runs]
    found = existing_runs(engine, asked)
    assert len(found) == 12
    assert found[taken.identity] == RunStatus(RunState.FINISHED, seconds=12.5, attempts=1)
    assert found[runs[-1].identity] == RunStatus(RunState.QUEUED, seconds=None, attempts=0)


def test_measured_seconds_are_those_of_finished_attempts_only(engine, submitted, add_worker):
    assert measured_seconds(engine) == {}
    first, second = (claim(engine, add_worker()) for _ in range(2))
    AttemptWriter(engine, first).finish(30.0)
    AttemptWriter(engine, second).fail("boom")
    assert measured_seconds(engine) == {(submitted.arms[0].identity, first.game): 30.0}


def test_a_normalization_table_is_written_once(engine):
    rows = [NormalizationRow("Pong", -20.7, 14.6), NormalizationRow("Ms. Pac-Man", 307.3, 6951.6)]
    put_normalization(engine, "wang2016", rows)
    put_normalization(engine, "wang2016", rows)
    with read(engine) as session:
        keys = session.scalars(text("SELECT game_key FROM normalization ORDER BY game_key"))
        assert list(keys) == ["mspacman", "pong"]


def test_other_values_under_the_same_table_are_refused(engine):
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", -20.7, 14.6)])
    with pytest.raises(DatabaseError, match="other values in the normalization table wang2016"):
        put_normalization(engine, "wang2016", [NormalizationRow("Pong", -20.7, 9.3)])


def test_a_normalization_without_a_scale_is_refused(engine):
    with pytest.raises(IntegrityError, match="scale"):
        put_normalization(engine, "flat", [NormalizationRow("Pong", 1.0, 1.0)])


def test_games_that_a_table_lacks_are_added_to_it(engine):
    first = NormalizationRow("Catch", -0.6, 1.0)
    second = NormalizationRow("gymnasium:CartPole-v1", 22.0, 475.0)
    put_normalization(engine, "declared", [first])
    put_normalization(engine, "declared", [second])
    put_normalization(engine, "declared", [first, second])
    assert declared_returns(engine) == {"Catch": first, "gymnasium:CartPole-v1": second}
    with pytest.raises(DatabaseError, match="declared for Catch"):
        put_normalization(engine, "declared", [second, NormalizationRow("Catch", -0.6, 0.9)])


def test_versions_of_a_task_declare_for_themselves(engine):
    rows = [NormalizationRow(f"gymnasium:A-v{v}", 0.0, 1.0 + v) for v in range(2)]
    put_normalization(engine, "declared", rows)
    assert list(declared_returns(engine).values()) == rows
