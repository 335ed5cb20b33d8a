from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from results.database.attempts import AttemptWriter
from results.database.engine import read, write
from results.database.queue import claim
from results.database.schema import Study
from results.database.store import submit


@pytest.fixture
def held(engine, submitted, add_worker):
    """A database with one running run, one finished and ten queued."""
    AttemptWriter(engine, claim(engine, add_worker())).finish(1.0)
    claim(engine, add_worker())
    return engine


NONSENSE = [
    "UPDATE run SET state = 'QUEUED'",
    "UPDATE run SET seed = -1",
    "UPDATE run SET game = 'crazy climber'",
    "UPDATE run SET identity = 'abc'",
    "UPDATE run SET losses = 5 WHERE state = 'queued'",
    "UPDATE run SET arm_id = 99",
    "UPDATE run SET paused = 1 WHERE state = 'finished'",
    "UPDATE run SET paused = 2",
    "UPDATE run SET memory_bytes = 0",
    "UPDATE run SET code_id = 7",
    "UPDATE attempt SET point = 'x' WHERE state = 'finished'",
    "INSERT INTO reservation VALUES (1, 'm', 'cpu', 0, 7, 0.5, 0, ''), "
    "(2, 'm', 'cpu', 0, 8, 0.5, 0, '')",
    "INSERT INTO code VALUES (1, 'f', '', '', '0', x'00', x'00')",
    "INSERT INTO packages VALUES (1, 'f', '3.11', '')",
    "INSERT INTO run (identity, arm_id, game, seed, specification, state, priority, position, "
    "losses, created_at) SELECT identity, arm_id, game, 77, '', state, 0, 0, 0, '' FROM run",
    "UPDATE study SET prefill_frames = env_frames + 1",
    "UPDATE study SET name = ''",
    "UPDATE study_toggle_level SET in_full = 1",
    "UPDATE study_toggle_level SET in_full = 2",
    "UPDATE study_arm SET name = 'base'",
    "UPDATE study_arm_toggle SET level = 'off'",
    "UPDATE attempt SET state = 'running', ended_at = NULL, seconds = NULL, run_id = 2, "
    "number = id",
    "UPDATE attempt SET seconds = NULL WHERE state = 'finished'",
    "UPDATE attempt SET seconds = 3 WHERE state = 'running'",
    "UPDATE attempt SET ended_at = started_at WHERE state = 'running'",
    "UPDATE attempt SET error = 'boom' WHERE state = 'finished'",
    "UPDATE attempt SET env_frames = -4",
    "UPDATE worker SET pid = 0",
    "INSERT INTO metric (name) VALUES ('loss'), ('loss')",
    "INSERT INTO curve_chunk VALUES (1, 1, 0, 'c', 1, 0, 0, x'00', x'00')",
    "INSERT INTO evaluation VALUES (1, 1, 0, 1, 'argmax', 0, NULL, 1, 0)",
    "INSERT INTO evaluation VALUES (1, 1, 0, 1, 'argmax', 0, 9e999, 1, 0)",
    "INSERT INTO evaluation VALUES (1, 1, 0, 1, 'argmax', 0, 1.0, 0, 0)",
    "INSERT INTO evaluation VALUES (1, 99, 0, 1, 'argmax', 0, 1.0, 1, 0)",
    "INSERT INTO normalization VALUES ('t', 'Pong', 'Pong', 0, 1)",
    "UPDATE attempt SET parent_id = 1 WHERE id = 2",
    "UPDATE attempt SET resumed_env_frames = 4 WHERE id = 2",
    "UPDATE attempt SET parent_id = 1, resumed_env_frames = -4 WHERE id = 2",
    "UPDATE attempt SET parent_id = 2, resumed_env_frames = 4 WHERE id = 2",
    "UPDATE attempt SET parent_id = 0, resumed_env_frames = 4 WHERE id = 2",
    f"INSERT INTO checkpoint VALUES (1, 1, 4, '', '{'f' * 64}', 9, '')",
    "INSERT INTO checkpoint VALUES (1, 1, 4, 'a', 'f', 9, '')",
    f"INSERT INTO checkpoint VALUES (1, 1, 4, 'a', '{'f' * 64}', 0, '')",
    f"INSERT INTO checkpoint VALUES (1, 9, 4, 'a', '{'f' * 64}', 9, '')",
    f"INSERT INTO checkpoint VALUES (1, 1, 4, 'a', '{'f' * 64}', 9, ''), "
    f"(2, 1, 4, 'b', '{'f' * 64}', 9, '')",
    "INSERT INTO artifact VALUES (1, 1, 'dreams', 4, 'npz', NULL, '')",
    "INSERT INTO import_source VALUES (1, 'a', 'f', 'csv', '{}', 'p', NULL, 0, '')",
    f"INSERT INTO import_source VALUES (1, 'a', '{'f' * 64}', 'csv', '{{}}', '', NULL, 0, '')",
    f"INSERT INTO import_source VALUES (1, 'a', '{'f' * 64}', 'csv', '{{}}', 'p', '', 0, '')",
    f"INSERT INTO import_source VALUES (1, 'a', '{'f' * 64}', 'csv', '{{}}', 'p', NULL, 2, '')",
    "INSERT INTO imported_run VALUES (1, 7, 4)",
    "INSERT INTO artifact VALUES (1, 1, 'dreams', 4, 'npz', x'00', ''), "
    "(2, 1, 'dreams', 8, 'npz', x'00', '')",
]


@pytest.mark.parametrize("statement", NONSENSE)
def test_nonsense_is_refused(statement, held):
    with pytest.raises(IntegrityError), write(held) as session:
        session.execute(text(statement))


@pytest.mark.parametrize(
    "game", ["Catch", "gymnasium:CartPole-v1", "gymnasium:ALE/Pong-v5", "gymnasium:a_b.c-v0"]
)
def test_a_game_may_be_any_that_gymnasium_could_name(game, held):
    with write(held) as session:
        session.execute(text("UPDATE run SET game = :game WHERE id = 1"), {"game": game})
        assert session.scalar(text("SELECT game FROM run WHERE id = 1")) == game


def test_an_attempt_number_is_never_used_again(held):
    with write(held) as session:
        session.execute(text("DELETE FROM event"))
        session.execute(text("DELETE FROM attempt"))
        session.execute(text("UPDATE run SET state = 'queued'"))
    assert claim(held, 1).attempt_id == 3


def test_moments_are_kept_in_utc_and_sort_as_text(engine, make_study):
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    submit(engine, *make_study(), clock=lambda: there)
    with read(engine) as session:
        stored = session.scalar(text("SELECT created_at FROM study"))
        moment = session.get_one(Study, 1).created_at
    assert stored == "2026-02-28 23:30:00.000000"
    assert moment == there
    assert moment.tzinfo is UTC


def test_a_moment_without_a_time_zone_is_refused(engine, make_study):
    with pytest.raises(StatementError, match="names no time zone"):
        submit(engine, *make_study(), clock=lambda: datetime(2026, 1, 1))
