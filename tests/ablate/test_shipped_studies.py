"""Every study that comes with the project makes agents, and says what it means to."""

import shutil
from pathlib import Path

import pytest

from ablate.assembly import assemble_study
from ablate.planner import existing_database, make_plan
from ablate.study_files import find_study, listed_studies
from agents.modifications import REGISTRY

ROOT = Path(__file__).parent.parent.parent
STUDIES = sorted(path.stem for path in (ROOT / "studies").glob("*.toml"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_arm_of_a_shipped_study_is_an_agent(name: str) -> None:
    assembled = assemble_study(find_study(name))
    assert assembled.undefined == ()
    seeds, games = len(assembled.study.seeds), len(assembled.study.games)
    assert len(assembled.runs) == len(assembled.arms) * games * seeds


def test_every_file_is_listed_as_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = listed_studies()
    assert [one.name for one in listed] == STUDIES
    assert [one.problem for one in listed if one.problem] == []


def test_the_recorded_runs_of_crazy_climber_are_the_ratio_arm_of_the_factorial(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(ROOT / "results" / "reference" / "cpu_small.sqlite", copy)
    assembled = assemble_study(find_study("atari_cpu_ratio_by_resets"))
    plan = make_plan(assembled, existing_database(f"sqlite:///{copy}"))
    assert plan.counts["reused"] == 3
    assert plan.counts["new"] == 9
    assert {run.run.arm for run in plan.runs if not run.to_do} == {"base+ratio"}


@pytest.mark.parametrize(
    ("database", "study"),
    [
        ("smoke", "smoke"),
        ("catch_ablation", "catch_ablation"),
        ("catch_ablation", "catch_algorithms"),
        ("catch_ablation", "catch_modifications"),
        ("catch_ablation", "catch_bf16"),
        ("cpu_small", "cpu_small_assault_pong"),
        ("cpu_small", "cpu_small_paper_settings"),
        ("atari_cpu_ratio_by_resets", "atari_cpu_ratio_by_resets"),
    ],
)
def test_the_recorded_runs_are_those_that_the_study_asks_for_now(
    database: str, study: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite"
    shutil.copy(ROOT / "results" / "reference" / f"{database}.sqlite", copy)
    plan = make_plan(assemble_study(find_study(study)), existing_database(f"sqlite:///{copy}"))
    assert plan.counts["done"] == len(plan.runs)


def test_the_catch_studies_try_every_modification_beside_the_base() -> None:
    names = ("catch_ablation", "catch_algorithms", "catch_modifications")
    studies = [find_study(name).study for name in names]
    tried = [
        modification
        for study in studies
        for toggle in study.toggles.values()
        for bundle in toggle.levels.values()
        for modification in bundle
    ]
    assert sorted(tried) == sorted(REGISTRY)
