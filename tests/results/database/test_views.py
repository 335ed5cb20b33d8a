from __future__ import annotations

import sqlite3

import pytest

from results.database.attempts import AttemptWriter
from results.database.queue import claim
from results.database.records import EpisodeRow, NormalizationRow
from results.database.store import put_normalization, submit


@pytest.fixture
def ask(path, engine, submitted, add_worker):
    """Asks plain sqlite3, as a person would, about two finished runs."""
    for episode_return in (-20.7, 16.0):
        writer = AttemptWriter(engine, claim(engine, add_worker()))
        writer.log({"loss": 1.0, "entropy": 2.0}, env_frames=4)
        episodes = [
            EpisodeRow(0, episode_return - 1, 900, True),
            EpisodeRow(1, episode_return + 1, 900, False),
        ]
        writer.evaluation(3000, episodes, "argmax", final=False)
        writer.evaluation(6000, episodes, "argmax", final=True)
        writer.finish(10.0)
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", -20.7, 14.6)])
    put_normalization(
        engine, "other", [NormalizationRow("Pong", 0, 32), NormalizationRow("Crazy Climber", 0, 8)]
    )
    connection = sqlite3.connect(path)
    yield lambda query: connection.execute(query).fetchall()
    connection.close()


def test_scores_are_zero_for_the_random_player_and_one_for_the_human(ask):
    scores = ask(
        "SELECT game, table_id, episodes, truncated_episodes, env_frames, round(score, 9) "
        "FROM v_scores ORDER BY run_id, table_id"
    )
    assert scores == [
        ("Pong", "other", 2, 1, 6000, round(-20.7 / 32, 9)),
        ("Pong", "wang2016", 2, 1, 6000, 0.0),
        ("CrazyClimber", "other", 2, 1, 6000, 2.0),
    ]


def test_every_run_of_a_study_is_one_row(ask):
    assert ask("SELECT state, count(*), count(attempt_id) FROM v_runs GROUP BY state") == [
        ("finished", 2, 2),
        ("queued", 10, 0),
    ]


def test_the_index_of_curves_counts_points(ask):
    index = ask("SELECT run_id, metric, chunks, points, last_env_frames FROM v_curves_index")
    assert sorted(index) == [
        (1, "entropy", 1, 1, 4),
        (1, "loss", 1, 1, 4),
        (2, "entropy", 1, 1, 4),
        (2, "loss", 1, 1, 4),
    ]


def test_a_task_is_scored_by_what_it_declares(engine, make_study, add_worker, path):
    submit(engine, *make_study("tasks", games=("gymnasium:CartPole-v1",)))
    writer = AttemptWriter(engine, claim(engine, add_worker()))
    writer.evaluation(6000, [EpisodeRow(0, 250.0, 250, False)], "argmax", final=True)
    writer.finish(1.0)
    put_normalization(engine, "declared", [NormalizationRow("gymnasium:CartPole-v1", 0, 500)])
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT table_id, score FROM v_scores").fetchall() == [
        ("declared", 0.5)
    ]
    connection.close()
