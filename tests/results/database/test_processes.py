from __future__ import annotations

import subprocess
import sys

import psutil

from results.database import processes


def test_this_process_is_alive_and_an_earlier_one_with_its_pid_is_not():
    this = processes.this_process()
    assert processes.process_is_alive(this.pid, this.started_at)
    assert not processes.process_is_alive(this.pid, this.started_at - 0.02)


def test_an_ended_process_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert processes.process_started_at(child.pid) is None


def test_systems_without_proc_are_asked_through_psutil(monkeypatch):
    def no_proc(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(processes.Path, "read_text", no_proc)
    this = processes.this_process()
    assert this.started_at == psutil.Process(this.pid).create_time()
    assert processes.process_is_alive(this.pid, this.started_at)
    assert not processes.process_is_alive(2**22 + 1, this.started_at)


def test_a_process_whose_name_holds_brackets_is_read_right(tmp_path):
    odd = tmp_path / "a) Z (b"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([odd, "30"])
    try:
        assert processes.process_started_at(child.pid) is not None
    finally:
        child.kill()
        child.wait()
