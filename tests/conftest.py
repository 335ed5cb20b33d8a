import os
import signal

import pytest

HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files in tests/golden instead of comparing with them",
    )


def pytest_configure(config):
    """Keeps the tests out of the user's cache, and tests of signals from hearing none.

    A cache that cannot be written to is computed every time. A process that is started in the
    background, or by nohup, ignores signals, and its children inherit that.
    """
    os.environ["ABLATE_CACHE"] = os.devnull
    for number, handler in HANDLERS.items():
        signal.signal(number, handler)


def pytest_collection_modifyitems(items):
    """Tests that are run by hand take as long as they take."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(0))
