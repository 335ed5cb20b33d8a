import json
import os
import subprocess
import sys

from ablate.cli.main import app
from agents.modifications import REGISTRY
from results.database import queue


def test_the_shipped_studies_are_listed(ablate) -> None:
    listed = json.loads(ablate("studies", "--json").stdout)
    assert ("smoke", "shipped", 24) in [(one["name"], one["place"], one["runs"]) for one in listed]
    assert "smoke" in ablate("studies").stdout


def test_a_broken_study_is_listed_with_its_problem(ablate, tmp_path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "broken.toml").write_text("= 3")
    listed = {one["name"]: one for one in json.loads(ablate("studies", "--json").stdout)}
    assert "not TOML" in listed["broken"]["problem"]
    assert ablate("studies").exit_code == 0


def test_the_modifications_are_listed(ablate) -> None:
    listed = json.loads(ablate("mods", "--json").stdout)
    assert [one["name"] for one in listed] == list(REGISTRY)
    assert all(name in ablate("mods").stdout for name in REGISTRY)


def test_one_modification_can_be_asked_for(ablate) -> None:
    [one] = json.loads(ablate("mods", "random_shift", "--json").stdout)
    assert {setting["name"] for setting in one["settings"]} == {
        "pad",
        "per",
        "probability",
        "target",
    }
    result = ablate("mods", "random_shfit")
    assert result.exit_code == 2
    assert "nearest: random_shift" in result.stderr


def test_a_plan_shows_arms_toggles_counts_and_time(ablate, write_study, tmp_path) -> None:
    result = ablate("plan", str(write_study()))
    assert result.exit_code == 0
    for words in (
        "base+augmentation",
        "pad = 3",
        "4 arms x 2 games x 2 seeds = 16 runs",
        "16 new",
        "Time: about",
        "1 episode, argmax, at most 400 env frames",
    ):
        assert words in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mini.toml"]


def test_a_plan_as_json_holds_the_same(ablate, write_study) -> None:
    plan = json.loads(ablate("plan", str(write_study()), "--json").stdout)
    assert (plan["study"], plan["runs"], plan["counts"]["new"]) == ("mini", 16, 16)
    assert [arm["name"] for arm in plan["arms"]] == [
        "base",
        "full",
        "base+augmentation",
        "base+ratio",
    ]
    assert plan["toggles"][1]["modifications"][0]["settings"] == {
        "env_frames_per_update": 32,
        "behaviour_frames_per_update": None,
    }
    assert plan["seconds_to_do"] > 0


def test_the_smoke_plan_shows_24_runs(ablate) -> None:
    assert "= 24 runs" in ablate("plan", "smoke").stdout


def test_a_toggle_that_is_the_base_is_told(ablate, write_study) -> None:
    result = ablate("plan", str(write_study(("= 32 }", "= 64 }"))))
    assert "ratio is the base agent" in result.stdout
    assert "2 arms x 2 games x 2 seeds = 8 runs" in result.stdout


def test_submitting_queues_the_runs_once(ablate, write_study) -> None:
    path = str(write_study())
    assert "16 runs submitted (16 new)" in ablate("submit", path).stdout
    assert "16 runs submitted (16 queued already)" in ablate("submit", path).stdout
    again = json.loads(ablate("submit", path, "--json").stdout)
    assert (again["study"], again["runs"], again["new"]) == ("mini", 16, 0)


def test_submitting_says_what_to_do_next(ablate, write_study, engine) -> None:
    path = str(write_study(("seeds = 2", "seeds = 1"), ('["Pong", "Assault"]', '["Pong"]')))
    assert f"Work on it: ablate work {path}\n" in ablate("submit", path).stdout
    other = ablate("submit", path, "--db", "an other.sqlite").stdout
    assert f"Work on it: ablate work {path} --db 'an other.sqlite'\n" in other
    worker = queue.register_worker(engine, device="cpu", slot=0)
    while (claim := queue.claim(engine, worker)) is not None:
        queue.AttemptWriter(engine, claim).finish(1.0)
    said = ablate("submit", path).stdout
    assert "Work on it" not in said
    assert f"Nothing is left to run. See what came out: ablate report {path}\n" in said


def test_a_plan_counts_in_the_singular(ablate, write_study) -> None:
    changes = (
        ('["base", "full", "leave_one_out", "add_one_in"]', '["base"]'),
        ('["Pong", "Assault"]', '["Pong"]'),
        ("seeds = 2", "seeds = 1"),
    )
    said = ablate("plan", str(write_study(*changes))).stdout
    assert "1 arm x 1 game x 1 seed = 1 run of 2,000 env frames" in said
    assert "with 1 worker (" in said


