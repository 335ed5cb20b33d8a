"""`ablate status --watch`."""

import io

import pytest
from rich.console import Console

from ablate import planner
from ablate.assembly import assemble_study
from ablate.cli import live
from results.database import queue, reading

PICTURES = "\x1b[2K"  # a line that is drawn anew is cleared first


@pytest.fixture
def submitted(parsed, engine):
    planner.submit(assemble_study(parsed()), engine)
    return engine


def watched(engine, steps, *, terminal: bool, study: str | None = "mini") -> str:
    """What is shown while these steps are taken, one after every look."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=80, height=40)
    left = iter(steps)
    live.watch(engine, study, every_s=1, console=console, sleep=lambda _: next(left)())
    return shown.getvalue()


def a_week(engine):
    """A run fails, another one is begun, then all are finished."""
    worker = queue.register_worker(engine, device="cuda:1", slot=0)

    def fail() -> None:
        claim = queue.claim(engine, worker)
        text = "Traceback (most recent call last):\n  ...\nValueError: the loss is not finite"
        queue.AttemptWriter(engine, claim).fail(text)

    def begin() -> None:
        claim = queue.claim(engine, worker)
        queue.AttemptWriter(engine, claim).log({"loss": 0.5}, 500)
        queue.AttemptWriter(engine, claim).progress(500, 3)
        writer = queue.AttemptWriter(engine, claim)
        writer.log({"loss": 0.5}, 500)
        writer.flush(force=True)

    def finish() -> None:
        queue.end_worker(engine, worker)
        another = queue.register_worker(engine, device="cuda:1", slot=0)
        while (claim := queue.claim(engine, another)) is not None:
            queue.AttemptWriter(engine, claim).finish(3.0)

    return fail, begin, finish


@pytest.mark.parametrize("study", ["mini", None])
def test_a_terminal_shows_what_runs_where_and_what_failed_until_all_is_done(
    submitted, study
) -> None:
    shown = watched(submitted, a_week(submitted), terminal=True, study=study)
    first, *_, last = shown.split("mini: 16 runs: ")[1:]
    assert first.startswith("16 queued")
    assert last.startswith("15 finished, 1 failed")
    assert "ValueError: the loss is not finite" in shown
    assert "Traceback" not in shown
    assert "cuda:1" in shown
    assert "25%" in shown
    assert PICTURES in shown


def test_elsewhere_a_line_is_printed_whenever_a_count_changes(submitted) -> None:
    def nothing() -> None:
        """Nothing has happened."""

    fail, begin, finish = a_week(submitted)
    shown = watched(submitted, (fail, nothing, begin, finish), terminal=False)
    lines = [line for line in shown.splitlines() if line]
    assert lines == [
        "mini: 16 runs: 16 queued",
        "mini: 16 runs: 15 queued, 1 failed",
        "mini: 16 runs: 14 queued, 1 running, 1 failed",
        "mini: 16 runs: 15 finished, 1 failed",
    ]


def test_a_picture_is_no_higher_than_the_terminal(submitted) -> None:
    for slot in range(12):
        queue.claim(submitted, queue.register_worker(submitted, device="cpu", slot=slot))
    picture = live._picture([("mini", live.Standing.read(submitted, "mini"))], 20)
    console = Console(file=io.StringIO(), width=80, height=20)
    assert len(console.render_lines(picture)) <= 20
    console.print(picture)
    assert "more" in console.file.getvalue()


def test_a_finished_study_is_shown_once(submitted, ablate) -> None:
    a_week(submitted)[2]()
    assert reading.counts(submitted, "mini")["finished"] == 16
    done = ablate("status", "mini", "--watch")
    assert done.stdout.strip() == "mini: 16 runs: 16 finished"
    refused = ablate("status", "mini", "--watch", "--json")
    assert refused.exit_code == 2
    assert "cannot --watch" in refused.stderr
