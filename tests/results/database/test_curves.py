from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import event, text

from results.database import curves
from results.database.curves import CODEC, FIRST_CODEC, Points, decode, encode, join
from results.database.engine import DatabaseError, read, write
from results.database.queue import claim
from results.database.reading import curve

FRAMES = arrays.arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 2**53))
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def stretches(draw):
    env_frames = draw(FRAMES)
    values = draw(arrays.arrays(np.float64, len(env_frames), elements=FLOATS))
    return Points(env_frames, values)


def bits(points: Points) -> tuple[bytes, bytes]:
    return points.env_frames.tobytes(), points.values.tobytes()


@given(stretches())
def test_decoding_gives_back_every_bit(points):
    assert bits(decode(CODEC, len(points.values), *encode(points))) == bits(points)


def test_what_earlier_versions_wrote_is_read():
    points = Points.of([8, 4, 12], [np.nan, -0.0, 1e-300])
    data = [
        zlib.compress(array.tobytes())
        for array in (points.env_frames.astype("<i8"), points.values.astype("<f8"))
    ]
    assert bits(decode(FIRST_CODEC, 3, *data)) == bits(points)


def test_losses_at_regular_points_take_less_than_half_of_their_bytes():
    losses = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    env_frames, values = encode(Points.of(np.arange(2000) * 64, losses))
    assert len(env_frames) < 0.05 * 2000
    assert len(values) < 4 * 2000


def test_an_unknown_codec_is_refused():
    points = Points.of([1], [2.0])
    with pytest.raises(DatabaseError, match="codec 'zstd'"):
        decode("zstd", 1, *encode(points))


@pytest.mark.parametrize("data", [b"", b"nonsense", encode(Points.of([1, 2], [3, 4]))[0]])
def test_damaged_data_are_refused(data):
    _, values = encode(Points.of([1], [2.0]))
    with pytest.raises(DatabaseError, match="damaged"):
        decode(CODEC, 1, data, values)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="env frames"):
        Points.of([1, 2], [3.0])


@pytest.fixture
def attempt(engine, submitted, add_worker):
    return claim(engine, add_worker()).attempt_id


def test_compaction_keeps_every_point_in_its_place(engine, attempt):
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.dictionaries(st.sampled_from("ab"), stretches()), max_size=6))
    def holds(flushes):
        with write(engine) as session:
            session.execute(text("DELETE FROM curve_chunk"))
            for chunks in flushes:
                curves.append(session, attempt, chunks)
            curves.compact(session, attempt)
            for name in "ab":
                rows = session.execute(
                    text(
                        "SELECT seq, codec, points, env_frames_data, values_data FROM curve_chunk "
                        "JOIN metric ON metric.id = metric_id WHERE name = :name"
                    ),
                    {"name": name},
                ).all()
                written = [chunks[name] for chunks in flushes if name in chunks]
                assert [row.seq for row in rows] == [0] * bool(written)
                kept = join(decode(*row[1:]) for row in rows)
                assert bits(kept) == bits(join(written))

    holds()


def test_one_metric_of_all_runs_is_one_query(engine, attempt):
    with write(engine) as session:
        curves.append(session, attempt, {"one": Points.of([4, 8], [1.0, 2.0])})
        curves.append(session, attempt, {"one": Points.of([12], [3.0])})
    seen = []

    def note(conn, cursor, statement, *_):
        seen.append("curve_chunk" in statement)

    event.listen(engine, "before_cursor_execute", note)
    frame = curve(engine, "smoke", "one")
    event.remove(engine, "before_cursor_execute", note)
    assert sum(seen) == 1
    assert frame["value"].tolist() == [1.0, 2.0, 3.0]
    assert frame["env_frames"].tolist() == [4, 8, 12]
    assert frame["game"].tolist() == ["Pong"] * 3


def test_reading_an_unheard_of_metric_leaves_nothing_behind(engine, submitted):
    with read(engine) as session:
        before = session.scalar(text("SELECT count(*) FROM metric"))
    assert curve(engine, "smoke", "unheard_of").empty
    with read(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM metric")) == before
