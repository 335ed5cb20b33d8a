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


def test_a_retry_names_a_file_that_can_be_found(directory) -> None:
    def retried(study: str) -> str:
        return retry(study, "ablate.sqlite").removeprefix("Try them again: ablate run ")

    assert retried("smoke") == "smoke --retry-failed"
    assert retried("far/away.toml") == "far/away.toml --retry-failed"
    assert retried("mine") == "PATH/TO/mine.toml --retry-failed"
    (directory / "mine.toml").write_text("")
    assert retried("mine") == "mine.toml --retry-failed"
    (directory / "studies").mkdir()
    (directory / "studies" / "mine.toml").write_text("")
    assert retried("mine") == "mine --retry-failed"
