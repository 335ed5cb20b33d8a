import itertools
import math
import os
import platform
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from ablate import assembly, kept
from ablate.assembly import assemble_study
from ablate.kept import assembled_before, assembled_now
from ablate.study import StudyError
from ablate.study_files import find_study
from results.database.engine import read
from results.database.provenance import PackagesRecord
from results.database.schema import Run

PAD_AT_4 = ("pad = 3", "pad = 4")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """The folder of what is kept."""
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def put_together(monkeypatch) -> list[str]:
    """The names of the studies that are put together from now on."""
    names, original = [], assembly.assemble_study

    def counting(file):
        names.append(file.study.name)
        return original(file)

    monkeypatch.setattr(assembly, "assemble_study", counting)
    return names


@pytest.mark.parametrize("name", ["smoke", "catch_algorithms", "resets_by_ratio"])
def test_what_was_kept_is_what_would_be_put_together(name: str, put_together) -> None:
    file = find_study(name)
    assembled = assembled_now(file)
    assert put_together == [name]
    assert assembled_before(file) == assembled
    assert put_together == [name]


def test_a_setting_without_an_end_is_kept(parsed, put_together) -> None:
    file = parsed(("= 32 }", "= inf }"))
    assembled = assembled_now(file)
    settings = assembled.levels[1].modifications[0].settings
    assert settings["env_frames_per_update"] == math.inf
    assert assembled_before(file) == assembled
    assert put_together == ["mini"]


def test_a_plan_keeps_what_it_puts_together(parsed, put_together) -> None:
    assert assembled_before(parsed()) == assembled_before(parsed())
    assert put_together == ["mini"]


def test_a_study_that_changed_is_put_together(parsed, put_together) -> None:
    assembled_now(parsed())
    changed = assembled_before(parsed(PAD_AT_4))
    assert put_together == ["mini", "mini"]
    assert changed == assemble_study(parsed(PAD_AT_4))


@pytest.mark.parametrize(
    ("where", "what", "value"),
    [
        (kept, "sources_sha256", lambda: "of other sources"),
        (kept, "packages_here", lambda: PackagesRecord("of others", "3.11", "torch==0.4")),
        (platform, "node", lambda: "another machine"),
        (kept, "cpu_model", lambda: "another processor"),
    ],
    ids=["sources", "libraries", "machine", "processor"],
)
def test_whatever_else_decides_it_makes_it_new(
    parsed, put_together, monkeypatch, where, what, value
) -> None:
    assembled_now(parsed())
    monkeypatch.setattr(where, what, value)
    assembled_before(parsed())
    assert put_together == ["mini", "mini"]


@pytest.mark.parametrize("hours", [-25, 25])
def test_a_forecast_stands_for_a_day(parsed, put_together, cache, hours: int) -> None:
    assembled_now(parsed())
    for age, expected in ((0.9 * hours, 1), (hours, 2)):
        then = time.time() - 3600 * age
        os.utime(cache / "study_mini.json", (then, then))
        assembled_before(parsed())
        assert len(put_together) == expected


def test_sources_that_change_meanwhile_keep_nothing(parsed, put_together, monkeypatch) -> None:
    states = itertools.count()
    monkeypatch.setattr(kept, "sources_sha256", lambda: f"state {next(states)}")
    assembled_now(parsed())
    monkeypatch.setattr(kept, "sources_sha256", lambda: "state 0")
    assembled_before(parsed())
    assert put_together == ["mini", "mini"]


DAMAGES = {
    "nothing is left": lambda text: "",
    "half of it is left": lambda text: text[: len(text) // 2],
    "other words": lambda text: "\0[" * 200_000,
    "another number": lambda text: text.replace('"updates": ', '"updates": 1'),
    "no game": lambda text: text.replace('"Assault": ', '"Asault": '),
    "an arm less": lambda text: text.replace('"full"', '"fool"'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_costs_nothing_but_time(parsed, put_together, cache, damage) -> None:
    assembled = assembled_now(parsed())
    before = (cache / "study_mini.json").read_text()
    (cache / "study_mini.json").write_text(damage(before))
    assert (cache / "study_mini.json").read_text() != before
    assert assembled_before(parsed()) == assembled
    assert put_together == ["mini", "mini"]


def test_what_gymnasium_decides_is_not_kept(parsed, put_together, cache) -> None:
    toggle = ("[toggles.augmentation]\nrandom_shift = { pad = 3 }\n", "")
    file = parsed(('["Pong", "Assault"]', '["Pong", "gymnasium:CartPole-v1"]'), toggle)
    assembled_before(file)
    assembled_before(file)
    assert put_together == ["mini", "mini"]
    assert not cache.exists()


def test_what_is_refused_is_not_kept(parsed, cache) -> None:
    with pytest.raises(StudyError):
        assembled_before(parsed(("random_shift", "random_shiff")))
    assert not cache.exists()


def test_the_database_gets_nothing_that_was_kept(
    ablate, write_study, engine, cache, monkeypatch
) -> None:
    path = str(write_study())
    assert ablate("plan", path).exit_code == 0
    monkeypatch.setattr(kept, "_check", lambda conditions, text: "anything goes")
    file = cache / "study_mini.json"
    kept_text = file.read_text().partition("\n")[2]
    true, false = '"agent_version\\":1', '"agent_version\\":9'
    assert true in kept_text
    file.write_text("anything goes\n" + kept_text.replace(true, false))
    specification = assembled_before(find_study(path)).runs[0].specification
    assert '"agent_version":9' in specification
    assert ablate("submit", path).exit_code == 0
    with read(engine) as session:
        specifications = session.scalars(select(Run.specification)).all()
    assert len(specifications) == 16
    assert all('"agent_version":1' in specification for specification in specifications)
