import json

import pytest

from ablate import planner
from ablate.assembly import assemble_study
from results.database import queue
from results.database.attempts import AttemptWriter

TRACEBACK = "Traceback (most recent call last):\n  File x, line 3\nValueError: too dark\n"


@pytest.fixture
def failed(parsed, engine):
    """The small study, whose first run failed twice at one point."""
    planner.submit(assemble_study(parsed()), engine)
    worker = queue.register_worker(engine, device="cuda:1", slot=0)
    for _ in range(2):
        claim = queue.claim(engine, worker)
        assert claim is not None
        AttemptWriter(engine, claim).fail(TRACEBACK, "ValueError at x.py:3")
    return engine


def test_the_log_of_a_run_tells_its_story_with_the_traceback(failed, ablate) -> None:
    lines = ablate("logs", "1").stdout.splitlines()
    assert lines[0] == "Run 1: base · Pong · seed 0, study mini"
    words = [line[21:] for line in lines[1:] if not line.startswith("    ")]
    assert words[0] == "submitted"
    assert words[1].startswith("claimed, attempt 1, by cuda:1 on ")
    assert words[2] == "failed, attempt 1"
    assert words[3].startswith("claimed, attempt 2, by cuda:1 on ")
    assert lines[-1] == "    ValueError: too dark"


def test_following_a_run_ends_with_it(failed, ablate) -> None:
    assert "failed, attempt 2" in ablate("logs", "1", "--follow").stdout


def test_a_log_as_json_has_every_event(failed, ablate) -> None:
    kinds = [one["kind"] for one in json.loads(ablate("logs", "1", "--json").stdout)]
    assert kinds == ["submitted", "claimed", "failed", "claimed", "failed"]
    assert ablate("logs", "1", "--json", "-f").exit_code == 2


def test_a_failure_is_seen_at_a_glance_with_the_way_to_its_traceback(failed, ablate) -> None:
    said = ablate("status", "mini").stdout
    assert "ValueError: too dark" in said
    assert "The whole traceback: ablate logs 1" in said


def test_a_run_that_is_tried_again_is_worth_a_look(parsed, engine, ablate) -> None:
    planner.submit(assemble_study(parsed()), engine)
    assert "Check:" not in ablate("status", "mini").stdout
    claim = queue.claim(engine, queue.register_worker(engine, device="cpu", slot=0))
    assert claim is not None
    AttemptWriter(engine, claim).fail(TRACEBACK, "ValueError at x.py:3")
    said = ablate("status", "mini").stdout
    assert "Check: 1 run lost or failed before and tried again, with how often: run 1 (1)." in said


def test_the_doctor_says_how_everything_is(failed, ablate) -> None:
    said = ablate("doctor")
    assert said.exit_code == 0, said.stdout
    told = [line[4:].partition(":")[0] for line in said.stdout.splitlines() if line[:3] == "ok "]
    wanted = {"Python", "libraries", "torch", "ROMs", "disk", "file system", "database", "clock"}
    assert wanted <= set(told)
    assert all(one["is_well"] for one in json.loads(ablate("doctor", "--json").stdout))


def test_the_doctor_needs_no_database(ablate) -> None:
    said = ablate("doctor").stdout
    assert "ok  database: there is none yet" in said


def test_the_doctor_of_a_damaged_database_says_what_to_do(failed, ablate, tmp_path) -> None:
    path = tmp_path / "ablate.sqlite"
    failed.dispose()
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xff" * (40960 - 8192)
    path.write_bytes(bytes(content))
    said = ablate("doctor")
    assert said.exit_code == 1
    assert "BAD database: " in said.stdout
