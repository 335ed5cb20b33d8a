import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ablate.stopping import StopPlan, TimeError, parse_until

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch):
    """Summer time until 25 October 2026, 3:00, and from 28 March 2027, 2:00."""
    with monkeypatch.context() as local:
        local.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("18:30", NOW.replace(hour=18)),
        ("8:05", NOW.replace(day=21, hour=8, minute=5)),
        ("15:30", NOW + timedelta(days=1)),
        ("2026-11-30 08:00", datetime(2026, 11, 30, 8, tzinfo=NOW.tzinfo)),
        ("+90m", NOW + timedelta(minutes=90)),
        ("+2h", NOW + timedelta(hours=2)),
        ("+1d", NOW + timedelta(days=1)),
    ],
)
def test_a_moment_is_read(words: str, moment: datetime) -> None:
    assert parse_until(words, NOW) == moment


@pytest.mark.parametrize(
    ("now", "words", "moment"),  # all in UTC
    [
        ("2026-10-20 10:00", "2026-11-30 08:00", "2026-11-30 07:00"),
        ("2026-10-24 18:00", "08:00", "2026-10-25 07:00"),
        ("2026-10-24 18:00", "02:30", "2026-10-25 00:30"),
        ("2026-10-25 00:45", "02:30", "2026-10-25 01:30"),  # the clocks show it twice
        ("2026-10-25 00:45", "2026-10-25 02:30", "2026-10-25 01:30"),
        ("2026-10-25 01:45", "02:30", "2026-10-26 01:30"),
        ("2026-10-24 18:00", "+1d", "2026-10-25 18:00"),
        ("2027-03-27 18:00", "08:00", "2027-03-28 06:00"),
        ("2026-10-20 10:00", "2026-11-30T08:00+03:00", "2026-11-30 05:00"),
    ],
)
def test_local_time_is_what_the_clocks_will_show_then(now, words, moment) -> None:
    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert parse_until(words, utc(now)) == utc(moment)


@pytest.mark.parametrize("words", ["25:00", "soon", "+2w", "2026-13-01", "2026-11-20 15:00"])
def test_what_is_no_moment_to_come_is_refused(words: str) -> None:
    with pytest.raises(TimeError, match=f"--until .*{words[-2:]}"):
        parse_until(words, NOW)


def test_a_plan_stops_or_drains_from_its_moment_on() -> None:
    now = [0.0]
    stop = StopPlan(until=10.0, now=lambda: now[0])
    drain = StopPlan(until=10.0, drain=True, now=lambda: now[0])
    assert (stop.stops_now(), stop.drains_now()) == (False, False)
    assert (drain.stops_now(), drain.drains_now()) == (False, False)
    now[0] = 10.0
    assert (stop.stops_now(), stop.drains_now()) == (True, False)
    assert (drain.stops_now(), drain.drains_now()) == (False, True)
    assert (stop.nothing_new_after, drain.nothing_new_after) == (None, 10.0)


def test_draining_without_a_moment_begins_now() -> None:
    assert StopPlan(drain=True).drains_now()
    assert not StopPlan().drains_now()
