import json
from pathlib import Path

import pytest

from results.exchange.errors import ExchangeError
from results.exchange.record import Record

PUBLISHED = {
    "task": "atari_james_bond",
    "method": "dreamerv2",
    "seed": "3",
    "xs": [1e6, 2e6],
    "ys": [540, 600.5],
    "more": 1,
}


def written(tmp_path: Path, contents: object) -> Path:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(contents))
    return path


def test_a_published_record_is_read(tmp_path, read_back):
    read = read_back("dreamer-json", written(tmp_path, [PUBLISHED]))
    assert read.records == (
        Record("dreamerv2", "Jamesbond", 3, (1_000_000, 2_000_000), (540.0, 600.5)),
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({key: value for key, value in PUBLISHED.items() if key != "ys"}, "it lacks ys"),
        ([1, 2], "it is no table of task, method, seed, xs, ys"),
        (PUBLISHED | {"ys": [1.0, float("nan")]}, "y number 2 of 2 is nan"),
        (PUBLISHED | {"xs": [], "ys": []}, "it is empty"),
    ],
)
def test_a_bad_record_stops_the_import_with_its_place(tmp_path, read_back, record, reason):
    path = written(tmp_path, [PUBLISHED, record])
    with pytest.raises(ExchangeError, match=rf"scores\.json, record 2: {reason}.*--skip-bad"):
        read_back("dreamer-json", path)
    assert len(read_back("dreamer-json", path, skip_bad=True).records) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no JSON list of records"),
        ("[1", "cannot be read as JSON"),
        ("[]", "holds no record"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, read_back, text, message):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(ExchangeError, match=message):
        read_back("dreamer-json", path)


def test_a_damaged_archive_is_refused(tmp_path, read_back):
    path = tmp_path / "scores.json.gz"
    path.write_bytes(b"no archive")
    with pytest.raises(ExchangeError, match=r"scores\.json\.gz cannot be unpacked"):
        read_back("dreamer-json", path)
