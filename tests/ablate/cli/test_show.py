"""What reading commands print, in a process where torch and agents cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ablate as package
from ablate import planner
from ablate.assembly import assemble_study
from results.database import queue
from results.database.records import EpisodeRow
from results.figures.drawn import write_whole
from results.statistics.errors import StatisticsError

WITHOUT_TORCH = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "agents", "ale_py", "gymnasium"):
            raise ImportError(f"{name} must not be imported here")
sys.meta_path.insert(0, Refuse())
from typer.testing import CliRunner
from ablate.cli.main import app
results = [CliRunner().invoke(app, line.split()) for line in sys.argv[1:]]
print(json.dumps([[result.exit_code, result.output] for result in results]))
"""

READING = {
    "studies": "smoke",
    "status": "mini",
    "status mini": "16 finished",
    "table mini": "Human-normalised",
    "plot mini --kind curves --format svg": "mini_curves.svg",
    "plot dreams 1 --format png": "run_1_dreams.png",
    "report mini --resamples 50": "mini_report.html",
    "diff 1 2": "game",
}


def dreams() -> dict[str, np.ndarray]:
    """What the worker stores of a world model that dreams black."""
    black, zero = np.zeros((1, 4, 1, 16, 16), np.uint8), np.zeros((1, 4), np.float32)
    pictures = dict.fromkeys(("truth", "reconstruction", "open_loop"), black)
    rewards = dict.fromkeys(("reward", "reward_reconstructed", "reward_open_loop"), zero)
    return {**pictures, **rewards, "action": np.zeros((1, 4), int), "context": np.array(2)}


def finish_all(engine) -> None:
    """Finishes every queued run with returns that depend on the run."""
    worker = queue.register_worker(engine, device="cpu", slot=0)
    while (claim := queue.claim(engine, worker)) is not None:
        writer = queue.AttemptWriter(engine, claim)
        writer.progress(2000, 30)
        for env_frames in (500, 1000, 2000):
            writer.episode(env_frames, float(claim.run_id + env_frames / 100), 90)
        rows = [EpisodeRow(0, 10.0 * claim.run_id, 90, False)]
        if claim.run_id <= 2:
            writer.artifact("dreams", 1000 * claim.run_id, dreams())
        writer.evaluation(2000, rows, policy="argmax", final=True)
        writer.finish(3.0)


@pytest.fixture
def finished(parsed, engine):
    planner.submit(assemble_study(parsed()), engine)
    finish_all(engine)
    return engine


def test_reading_needs_neither_torch_nor_agents(finished, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *READING],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
        timeout=120,
        check=True,
    )
    for line, (code, output) in zip(READING, json.loads(done.stdout), strict=True):
        assert code == 0, output
        assert READING[line] in output


def test_the_status_as_json_has_all_counts(finished, ablate) -> None:
    status = json.loads(ablate("status", "mini", "--json").stdout)
    assert (status["study"], status["runs"]) == ("mini", 16)
    assert status["counts"] == {
        "queued": 0,
        "running": 0,
        "finished": 16,
        "failed": 0,
        "cancelled": 0,
    }
    assert len(status["run_list"]) == 16
    assert status["run_list"][0]["env_frames"] == 2000
    [one] = json.loads(ablate("status", "--json").stdout)
    assert one["counts"] == status["counts"]


def test_a_study_in_progress_is_shown_as_it_is(parsed, engine, ablate) -> None:
    planner.submit(assemble_study(parsed()), engine)
    worker = queue.register_worker(engine, device="cpu", slot=0)
    claim = queue.claim(engine, worker)
    assert claim is not None
    queue.AttemptWriter(engine, claim).fail("Traceback\nValueError: too dark")
    claim = queue.claim(engine, worker)
    writer = queue.AttemptWriter(engine, claim)
    writer.progress(1000, 3)
    writer.flush(force=True)
    shown = ablate("status", "mini").stdout
    assert "14 queued, 1 running, 1 failed" in shown
    assert "50%" in shown
    assert "ValueError: too dark" in shown
    assert "Try them again: ablate queue retry mini && ablate work mini\n" in shown
    failed = json.loads(ablate("status", "mini", "--json").stdout)["run_list"][0]
    assert failed["state"] == "failed"
    assert "too dark" in failed["error"]


@pytest.mark.parametrize(
    "kind", ["scores", "hns", "aggregates", "effects", "interactions", "compute"]
)
def test_every_table_is_printed(finished, ablate, kind: str) -> None:
    bootstrapped = kind in ("hns", "aggregates", "effects", "interactions")
    result = ablate("table", "mini", "--kind", kind, *["--resamples", "50"] * bootstrapped)
    assert result.exit_code == 0, result.stderr
    assert "mini" in result.stdout


def test_a_table_as_json_is_the_numbers(finished, ablate) -> None:
    rows = json.loads(ablate("table", "mini", "--kind", "scores", "--json").stdout)
    assert rows
    same = ablate("table", "mini", "--kind", "scores", "--format", "json").stdout
    assert json.loads(same) == rows


