"""Who is told how far a long computation is: nobody, unless a caller watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]
"""Takes what is computed, how many steps are done, and how many there are."""

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tells a watcher about everything that is computed meanwhile."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell(what: str, done: int, steps: int) -> None:
    """Tells the watcher, if there is one."""
    if (watcher := _watcher.get()) is not None:
        watcher(what, done, steps)
