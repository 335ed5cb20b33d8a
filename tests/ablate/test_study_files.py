import pytest

from ablate.study import StudyError
from ablate.study_files import SHIPPED, find_study, listed_studies, study_name


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def local(tmp_path, edited):
    """Writes a study into ./studies."""

    def write(name: str = "mini", *changes: tuple[str, str]) -> None:
        (tmp_path / "studies").mkdir(exist_ok=True)
        text = edited(('"mini"', f'"{name}"'), *changes)
        (tmp_path / "studies" / f"{name}.toml").write_text(text)

    return write


def test_a_shipped_study_is_found_from_anywhere() -> None:
    assert find_study("smoke").study.name == "smoke"


def test_a_study_is_found_by_its_path(write_study) -> None:
    assert find_study(str(write_study())).study.name == "mini"


def test_a_study_is_found_in_the_local_folder(local) -> None:
    local()
    assert find_study("mini").path == "studies/mini.toml"


def test_a_local_study_hides_a_shipped_one(local) -> None:
    local("smoke")
    assert find_study("smoke").study.question == "Does it run?"
    places = [listed.place for listed in listed_studies() if listed.name == "smoke"]
    assert places == ["studies/smoke.toml"]


@pytest.mark.parametrize("wanted", ["smke", "smke.toml", "nowhere/smke.toml"])
def test_a_missing_study_names_the_nearest(wanted: str) -> None:
    with pytest.raises(StudyError, match=f"{wanted}: .*nearest: smoke"):
        find_study(wanted)


def test_every_study_is_listed_even_a_broken_one(local) -> None:
    local()
    local("broken", ("seeds = 2", "seeds = []"))
    found = {listed.name: listed for listed in listed_studies()}
    assert {"broken", "mini", "smoke"} <= set(found)
    assert list(found) == sorted(found)
    assert "`seeds` is empty" in (found["broken"].problem or "")
    assert found["smoke"].place == SHIPPED


def test_a_path_stands_for_the_study_in_it() -> None:
    assert study_name("studies/smoke.toml") == study_name("smoke") == "smoke"
