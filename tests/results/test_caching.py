import errno
import os
import time
from pathlib import Path

import pytest

from results import caching


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    """Where files are kept."""
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_is_read_until_something_takes_its_place(folder) -> None:
    assert caching.read("words") is None
    for text in ("first", "second: ä"):
        caching.keep("words", text)
        assert caching.read("words") == text
    assert [path.name for path in folder.iterdir()] == ["words.json"]


def test_what_is_too_old_is_not_there(folder) -> None:
    caching.keep("words", "old")
    then = time.time() - 2 * caching.DAY_S
    os.utime(folder / "words.json", (then, then))
    assert caching.read("words", days=1) is None
    assert caching.read("words", days=3) == "old"
    assert caching.read("words") == "old"


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch) -> None:
    def refuse(self, target):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(Path, "replace", refuse)
    caching.keep("words", "text")
    assert list(folder.iterdir()) == []
    assert caching.read("words") is None


def test_a_folder_in_the_place_of_a_file_is_left_alone(folder) -> None:
    (folder / "words.json").mkdir(parents=True)
    caching.keep("words", "text")
    assert caching.read("words") is None
    assert [path.name for path in folder.iterdir()] == ["words.json"]


def test_a_user_without_a_home_has_no_cache(monkeypatch) -> None:
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("ABLATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    caching.keep("words", "text")
    assert caching.read("words") is None
