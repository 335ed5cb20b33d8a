"""What is told to whoever still reads it."""

import errno

from ablate.announcing import AGAIN_AFTER_S, Announcer
from ablate.progress import View

VIEW = View(name="mini", counts={}, in_hand=[], seconds_left=None)


class Paper:
    """A display that keeps its lines, until it is torn."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_torn = False

    def say(self, line: str) -> None:
        if self.is_torn:
            raise OSError(errno.EPIPE, "Broken pipe")
        self.lines.append(line)

    def update(self, view: View) -> None:
        self.say(view.name)

    def close(self) -> None:
        self.say("closed")


def test_numbers_that_change_while_something_lasts_are_news_only_now_and_then() -> None:
    paper, now = Paper(), [0.0]
    announcer = Announcer(paper, monotonic=lambda: now[0])
    for free in range(100):
        now[0] += AGAIN_AFTER_S / 40
        announcer.say_once("full", f"{free} GB are free")
        announcer.say_once("others", "2 runs left")
    assert paper.lines == ["0 GB are free", "2 runs left", "40 GB are free", "80 GB are free"]


def test_something_that_comes_back_is_said_again() -> None:
    paper = Paper()
    announcer = Announcer(paper, monotonic=lambda: 0.0)
    assert not announcer.is_over("disk")
    announcer.say_once("disk", "it is full")
    assert announcer.is_over("disk")
    assert not announcer.is_over("disk")
    announcer.say_once("disk", "it is full")
    assert paper.lines == ["it is full", "it is full"]


def test_nothing_is_shown_any_more_once_that_failed() -> None:
    paper = Paper()
    announcer = Announcer(paper)
    announcer.say("one")
    paper.is_torn = True
    announcer.say("two")
    announcer.update(VIEW)
    paper.is_torn = False
    announcer.say("three")
    announcer.close()
    assert paper.lines == ["one"]
