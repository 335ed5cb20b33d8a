"""Devices: what this machine can compute on, how much memory is free there, and its slots."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from agents import host_memory

CPU = "cpu"

VISIBLE = "CUDA_VISIBLE_DEVICES"

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "<microseconds> <period>" or "max <period>"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What the numerical libraries read: a worker gets one thread, since there is one per core."""


class SlotsError(Exception):
    """Slots that this machine does not have; one paragraph with what it has."""


@dataclass(frozen=True)
class Device:
    """Something to compute on, as it is now.

    Attributes:
        name: `cpu`, or `cuda:3` for the GPU that NVML counts as 3.
        visible: What CUDA_VISIBLE_DEVICES must say so that a process sees this device alone.
        model: What it is.
        driver: Version of its driver; None for a CPU.
        total_bytes: Its memory.
        free_bytes: What of it nobody uses at this moment, whoever they are.
        used_bytes: What processes use, by their ids, as far as that can be known.
    """

    name: str
    visible: str
    model: str
    driver: str | None
    total_bytes: int
    free_bytes: int
    used_bytes: Mapping[int, int]


class Devices(Protocol):
    """Looks at devices; a test puts a stand-in here."""

    def look(self) -> tuple[Device, ...]:
        """The devices that runs may be trained on: the GPUs, or the CPU where there is none.

        None at all where only GPUs are allowed that are not there.
        """


class ThisMachine:
    """The devices of this machine."""

    def look(self) -> tuple[Device, ...]:
        """Those GPUs that CUDA_VISIBLE_DEVICES allows, or the CPU where there can be none."""
        gpus, allowed = _gpus(), os.environ.get(VISIBLE)
        if not gpus or hides_all(allowed):
            return (_cpu(),)
        return gpus if allowed is None else let_through(gpus, allowed)


def hides_all(allowed: str | None) -> bool:
    """Whether a value of CUDA_VISIBLE_DEVICES hides every GPU on purpose."""
    return allowed is not None and allowed.strip() in ("", "-1", "NoDevFiles")


def let_through(gpus: Sequence[Device], allowed: str) -> tuple[Device, ...]:
    """The GPUs that a value of CUDA_VISIBLE_DEVICES names, read as CUDA reads it.

    Args:
        gpus: All.
        allowed: Numbers, which count as `nvidia-smi` does, or beginnings of UUIDs; the first
            word that means no GPU ends the list.
    """
    chosen: set[str] = set()
    for word in map(str.strip, allowed.split(",")):
        named = [
            gpu.name
            for gpu in gpus
            if gpu.name == f"cuda:{word}" or (word[:4] == "GPU-" and gpu.visible.startswith(word))
        ]
        if len(named) != 1:
            break
        chosen.update(named)
    return tuple(gpu for gpu in gpus if gpu.name in chosen)


@dataclass(frozen=True)
class Slots:
    """How many runs may share each device, counting those of every scheduler of this machine.

    Attributes:
        per_device: By the name of the device.
        total: How many workers one scheduler starts at most.
    """

    per_device: Mapping[str, int]
    total: int


def make_slots(words: str | None, per_gpu: int, devices: Sequence[Device]) -> Slots:
    """Reads what a user says about slots.

    Args:
        words: `4` for so many workers in all; `0:3,1:2` for three on GPU 0 and two on GPU 1; None
            for one per physical core, or `per_gpu` per GPU.
        per_gpu: Slots of a GPU for which nothing is said.
        devices: Of this machine.

    Raises:
        SlotsError: If the words mean nothing, or name a GPU that is not there; or if there is no
            device at all.
    """
    if not devices:
        raise SlotsError(
            f"{VISIBLE}={os.environ.get(VISIBLE, '')} names no GPU that the driver knows. Give "
            "the numbers or UUIDs that `nvidia-smi -L` shows, unset it to use every GPU, or set "
            "it to nothing to train on the CPU."
        )
    names = [device.name for device in devices]
    on_cpu = names == [CPU]
    if words is None:
        each = default_slots() if on_cpu else per_gpu
        return Slots(dict.fromkeys(names, each), each * len(names))
    if re.fullmatch(r"[1-9]\d{0,5}", words):
        count = int(words)
        return Slots(dict.fromkeys(names, count if on_cpu else max(count, per_gpu)), count)
    pairs = re.findall(r"(\d+):([1-9]\d*)(?:,|$)", words)
    if not pairs or ",".join(":".join(pair) for pair in pairs) != words:
        raise SlotsError(
            f"--slots {words}: give a number of workers, as in --slots 2, or slots by GPU, as in "
            "--slots 0:3,1:2 (three runs on GPU 0, two on GPU 1)."
        )
    chosen = {f"cuda:{gpu}": int(count) for gpu, count in pairs}
    absent = [name for name in chosen if name not in names]
    if absent or len(chosen) != len(pairs):
        problem = f"there is no {absent[0]}" if absent else "a GPU is named twice"
        raise SlotsError(
            f"--slots {words}: {problem}. This machine has {', '.join(names)}. `ablate doctor` "
            "shows what can be seen of its GPUs."
        )
    return Slots(chosen, sum(chosen.values()))


def crowded(slots: Slots) -> str:
    """What to say of more workers on the CPU than it has cores; empty where there are not."""
    workers, cores = min(slots.per_device.get(CPU, 0), slots.total), default_slots()
    if workers <= cores:
        return ""
    return (
        f"{workers} workers share {cores} {'core' if cores == 1 else 'cores'}, so that each run "
        "takes longer and they do not end sooner. Without --slots there is one worker per core."
    )


def default_slots() -> int:
    """One slot per physical core that this process may use."""
    cores = [psutil.cpu_count(logical=False), _allowed_cores(), quota_cores(CPU_QUOTA)]
    return max(1, min(count for count in cores if count is not None))


def quota_cores(path: Path) -> int | None:
    """The whole cores that a container's quota leaves, or None without a quota."""
    try:
        allowed, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else max(1, int(allowed) // int(period))


def _allowed_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu() -> Device:
    return Device(
        name=CPU,
        visible="",
        model=cpu_model(),
        driver=None,
        total_bytes=host_memory.total_bytes(),
        free_bytes=host_memory.free_bytes(),
        used_bytes=_Resident(),
    )


class _Resident(Mapping[int, int]):
    """The memory that the processes of this machine use, looked up when asked for."""

    def __getitem__(self, pid: int) -> int:
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            raise KeyError(pid) from None

    def __iter__(self) -> Any:
        return iter(psutil.pids())

    def __len__(self) -> int:
        return len(psutil.pids())


def cpu_model() -> str:
    """The name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "CPU"
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else "CPU"


def _gpus() -> tuple[Device, ...]:
    """The GPUs that NVML shows; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return tuple(
            gpu
            for index in range(pynvml.nvmlDeviceGetCount())
            if (gpu := _gpu(pynvml, index, driver)) is not None
        )
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, index: int, driver: str) -> Device | None:
    """One GPU, or None if it has fallen off the bus: the others go on."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return Device(
            name=f"cuda:{index}",
            visible=_text(nvml.nvmlDeviceGetUUID(handle)),
            model=_text(nvml.nvmlDeviceGetName(handle)),
            driver=driver,
            total_bytes=int(memory.total),
            free_bytes=int(memory.free),
            used_bytes={
                int(process.pid): int(process.usedGpuMemory)
                for process in processes
                if process.usedGpuMemory is not None  # in a container nobody says
            },
        )
    except nvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
