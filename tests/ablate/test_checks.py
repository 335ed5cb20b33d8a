import shutil
from types import SimpleNamespace

from ablate.checks import checks
from ablate.disk import RESERVE_BYTES
from results.database import control
from results.database.control import Selection


def test_a_study_that_waits_for_the_disk_says_so(submitted, monkeypatch) -> None:
    assert checks(submitted, "mini") == []
    full = SimpleNamespace(free=RESERVE_BYTES - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    (said,) = checks(submitted, "mini")
    assert said.startswith("The queue waits: the disk of ")
    control.cancel(submitted, Selection(study="mini"))
    assert checks(submitted, "mini") == []  # nothing is left to do
