"""Signals that ask a program to end in an orderly way."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a polite kill, and a closed terminal."""


@contextmanager
def listening(hear: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Calls `hear` for each of them, and for nothing else.

    A signal that is ignored stays so: that is what `nohup` asks for.
    """

    def receive(number: int, frame: FrameType | None) -> None:
        hear(signal.Signals(number))

    before = {
        number: signal.signal(number, receive)
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
