import os
import sys
from types import SimpleNamespace

import pytest

from ablate.devices import (
    Device,
    Slots,
    SlotsError,
    ThisMachine,
    crowded,
    default_slots,
    make_slots,
    quota_cores,
)


def gpu(number: int) -> Device:
    return Device(f"cuda:{number}", f"GPU-{number}", "H200", "570", 10**11, 10**11, {})


CPU = Device("cpu", "", "a CPU", None, 10**10, 10**9, {})
TWO = (gpu(0), gpu(1))


def test_there_is_always_a_slot() -> None:
    assert default_slots() >= 1


def test_a_quota_limits_the_cores(tmp_path) -> None:
    path = tmp_path / "cpu.max"
    quotas = {"250000 100000": 2, "50000 100000": 1, "max 100000": None, "": None}
    for text, cores in quotas.items():
        path.write_text(text)
        assert quota_cores(path) == cores


def test_without_a_quota_file_there_is_no_quota(tmp_path) -> None:
    assert quota_cores(tmp_path / "none") is None


def test_a_tight_quota_leaves_one_slot(tmp_path, monkeypatch) -> None:
    path = tmp_path / "cpu.max"
    path.write_text("1000 100000")
    monkeypatch.setattr("ablate.devices.CPU_QUOTA", path)
    assert default_slots() == 1


@pytest.mark.parametrize(
    ("words", "per_gpu", "devices", "slots"),
    [
        (None, 1, TWO, Slots({"cuda:0": 1, "cuda:1": 1}, 2)),
        (None, 3, TWO, Slots({"cuda:0": 3, "cuda:1": 3}, 6)),
        ("0:3,1:2", 1, TWO, Slots({"cuda:0": 3, "cuda:1": 2}, 5)),
        ("1:2", 4, TWO, Slots({"cuda:1": 2}, 2)),
        ("3", 2, TWO, Slots({"cuda:0": 3, "cuda:1": 3}, 3)),
        ("3", 1, (CPU,), Slots({"cpu": 3}, 3)),
    ],
)
def test_slots_are_what_the_words_say(words, per_gpu, devices, slots) -> None:
    assert make_slots(words, per_gpu, devices) == slots


@pytest.mark.parametrize(
    ("words", "devices", "told"),
    [
        ("0", (CPU,), "give a number of workers"),
        ("-1", (CPU,), "give a number of workers"),
        ("many", TWO, "give a number of workers"),
        ("0:3,", TWO, "give a number of workers"),
        ("0:0", TWO, "give a number of workers"),
        ("0:3;1:2", TWO, "give a number of workers"),
        ("2:1", TWO, "there is no cuda:2. This machine has cuda:0, cuda:1"),
        ("0:1", (CPU,), "there is no cuda:0. This machine has cpu"),
        ("0:1,0:2", TWO, "a GPU is named twice"),
    ],
)
def test_slots_that_are_not_there_are_refused(words, devices, told) -> None:
    with pytest.raises(SlotsError, match=told):
        make_slots(words, 1, devices)


class FakeNvml(SimpleNamespace):
    """The driver of a box with two GPUs, the second of which has fallen off the bus."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        process = SimpleNamespace(pid=7, usedGpuMemory=5)
        unknown = SimpleNamespace(pid=8, usedGpuMemory=None)
        super().__init__(
            nvmlInit=lambda: None,
            nvmlShutdown=lambda: None,
            nvmlSystemGetDriverVersion=lambda: "570.1",
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=self.handle,
            nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=80, free=60),
            nvmlDeviceGetComputeRunningProcesses=lambda _: [process, unknown],
            nvmlDeviceGetUUID=lambda _: b"GPU-1f",
            nvmlDeviceGetName=lambda _: "H200",
        )

    def handle(self, index: int) -> int:
        if index == 1:
            raise self.NVMLError("GPU is lost")
        return index


def test_the_gpus_that_are_there_are_seen_and_a_lost_one_is_not(monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    seen = Device("cuda:0", "GPU-1f", "H200", "570.1", 80, 60, {7: 5})
    assert ThisMachine().look() == (seen,)


FOUR = tuple(
    Device(f"cuda:{number}", f"GPU-{uuid}", "H200", "570", 80, 60, {})
    for number, uuid in enumerate(("1f-a", "1f-b", "2e-a", "3d-a"))
)


@pytest.mark.parametrize(
    ("allowed", "numbers"),
    [
        (None, [0, 1, 2, 3]),
        ("2", [2]),
        (" 3, 1", [1, 3]),
        ("GPU-2e-a,0", [0, 2]),
        ("GPU-2e", [2]),
        ("GPU-1f", []),  # two begin so
        ("0,-1,1", [0]),
        ("0,7,1", [0]),
        ("7", []),
        ("MIG-1f-a", []),
    ],
)
def test_a_user_says_which_gpus_may_be_used(monkeypatch, allowed, numbers) -> None:
    monkeypatch.setattr("ablate.devices._gpus", lambda: FOUR)
    if allowed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    seen = ThisMachine().look()
    assert [device.name for device in seen] == [f"cuda:{number}" for number in numbers]
    if seen:
        assert make_slots(None, 2, seen).total == 2 * len(numbers)
    else:
        with pytest.raises(SlotsError, match=f"DEVICES={allowed} names no GPU that the driver"):
            make_slots(None, 2, seen)


@pytest.mark.parametrize("allowed", ["", "-1", "NoDevFiles"])
def test_a_user_who_hides_the_gpus_trains_on_the_cpu(monkeypatch, allowed) -> None:
    monkeypatch.setattr("ablate.devices._gpus", lambda: FOUR)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert [device.name for device in ThisMachine().look()] == ["cpu"]


def test_a_worker_sees_the_gpu_that_its_environment_leaves_it(monkeypatch) -> None:
    monkeypatch.setattr("ablate.devices._gpus", lambda: FOUR)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", FOUR[2].visible)
    assert ThisMachine().look() == (FOUR[2],)
    monkeypatch.setattr("ablate.devices._gpus", lambda: FOUR[:2])
    assert ThisMachine().look() == ()  # it was removed: not the CPU's turn


def test_without_a_driver_runs_are_trained_on_the_cpu(monkeypatch) -> None:
    nvml = FakeNvml()

    def no_driver() -> None:
        raise nvml.NVMLError("no driver")

    nvml.nvmlInit = no_driver
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    (device,) = ThisMachine().look()
    assert (device.name, device.visible) == ("cpu", "")
    assert 0 < device.free_bytes <= device.total_bytes
    assert device.used_bytes[os.getpid()] > 10**6
    assert device.used_bytes.get(999_999_999) is None


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        (Slots({"cpu": 99}, 99), "99 workers share 2 cores"),
        (Slots({"cpu": 2}, 2), ""),
        (Slots({"cuda:0": 3, "cuda:1": 3}, 6), ""),
    ],
)
def test_more_workers_than_cores_are_told_that_they_share_them(monkeypatch, slots, said) -> None:
    monkeypatch.setattr("ablate.devices.default_slots", lambda: 2)
    assert crowded(slots).startswith(said)
    assert bool(crowded(slots)) == bool(said)
