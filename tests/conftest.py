import os


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files in tests/golden instead of comparing with them",
    )


def pytest_configure(config):
    """Keeps the tests out of the user's cache: what cannot be written is computed every time."""
    os.environ["ABLATE_CACHE"] = os.devnull
