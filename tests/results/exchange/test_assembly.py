import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.database.records import ImportSourceRecord
from results.exchange.arms import switched
from results.exchange.assembly import assemble, final_env_frames
from results.exchange.record import Record, RecordSet, methods

SOURCE = ImportSourceRecord("a.csv", "0" * 64, "csv", "{}", "p", None, False)


def made(records, *, name="pub", protocol="p", env_frames=None):
    return assemble(
        records,
        name=name,
        protocol=protocol,
        env_frames=env_frames,
        switched=switched(methods(records.records)),
        sources=[SOURCE] * len(records.records),
    )


def identities(records, **changed):
    return {run.run.identity for run in made(records, **changed)[1]}


def test_methods_become_arms_with_their_toggles(curves):
    study, runs = made(curves)
    assert [arm.name for arm in study.arms] == ["base", "base+a", "base+b", "base+a+b"]
    assert study.arms[3].toggles == {"a": "on", "b": "on"}
    assert (study.games, study.seeds) == (("Pong", "Jamesbond"), (0, 1))
    assert study.env_frames == 400_000
    assert len({run.run.identity for run in runs}) == len(runs) == 16


def test_the_same_contents_are_the_same_runs_in_any_study_and_order(curves):
    turned = RecordSet(tuple(reversed(curves.records)))
    assert identities(curves) == identities(turned, name="other")


@given(st.sampled_from(["value", "protocol", "end", "means", "normalization"]))
def test_other_contents_are_other_runs(what):
    records = RecordSet((Record("A", "Pong", 0, (4, 8), (1.0, 2.0)),))
    first = identities(records)
    match what:
        case "value":
            other = identities(RecordSet((Record("A", "Pong", 0, (4, 8), (1.0, 2.5)),)))
        case "protocol":
            other = identities(records, protocol="q")
        case "end":
            other = identities(records, env_frames=80)
        case "means":
            other = identities(dataclasses.replace(records, means=True))
        case "normalization":
            other = identities(dataclasses.replace(records, normalization="t"))
    assert not first & other


@pytest.mark.parametrize(
    ("xs", "end", "final"),
    [
        ((100, 200, 300), 300, 300),
        ((100, 200), 300, 200),
        ((100, 200), 301, None),
        ((100, 200, 300), 250, 200),
        ((100,), 100, 100),
        ((99,), 100, None),
        ((400,), 100, None),
    ],
)
def test_the_final_point_lies_at_most_one_interval_before_the_end(xs, end, final):
    assert final_env_frames(xs, end) == final
