import os
import queue
import signal
import sys
import time
from pathlib import Path

import ablate
from ablate import processes
from ablate.devices import ThisMachine
from ablate.placement import Seat
from ablate.processes import Message, WorkerProcess, death, worker_command, worker_environment

HOME = str(Path(ablate.__file__).parents[1])


def started(monkeypatch, code: str) -> tuple[WorkerProcess, "queue.Queue[Message]"]:
    """A process that runs this code in the place of a worker."""
    monkeypatch.setattr(
        processes, "worker_command", lambda **options: [sys.executable, "-c", code]
    )
    inbox: queue.Queue[Message] = queue.Queue()
    seat = Seat(1, ThisMachine().look()[0], 3, 10**9)
    return WorkerProcess(database="x", study=None, number=7, seat=seat, inbox=inbox), inbox


def ended(worker: WorkerProcess) -> int:
    deadline = time.monotonic() + 20
    while (code := worker.exit_code()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return code


def test_every_message_is_in_the_inbox_when_a_worker_has_ended(monkeypatch) -> None:
    worker, inbox = started(monkeypatch, 'print(\'{"event": 1}\\n{"event": 2}\\n{"ev\')')
    assert ended(worker) == 0
    assert [inbox.get_nowait().values["event"] for _ in range(inbox.qsize())] == [1, 2, "ended"]
    worker.close()


def test_the_last_words_are_what_went_to_standard_error(monkeypatch) -> None:
    worker, _ = started(monkeypatch, "raise SystemExit('no more')")
    assert ended(worker) == 1
    assert worker.last_words() == "no more"
    worker.close()


def test_a_worker_can_be_stopped_and_killed(monkeypatch) -> None:
    for end, number in (
        (WorkerProcess.stop, signal.SIGTERM),
        (WorkerProcess.kill, signal.SIGKILL),
    ):
        worker, _ = started(monkeypatch, "import time; time.sleep(60)")
        end(worker)
        assert ended(worker) == -number
        worker.close()


def test_a_worker_is_out_of_reach_of_the_terminals_ctrl_c(monkeypatch) -> None:
    worker, _ = started(monkeypatch, "import time; time.sleep(60)")
    assert os.getsid(worker.pid) == worker.pid
    worker.kill()
    worker.close()


def test_a_worker_runs_the_schedulers_code_with_one_thread() -> None:
    environment = worker_environment({"PYTHONPATH": "/elsewhere", "HOME": "/root"})
    assert environment["PYTHONPATH"].split(os.pathsep) == [HOME, "/elsewhere"]
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["HOME"] == "/root"


def test_a_worker_sees_its_device_and_no_other() -> None:
    assert worker_environment({})["CUDA_VISIBLE_DEVICES"] == ""
    environment = worker_environment({"CUDA_VISIBLE_DEVICES": "0,1"}, visible="GPU-1f")
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-1f"


def test_a_worker_is_told_who_its_scheduler_is() -> None:
    command = worker_command(database="x.sqlite", study="mini", device="cuda:1", slot=2, room=5)
    assert command[command.index("--parent") + 1] == str(os.getpid())
    assert command[command.index("--study") + 1] == "mini"
    assert command[command.index("--device") + 1] == "cuda:1"
    assert "--study" not in worker_command(
        database="x.sqlite", study=None, device="cpu", slot=2, room=5
    )


def test_the_end_of_a_process_is_put_into_words() -> None:
    assert death(-9) == "killed by SIGKILL"
    assert death(3) == "exit code 3"
    assert death(-99) == "killed by signal 99"