def test_a_plan_says_that_the_prefill_may_be_longer(ablate, write_study) -> None:
    said = ablate("plan", str(write_study())).stdout
    assert "(at least 400 of them prefill)" in said
    assert "acts not before" in said


def test_the_database_can_be_named_by_option_or_environment(
    ablate, write_study, tmp_path, monkeypatch
) -> None:
    path = str(write_study())
    ablate("submit", path, "--db", "a.sqlite")
    monkeypatch.setenv("ABLATE_DB", "b.sqlite")
    ablate("submit", path)
    assert {"a.sqlite", "b.sqlite"} <= {entry.name for entry in tmp_path.iterdir()}


def test_the_difference_of_two_arms_is_shown(ablate, write_study) -> None:
    ablate("submit", str(write_study()))
    [one] = json.loads(ablate("diff", "mini/base", "mini/base+ratio", "--json").stdout)
    assert one == {"path": "agent.config.env_frames_per_update", "left": "64", "right": "32"}
    assert "env_frames_per_update" in ablate("diff", "mini/base", "mini/base+ratio").stdout
    assert "are the same" in ablate("diff", "mini/base", "mini/base").stdout


def test_every_listing_has_json() -> None:
    listing = {"studies", "mods", "plan", "submit", "status", "table", "diff"}
    by_name = {command.name: command.callback for command in app.registered_commands}
    for name in listing:
        callback = by_name[name]
        assert callback is not None
        assert "json" in callback.__annotations__


def test_a_plan_tells_the_memory_and_the_scaled_budget(ablate, write_study) -> None:
    path = str(write_study(("env_frames = 2_000", 'env_frames = "scaled"')))
    said = ablate("plan", path).stdout
    assert "Note: env_frames = 6,400,000, scaled with env_frames_per_update = 64." in said
    assert "Memory: a run takes up to about 8.1 GB" in said  # 7.7 of them are frames
    plan = json.loads(ablate("plan", path, "--json").stdout)
    assert plan["env_frames"] == 6_400_000
    assert plan["memory_bytes"].keys() == {"Pong", "Assault"}


def test_a_plan_shows_the_generators_of_a_fraction(ablate, six_toggles, tmp_path) -> None:
    path = tmp_path / "mini.toml"
    path.write_text(six_toggles('["fractional"]').source)
    said = ablate("plan", str(path)).stdout
    assert "Design fractional: 32 of 64 cells, resolution VI (F = ABCDE) with A = gamma" in said
    [design] = json.loads(ablate("plan", str(path), "--json").stdout)["two_level_designs"]
    assert (design["cells"], design["resolution"]) == (32, 6)
    assert design["generators"] == {"F": "ABCDE"}
    assert design["columns"]["F"] == "entropy_scale"


def test_a_plan_shows_the_cells_that_are_not_defined(ablate, six_toggles, tmp_path) -> None:
    path = tmp_path / "mini.toml"
    path.write_text(six_toggles('["pairs_in"]', excludes={"gamma": "kl_scale"}).source)
    said = ablate("plan", str(path)).stdout
    [row] = [line for line in said.splitlines() if line.startswith("  base+gamma+kl_scale")]
    assert row.split() == ["base+gamma+kl_scale", "gamma,", "kl_scale", "not", "defined", "0"]
    assert "set_gamma and set_kl_scale exclude each other" in said
    assert "21 arms x 2 games x 2 seeds = 84 runs" in said
    [cell] = json.loads(ablate("plan", str(path), "--json").stdout)["not_defined"]
    assert cell["toggles"] == {"gamma": "on", "kl_scale": "on"}


def test_a_plan_of_designs_without_a_matrix_says_nothing_about_it(ablate, write_study) -> None:
    said = ablate("plan", str(write_study())).stdout
    assert "Design " not in said
    assert "not defined" not in said


WITHOUT_LARGE_LIBRARIES = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "pandas", "scipy.stats", "scipy.optimize"):
            raise ImportError(f"{name} must not be imported here")
sys.meta_path.insert(0, Refuse())
from ablate.cli.main import run
run()
"""


def test_a_plan_of_queued_runs_waits_for_no_large_library(
    ablate, write_study, tmp_path, monkeypatch
):
    """Most of its time would be their import."""
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    study = str(write_study())
    assert ablate("submit", study).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LARGE_LIBRARIES, "plan", study],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ},
    )  # fmt: skip
    assert "16 queued" in done.stdout
