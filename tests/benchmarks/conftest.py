"""Benchmarks measure and print; they run only where their folder or a file of it is named."""

from pathlib import Path

import pytest

HOW = "--peer=PATH, a checkout of https://github.com/jurgisp/pydreamer"
NEEDED = ("pydreamer/models/dreamer.py", "config/defaults.yaml")


def pytest_addoption(parser):
    parser.addoption("--peer", type=Path, metavar="PATH", help=HOW[len("--peer=PATH, ") :])


def pytest_configure(config):
    """Refuses a path that is no checkout, or none at all, before anything is measured."""
    peer = config.getoption("peer", None)
    if peer is None:
        if any("test_peer.py" in str(word) for word in config.args):
            raise pytest.UsageError(f"test_peer.py needs {HOW}")
        return
    missing = [name for name in NEEDED if not (peer / name).is_file()]
    if missing:
        raise pytest.UsageError(
            f"--peer={peer} is no checkout of pydreamer: there is no {' and no '.join(missing)} "
            f"in it. Give the folder that `git clone https://github.com/jurgisp/pydreamer` makes."
        )


def pytest_ignore_collect(collection_path, config):
    """Leaves them out of every other run, and the peer's out where there is none."""
    if not any("benchmarks" in str(word) for word in config.args):
        return True
    if collection_path.name == "test_peer.py" and config.getoption("peer", None) is None:
        return True
    return None


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("peer", None) is None and any(
        "benchmarks" in str(word) for word in config.args
    ):
        terminalreporter.write_line(f"test_peer.py was left out: it needs {HOW}")
