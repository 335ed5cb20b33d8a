from hashlib import sha256

import pytest

from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError, open_database
from results.database.queue import claim, register_worker
from results.database.records import EpisodeRow, NormalizationRow, RunRecord
from results.database.store import put_normalization, submit
from results.statistics.collecting import collect
from results.statistics.options import Options
from results.statistics.study_data import load


@pytest.fixture
def engine(tmp_path):
    engine = open_database(tmp_path / "ablate.sqlite", create=True)
    yield engine
    engine.dispose()


@pytest.fixture
def study(engine, make_study):
    """Base and full on one game with two seeds; all but the last run recorded."""
    study = make_study({"a": ("on",)}, games=("Pong",), seeds=(0, 1))
    runs = [
        RunRecord(sha256(f"{arm.name}/{seed}".encode()).hexdigest(), arm.name, "Pong", seed, "{}")
        for seed in study.seeds
        for arm in study.arms
    ]
    submit(engine, study, runs)
    worker = register_worker(engine, device="cpu", slot=0)
    for number in range(3):
        writer = AttemptWriter(engine, claim(engine, worker))
        writer.episode(100_000, -20.0, 900)
        writer.log({"loss": 1.0}, 100_000)
        writer.evaluation(200_000, [EpisodeRow(0, -20.7, 900, False)], "argmax", False)
        episodes = [EpisodeRow(0, number, 900, False), EpisodeRow(1, number + 2, 900, True)]
        writer.evaluation(400_000, episodes, "argmax", True)
        writer.finish(60.0)
    return study


def test_a_recorded_study_is_read_and_scored(engine, study):
    data = load(engine, study.name)
    assert data.study == study
    assert data.runs["state"].tolist() == ["finished"] * 3 + ["queued"]
    scores = collect(data, Options(partial=True))
    assert scores.frame["mean_return"].dropna().tolist() == [1.0, 3.0, 2.0]
    assert scores.frame["truncated"].sum() == 3
    assert [str(run) for run in scores.missing] == ["full on Pong, seed 1 (queued)"]


def test_curves_are_read_as_asked_and_those_nobody_wrote_are_left_out(engine, study):
    assert set(load(engine, study.name).curves) == {"episode_return"}
    data = load(engine, study.name, curves=("loss", "never_written"))
    assert set(data.curves) == {"loss"}
    assert len(data.curves["loss"]) == 3


def test_a_study_that_nobody_submitted_is_refused(engine, study):
    with pytest.raises(DatabaseError, match="synthetic"):
        load(engine, "syntetic")


def test_what_the_studys_games_declare_comes_with_it(engine, make_study):
    submit(engine, make_study(games=("Catch", "Pong"), name="declaring"), [])
    rows = [NormalizationRow("Catch", -0.6, 1.0), NormalizationRow("gymnasium:A-v0", 0.0, 9.0)]
    put_normalization(engine, "declared", rows)
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", -20.7, 14.6)])
    assert load(engine, "declaring").declared == {"Catch": NormalizationRow("Catch", -0.6, 1.0)}
