from ablate.devices import default_slots, quota_cores


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
