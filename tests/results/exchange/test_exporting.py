import dataclasses
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from results.database.attempts import AttemptWriter
from results.database.engine import open_database
from results.database.queue import claim, register_worker
from results.database.records import EpisodeRow, RunRecord
from results.database.store import submit
from results.exchange.errors import ExchangeError
from results.exchange.exporting import (
    final_records,
    stored_records,
    write_database,
    write_files,
    write_table,
)
from results.exchange.formats import FORMATS
from results.exchange.importing import read_study, write_study
from results.exchange.record import Record
from results.statistics.errors import IncompleteStudy
from results.statistics.options import Options
from results.statistics.study_data import load


@pytest.fixture
def imported(engine, curves, tmp_path, put):
    write_files(curves, FORMATS["csv"], tmp_path / "curves.csv")
    put("csv", tmp_path / "curves.csv")
    return engine


def test_what_was_imported_is_stored_as_it_was(imported, curves):
    assert stored_records(imported, load(imported, "pub"), Options()) == curves


@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_database_gives_back_the_records_that_went_in(
    data, record_sets, tmp_path_factory, empty_database, ask
):
    folder = tmp_path_factory.mktemp("round")
    records = data.draw(record_sets())
    write_files(records, FORMATS["dreamer-json"], folder / "a.json")
    engine = open_database(shutil.copy(empty_database, folder / "a.sqlite"))
    found = read_study(ask("dreamer-json", folder / "a.json"))
    write_study(engine, found)
    write_database(engine, "pub", folder / "b.sqlite")
    other = open_database(folder / "b.sqlite")
    for one in (engine, other):
        assert stored_records(one, load(one, "pub"), Options()) == records
        one.dispose()


def test_arms_and_games_can_be_chosen(imported):
    options = Options(arms=("base+a",), games=("Pong",))
    records = stored_records(imported, load(imported, "pub"), options).records
    assert {(one.method, one.game) for one in records} == {("base+a", "Pong")}
    assert len(records) == 2


def test_final_scores_can_be_taken_earlier(imported):
    end = final_records(imported, load(imported, "pub"), Options()).records
    early = final_records(imported, load(imported, "pub"), Options(at=200_000)).records
    assert (end[0].env_frames, end[0].values) == ((400_000,), (-5.0,))
    assert (early[0].env_frames, early[0].values) == ((200_000,), (-10.0,))


@pytest.fixture
def trained(engine, make_study):
    """One arm, two seeds: one run finished, the other queued."""
    study = make_study({}, games=("Pong",), seeds=(0, 1), designs=("base",))
    (arm,) = study.arms
    runs = [RunRecord(f"{seed:064}", arm.name, "Pong", seed, "{}") for seed in study.seeds]
    submit(engine, study, runs)
    writer = AttemptWriter(engine, claim(engine, register_worker(engine, device="cpu", slot=0)))
    writer.evaluation(200_000, [EpisodeRow(0, -20.0, 9, False)], "argmax", False)
    episodes = [EpisodeRow(0, 1.0, 9, False), EpisodeRow(1, 4.0, 9, False)]
    writer.evaluation(400_000, [EpisodeRow(0, 99.0, 9, False)], "argmax", False)
    writer.evaluation(400_000, episodes, "argmax", True)
    writer.finish(1.0)
    return load(engine, study.name)


def test_a_point_of_a_trained_run_is_the_mean_of_its_evaluation(engine, trained):
    (record,) = stored_records(engine, trained, Options(partial=True)).records
    assert record == Record("full", "Pong", 0, (200_000, 400_000), (-20.0, 2.5))


def test_runs_that_are_not_finished_are_refused_or_asked_for(engine, trained):
    with pytest.raises(IncompleteStudy, match=r"1 of 2 runs .*seed 1 \(queued\).*--partial"):
        stored_records(engine, trained, Options())
    with pytest.raises(IncompleteStudy):
        final_records(engine, trained, Options())
    assert len(final_records(engine, trained, Options(partial=True)).records) == 1


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_scores_go_only_where_they_cannot_be_taken_for_returns(name, curves, tmp_path):
    scores = dataclasses.replace(curves, normalization="wang2016")
    if FORMATS[name].scores:
        assert write_files(scores, FORMATS[name], tmp_path / "out")
        return
    with pytest.raises(ExchangeError, match="would take them for those"):
        write_files(scores, FORMATS[name], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_means_go_only_where_they_cannot_be_taken_for_runs(name, curves, tmp_path):
    means = dataclasses.replace(curves, means=True)
    if FORMATS[name].means:
        assert write_files(means, FORMATS[name], tmp_path / "out")
        return
    with pytest.raises(ExchangeError, match="an unknown number of runs"):
        write_files(means, FORMATS[name], tmp_path / "out")


def test_a_folder_that_is_there_is_not_written_into(curves, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ExchangeError, match="is there already"):
        write_files(curves, FORMATS["rliable-json"], tmp_path / "out")
    with pytest.raises(ExchangeError, match="There is no folder"):
        write_files(curves, FORMATS["rliable-json"], tmp_path / "none" / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_table_is_written_as_the_command_prints_it(imported, tmp_path):
    write_table(load(imported, "pub"), Options(), "scores", "latex", tmp_path / "a.tex")
    assert r"\begin{tabular}" in (tmp_path / "a.tex").read_text()


def test_a_database_is_not_replaced(imported, tmp_path):
    (tmp_path / "b.sqlite").write_text("mine")
    with pytest.raises(ExchangeError, match="is there already"):
        write_database(imported, "pub", tmp_path / "b.sqlite")
    assert (tmp_path / "b.sqlite").read_text() == "mine"
