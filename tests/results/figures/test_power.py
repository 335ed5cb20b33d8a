import itertools

from results.figures.power import draw_power
from results.statistics.power import Spread, stated_spread
from results.statistics.study_power import Asked, study_power
from results.tables import render
from results.tables.power import detectable_table, needed_table


def power_of(make_study, spread):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",), seeds=(0, 1, 2))
    return study_power(study, spread, Asked())


def test_every_question_is_a_line_that_falls(make_study, named, cut_words_of, words_of):
    found = power_of(make_study, Spread(0.27, 0.2, 0.4, 20, 0.1, "a pilot"))
    drawn = draw_power(found, Asked())
    lines = named(drawn.figure, "detectable")
    assert [line.get_label() for line in lines] == [one.name for one in found.questions]
    for line in lines:
        values = line.get_ydata()
        assert all(later < earlier for earlier, later in itertools.pairwise(values))
    assert len(named(drawn.figure, "own")) == 1
    assert cut_words_of(drawn.figure) == []
    assert "[0.200, 0.400], 20 df, from a pilot" in drawn.caption
    assert "at both limits of the spread" in words_of(drawn.figure)


def test_tables_say_what_the_spread_is_and_where_it_is_from(make_study):
    found = power_of(make_study, stated_spread(0.27, "published curves"))
    text = render(detectable_table(found, Asked()), "markdown")
    assert "0.270, from published curves" in text
    assert "| 3 (this study) | 0.83 | 1.00 |" in text
    needed = render(needed_table(found, Asked(targets=(0.5,))), "markdown")
    assert "true effect (HNS)" in needed
