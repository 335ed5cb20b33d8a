"""Benchmarks measure and print; they run only where their folder or a file of it is named."""


def pytest_ignore_collect(collection_path, config):
    """Leaves them out of every other run."""
    return None if any("benchmarks" in str(word) for word in config.args) else True
