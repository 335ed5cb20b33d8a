"""The progress bar of long computations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def computing_bar() -> Iterator[None]:
    """Shows on a terminal how far bootstraps and searches are that are computed meanwhile."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from results.statistics.progress import watched

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("scores", total=None, visible=False)

    def tell(what: str, done: int, steps: int) -> None:
        bar.start()
        bar.update(task, description=what, completed=done, total=steps, visible=True)

    try:
        with watched(tell):
            yield
    finally:
        bar.stop()
