import io

import pytest
from rich.console import Console

from ablate.progress import (
    LiveDisplay,
    PlainDisplay,
    RunInHand,
    View,
    amount,
    display_for,
    duration,
)

COUNTS = {"queued": 3, "running": 1, "finished": 4, "failed": 1, "cancelled": 2}
RUN = RunInHand(
    run_id=7,
    label="base · Pong · seed 0",
    arm="base",
    game="Pong",
    seat="cpu, slot 0",
    fraction=0.5,
)
VIEW = View(name="mini", counts=COUNTS, in_hand=[RUN], seconds_left=600.0)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (3 * 3600 + 300, "3 h 5 min"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_a_duration_is_put_into_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (12, "1 KB"),
        (3_400, "3 KB"),
        (999_400, "999 KB"),
        (412_000_000, "412 MB"),
        (26_214_000_000, "26.2 GB"),
        (9_000_000_000_000, "9,000.0 GB"),
    ],
)
def test_an_amount_of_memory_is_put_into_words(size: int, words: str) -> None:
    assert amount(size) == words


def test_cancelled_runs_do_not_count() -> None:
    assert (VIEW.total, VIEW.ended) == (9, 5)
    assert VIEW.summary == (
        "mini: 5 of 9 runs (3 queued, 1 running, 4 finished, 1 failed, 2 cancelled), "
        "about 10 min left"
    )


def test_plain_lines_are_for_whatever_is_no_terminal() -> None:
    assert isinstance(display_for(console(terminal=False)), PlainDisplay)
    live = display_for(console(terminal=True))
    assert isinstance(live, LiveDisplay)
    live.close()


def test_a_summary_comes_every_half_minute() -> None:
    now = [0.0]
    out = console(terminal=False)
    display = PlainDisplay(out, monotonic=lambda: now[0])
    for moment in (0.0, 29.0, 30.0, 31.0, 59.0, 61.0):
        now[0] = moment
        display.update(VIEW)
    assert text(out).count("5 of 9 runs") == 2


def test_plain_lines_are_neither_wrapped_nor_read_as_markup() -> None:
    out = console(terminal=False)
    line = "[bold] " + "x" * 300
    PlainDisplay(out).say(line)
    assert text(out) == line + "\n"


def test_bars_follow_the_runs_in_hand() -> None:
    out = console(terminal=True)
    display = LiveDisplay(out)
    display.update(VIEW)
    display.say("[a line]")
    display.update(View(name="mini", counts=COUNTS, in_hand=[], seconds_left=None))
    display.close()
    assert "base · Pong · seed 0" in text(out)
    assert "[a line]" in text(out)
    assert "5/9 runs" in text(out)
