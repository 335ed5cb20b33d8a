import io
import os
import stat

import pandas as pd
import pytest

from results import figures
from results.figures import drawn as drawn_module
from results.statistics.errors import StatisticsError, UnknownName
from results.statistics.options import Options

QUICK = Options(resamples=50)


@pytest.fixture
def drawn(noisy_data):
    return figures.draw("aggregates", noisy_data, QUICK)


def test_saving_writes_every_format_and_the_numbers(drawn, tmp_path):
    files = figures.save(drawn, tmp_path / "new" / "a.study")
    assert [file.name for file in files] == [
        "a.study.svg", "a.study.pdf", "a.study.png", "a.study.csv",
    ]  # fmt: skip
    svg, pdf, png, csv = (file.read_bytes() for file in files)
    assert b"<svg" in svg
    assert pdf.startswith(b"%PDF")
    assert png.startswith(b"\x89PNG")
    written = pd.read_csv(io.BytesIO(csv), keep_default_na=False, na_values=[""])
    pd.testing.assert_frame_equal(
        written[["arm", "metric", "value", "low", "high"]],
        drawn.numbers[["arm", "metric", "value", "low", "high"]],
    )
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == sorted(
        file.name for file in files
    )


def test_saving_twice_gives_the_same_bytes(noisy_data, tmp_path):
    once, twice = (
        figures.save(figures.draw("aggregates", noisy_data, QUICK), tmp_path / name, ["svg"])
        for name in ("once", "twice")
    )
    assert [f.read_bytes() for f in once] == [f.read_bytes() for f in twice]


def test_the_caption_travels_in_the_file(drawn, tmp_path):
    svg, _ = figures.save(drawn, tmp_path / "a", ["svg"])
    assert "stratified bootstrap, 50 resamples (seed 0)" in svg.read_text("utf-8")


def test_an_unknown_format_is_refused_before_anything_is_written(drawn, tmp_path):
    with pytest.raises(UnknownName, match="'svg'"):
        figures.save(drawn, tmp_path / "a", ["png", "svgg"])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_clear_error(drawn, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StatisticsError, match=r"cannot be written"):
        figures.save(drawn, tmp_path / "file" / "a", ["svg"])


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    target = tmp_path / "page.html"
    target.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawn_module.os, "fdopen", full)
    with pytest.raises(StatisticsError, match="No space left on device"):
        drawn_module.write_whole(target, b"new")
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_written_files_have_the_usual_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        drawn_module.write_whole(tmp_path / "a", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
