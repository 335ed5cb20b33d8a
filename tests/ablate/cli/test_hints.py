import pytest

from ablate.cli.hints import command, retry


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ABLATE_DB", raising=False)
    return tmp_path


def test_the_database_is_named_if_it_is_not_the_usual_one(monkeypatch) -> None:
    assert command("work", "a.toml", "ablate.sqlite") == "ablate work a.toml"
    assert command("work", None, "b.sqlite") == "ablate work --db b.sqlite"
    monkeypatch.setenv("ABLATE_DB", "b.sqlite")
    assert command("work", None, "b.sqlite") == "ablate work"
    assert command("work", None, "ablate.sqlite") == "ablate work --db ablate.sqlite"


def test_a_retry_names_the_study_however_it_was_typed() -> None:
    told = "Try them again: ablate queue retry smoke && ablate work smoke"
    assert retry("smoke", "ablate.sqlite") == told
    assert retry("far/away/smoke.toml", "ablate.sqlite") == told
    assert retry("smoke", "b.sqlite") == (
        "Try them again: ablate queue retry smoke --db b.sqlite && ablate work smoke --db b.sqlite"
    )
