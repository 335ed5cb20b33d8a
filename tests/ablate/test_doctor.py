from datetime import datetime, timedelta
from pathlib import Path

from ablate import doctor
from ablate.devices import Device
from ablate.disk import RESERVE_BYTES

NOW = datetime(2026, 11, 21, 12)


class Gpus:
    def look(self) -> tuple[Device, ...]:
        return (Device("cuda:0", "GPU-0", "H200", "570.1", 150 * 10**9, 10**9, {7: 5}),)


def test_a_gpu_is_described_with_its_driver_and_its_users() -> None:
    (found,) = doctor.about_devices(Gpus())
    assert found.words == "H200, driver 570.1, 1.0 GB of 150.0 GB free, 1 process"


class NoGpuOfThese:
    def look(self) -> tuple[Device, ...]:
        return ()


def test_gpus_that_are_allowed_and_not_there_are_bad(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    (found,) = doctor.about_devices(NoGpuOfThese())
    assert (found.is_well, found.words) == (
        False,
        "CUDA_VISIBLE_DEVICES=7 names none that is here",
    )
    assert doctor.about_torch(NoGpuOfThese()).is_well


def test_a_torch_that_cannot_use_the_gpus_is_bad(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = doctor.about_torch(Gpus())
    assert not found.is_well
    assert "CUDA build" in found.remedy


def test_a_disk_without_room_is_bad(tmp_path) -> None:
    path = tmp_path / "no" / "such" / "ablate.sqlite"
    assert doctor.about_disk(path, lambda place: RESERVE_BYTES).is_well
    found = doctor.about_disk(path, lambda place: RESERVE_BYTES - 1)
    assert not found.is_well
    assert str(tmp_path) in found.words


def test_a_clock_that_was_set_back_is_told() -> None:
    assert doctor.about_clock(None, NOW).is_well
    assert doctor.about_clock(NOW - timedelta(days=1), NOW).is_well
    found = doctor.about_clock(NOW + timedelta(hours=1), NOW)
    assert not found.is_well
    assert found.words.startswith("3,600 s behind")


def test_a_network_file_system_is_bad(monkeypatch) -> None:
    class Mount:
        mountpoint, fstype = "/", "nfs4"

    monkeypatch.setattr("psutil.disk_partitions", lambda all: [Mount])
    found = doctor.about_file_system(Path("/data/ablate.sqlite"))
    assert not found.is_well
    assert "nfs4" in found.words
