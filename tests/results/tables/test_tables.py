import math

import pytest

from results.statistics.errors import UnknownName
from results.statistics.options import Options
from results.tables import FORMATS, KINDS, UNREAD, build, render


def test_the_kinds_are_those_that_the_command_line_offers():
    assert KINDS == ("scores", "hns", "aggregates", "effects", "interactions", "compute")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", FORMATS)
def test_every_kind_is_written_in_every_format(noisy_data, kind, format):
    assert len(render(build(kind, noisy_data, Options(resamples=20)), format)) > 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_built_twice_is_the_same(noisy_data, kind):
    options = Options(resamples=50)
    first, second = build(kind, noisy_data, options), build(kind, noisy_data, options)
    assert first.layout == second.layout
    assert first.frame.equals(second.frame)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_as_wide_as_the_header(noisy_data, kind):
    layout = build(kind, noisy_data, Options(resamples=20)).layout
    assert {len(row) for row in layout.rows} == {len(layout.header)}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_hold_numbers_and_words_and_nothing_else(noisy_data, kind):
    frame = build(kind, noisy_data, Options(resamples=20)).frame
    for value in frame.to_numpy().ravel():
        assert isinstance(value, str | bool | int | float)
        assert not (isinstance(value, float) and math.isinf(value))


def test_an_unknown_kind_is_refused_with_the_nearest(noisy_data):
    with pytest.raises(UnknownName, match="did you mean 'scores'"):
        build("score", noisy_data, Options())


CHANGED = {
    "at": 200_000,
    "norm": "nature2015",
    "ci": 0.8,
    "resamples": 77,
    "seed": 3,
    "measure": "auc",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_changes_a_table_unless_it_is_named_as_unread(kind, make_study, make_data):
    data = make_data(make_study(seeds=range(3)), lambda on, game, seed: len(on) * (1 + seed) / 5)

    def words(**options):
        data.memory.clear()
        table = build(kind, data, Options(**{"resamples": 20, **options}))
        return table.frame.to_csv() + table.caption

    plain = words()
    unread = {name for name, value in CHANGED.items() if words(**{name: value}) == plain}
    assert unread == UNREAD.get(kind, frozenset())
