import psutil
import pytest

from ablate.devices import ThisMachine
from agents import host_memory


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Writes the files that say what this process may take."""

    def write(**files: str) -> None:
        for name, text in files.items():
            (tmp_path / f"memory.{name}").write_text(text + "\n")

    monkeypatch.setattr(host_memory, "CONTAINER", tmp_path)
    return write


def test_without_a_container_it_is_the_machines(container):
    assert host_memory.total_bytes() == psutil.virtual_memory().total
    assert host_memory.free_bytes() > 0


def test_a_container_without_a_limit_is_the_machine(container):
    container(max="max", current="4900000")
    assert host_memory.total_bytes() == psutil.virtual_memory().total
    assert host_memory.free_bytes() > 4_900_000


def test_the_limit_of_a_container_counts(container):
    container(max="5000000", current="4900000", stat="anon 4900000\ninactive_file 0")
    assert host_memory.total_bytes() == 5_000_000
    assert host_memory.free_bytes() == 100_000


def test_files_that_are_kept_in_memory_make_room(container):
    container(max="5000000", current="4900000", stat="anon 1900000\ninactive_file 3000000")
    assert host_memory.free_bytes() == 3_100_000


def test_a_container_that_counts_no_files_has_what_is_not_taken(container):
    container(max="5000000", current="4900000")
    assert host_memory.free_bytes() == 100_000


def test_a_container_that_is_over_its_limit_has_nothing_left(container):
    container(max="5000000", current="5100000", stat="anon 5100000")
    assert host_memory.free_bytes() == 0


def test_the_devices_of_a_scheduler_have_no_more(container):
    container(max="5000000", current="4900000", stat="anon 4900000")
    [cpu] = [one for one in ThisMachine().look() if one.name == "cpu"]
    assert (cpu.total_bytes, cpu.free_bytes) == (5_000_000, 100_000)