def test_a_table_can_go_to_a_file(finished, ablate, tmp_path) -> None:
    result = ablate("table", "mini", "--format", "markdown", "--output", "t.md")
    assert result.stdout.strip() == "t.md"
    assert "| Pong |" in (tmp_path / "t.md").read_text()


@pytest.mark.parametrize("command", ["table", "plot", "report"])
def test_a_folder_that_is_not_there_is_not_made(finished, ablate, tmp_path, command) -> None:
    result = ablate(command, "mini", "--output", "no/such/x")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: --output no/such/x: there is no folder no/such. Make it first, or choose another "
        "place.\n"
    )
    assert not (tmp_path / "no").exists()


def test_nothing_makes_the_folder_around_a_file(tmp_path) -> None:
    with pytest.raises(StatisticsError, match="there is no folder"):
        write_whole(tmp_path / "no" / "x.html", b"")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_empty_folder(finished, ablate, tmp_path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("results.figures.drawn.os.fdopen", full)
    words = ("plot", "mini", "--kind", "curves", "--format", "svg")
    result = ablate(*words)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert not (tmp_path / "mini_figures").exists()
    (tmp_path / "mine").mkdir()
    ablate(*words, "-o", "mine")
    assert (tmp_path / "mine").exists()


def test_only_the_arms_and_games_asked_for_are_in_a_table(finished, ablate) -> None:
    result = ablate("table", "mini", "--games", "Pong", "--arms", "base,full")
    assert result.exit_code == 0, result.stderr
    assert "Assault" not in result.stdout
    assert "base+ratio" not in result.stdout


def test_missing_runs_are_refused_unless_partial(parsed, edited, finished, ablate) -> None:
    from ablate.study import parse_study

    text = edited(('"mini"', '"more"'), ("seeds = 2", "seeds = 3"))
    planner.submit(assemble_study(parse_study(text, path="more.toml", stem="more")), finished)
    refused = ablate("table", "more")
    assert refused.exit_code == 2
    assert "more" in refused.stderr
    assert "8 of 24" in refused.stderr
    assert ablate("table", "more", "--partial").exit_code == 0


def test_figures_go_into_the_studys_folder(finished, ablate, tmp_path) -> None:
    result = ablate("plot", "mini", "--format", "svg", "--resamples", "50")
    assert result.exit_code == 0, result.stderr
    written = {path.name for path in (tmp_path / "mini_figures").iterdir()}
    for kind in ("curves", "aggregates", "effects", "interference"):
        assert {f"mini_{kind}.svg", f"mini_{kind}.csv"} <= written


def test_an_unknown_figure_format_leaves_nothing(finished, ablate, tmp_path) -> None:
    result = ablate("plot", "mini", "--kind", "curves", "--format", "svg,gif")
    assert result.exit_code == 2
    assert "gif" in result.stderr
    assert not (tmp_path / "mini_figures").exists()


def test_a_report_goes_where_it_is_told(finished, ablate, tmp_path) -> None:
    result = ablate("report", "mini", "-o", "down.html", "--resamples", "50")
    assert result.exit_code == 0, result.stderr
    assert "<svg" in (tmp_path / "down.html").read_text()


def test_the_dreams_of_a_run_are_drawn_into_a_folder(finished, ablate, tmp_path) -> None:
    result = ablate("plot", "dreams", "2", "--output", "mine", "--format", "svg")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["mine/run_2_dreams.svg", "mine/run_2_dreams.csv"]
    picture = (tmp_path / "mine" / "run_2_dreams.svg").read_text()
    run = json.loads(ablate("status", "mini", "--json").stdout)["run_list"][1]
    assert run["run_id"] == 2
    assert f"run 2 ({run['arm']} · {run['game']} · seed {run['seed']}" in picture
    assert "2,000 env frames" in picture


def test_status_shows_the_ids_that_dreams_are_drawn_by(finished, ablate) -> None:
    shown = [line.split() for line in ablate("status", "mini").stdout.splitlines()]
    for run in json.loads(ablate("status", "mini", "--json").stdout)["run_list"]:
        label = f"{run['arm']} · {run['game']} · seed {run['seed']}".split()
        assert any(words[: 1 + len(label)] == [str(run["run_id"]), *label] for words in shown)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dreams",), "Whose dreams?"),
        (("dreams", "3"), "has no dreams"),
        (("dreams", "99"), "no run 99"),
        (("dreams", "99999999999999999999"), "less than or equal"),
        (("dreams", "1", "--format", "gif"), "gif"),
        (("dreams", "1", "--kind", "curves"), "--kind says how to draw a study"),
        (("dreams", "1", "--seed", "0"), "--seed says how to draw a study"),
        (("mini", "1"), "`ablate plot dreams 1` draws"),
        (("dreams", "one"), "valid integer"),
    ],
)
def test_a_wrong_word_about_dreams_is_one_clear_error(
    finished, ablate, tmp_path, words, message
) -> None:
    before = set(tmp_path.iterdir())
    result = ablate("plot", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "fault in ablate" not in result.stderr
    assert set(tmp_path.iterdir()) == before
