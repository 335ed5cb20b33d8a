"""When a study's questions count as answered."""

import pytest

from results.statistics.cells import Cells
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.settled import Rule, sequential_looks, verdicts

SEEDS = tuple(range(10))
TOGGLES = {"strong": ("on",), "none": ("on",)}


@pytest.fixture
def study(make_study):
    return make_study(TOGGLES, seeds=SEEDS, designs=("base", "add_one_in"))


@pytest.fixture
def half(study, make_data, additive_score):
    """Five of ten seeds are there; one toggle adds 2, the other nothing; the spread is 0.2."""
    missing = [
        (arm.name, game, seed) for arm in study.arms for game in study.games for seed in SEEDS[5:]
    ]
    score = additive_score({"strong": 2.0, "none": 0.0}, noise=0.2)
    return make_data(study, score, missing=missing)


def settled(study, data, rule):
    return {one.name: one.settled for one in verdicts(study, data, rule)}


def test_a_claim_is_settled_by_the_effect_and_a_width_by_the_spread(study, half):
    assert settled(study, half, Rule(width=None)) == {"strong": True, "none": False}
    assert settled(study, half, Rule(width=1.0)) == {"strong": True, "none": True}
    assert settled(study, half, Rule(width=0.01)) == {"strong": False, "none": False}


def test_a_verdict_names_the_arms_and_the_numbers(study, half):
    strong, none = verdicts(study, half, Rule(width=None))
    assert strong.arms == ("base", "base+strong")
    assert "at 5 seeds, beyond the boundary" in strong.why
    assert "within the boundary" in none.why


def test_nothing_is_settled_before_the_first_look(study, half, make_data, additive_score):
    assert settled(study, None, Rule(width=9.0)) == {"strong": False, "none": False}
    assert settled(study, half, Rule(width=9.0, batch=6)) == {"strong": False, "none": False}
    assert settled(study, half, Rule(width=None, batch=6)) == {"strong": False, "none": False}
    no_pong = [(arm.name, "Pong", seed) for arm in study.arms for seed in SEEDS]
    data = make_data(study, additive_score({"strong": 2.0, "none": 0.0}, noise=0.2),
                     missing=no_pong)  # fmt: skip
    found = verdicts(study, data, Rule(width=9.0))
    assert [one.why for one in found] == ["not every game has a run of every arm yet"] * 2
    assert not any(one.settled for one in found)


def test_an_interval_that_is_not_there_is_not_narrow(study, make_data, additive_score):
    equal = make_data(study, additive_score({"strong": 2.0, "none": 0.0}, noise=0.0))
    assert settled(study, equal, Rule(width=1.0)) == {"strong": False, "none": False}


def test_the_test_works_on_the_means_over_games_in_the_order_of_the_seeds(study, half):
    cells = Cells.of(study, collect(half, Options(partial=True)))
    arms = ("base", "base+strong")
    ((look,),) = sequential_looks(study, cells, arms, Rule(width=None), (0.05,))
    by_hand = [
        cells.mean(frozenset(toggles), "mean of games") for toggles in [{("strong", "on")}, ()]
    ]
    assert look.difference == pytest.approx(by_hand[0] - by_hand[1])
    assert look.seeds == 5


def test_the_level_is_shared_by_the_questions_that_are_asked(study, half, monkeypatch):
    import results.statistics.settled as module

    seen = []
    real = module.nested_looks

    def spy(*args, planned, alphas):
        seen.append((planned, *alphas))
        return real(*args, planned=planned, alphas=alphas)

    monkeypatch.setattr(module, "nested_looks", spy)
    verdicts(study, half, Rule(width=None))
    verdicts(study, half, Rule(width=None, effects=("none",)))
    assert seen[:2] == [(2, pytest.approx(0.025), pytest.approx(0.05))] * 2
    assert seen[2:] == [(2, pytest.approx(0.05))]


def test_what_is_open_after_a_claim_is_tested_at_the_level_that_the_claim_set_free(study, half):
    """Beside a settled question, an open one has the boundary that it would have alone."""
    together = {one.name: one for one in verdicts(study, half, Rule(width=None))}
    (alone,) = verdicts(study, half, Rule(width=None, effects=("none",)))
    assert together["strong"].settled
    assert together["none"].why == alone.why


def test_two_arms_are_one_question_however_it_is_asked(make_study):
    one = make_study({"only": ("on",)}, seeds=SEEDS)
    assert [(v.kind, v.arms) for v in verdicts(one, None, Rule(width=1.0))] == [
        ("add_one_in", ("base", "full"))
    ]


@pytest.mark.parametrize(
    ("designs", "rule", "told"),
    [
        (("base", "full"), Rule(width=1.0), "no two arms that differ by one toggle"),
        (("base", "add_one_in"), Rule(width=1.0, effects=("strongest",)), "'strong'"),
        (("base", "add_one_in"), Rule(width=None, batch=4, ci=0.9999), "No scores could ever"),
        (("base", "add_one_in"), Rule(width=1.0, batch=11), "fewer than one look needs"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(make_study, designs, rule, told):
    study = make_study(TOGGLES, seeds=SEEDS, designs=designs)
    with pytest.raises(StatisticsError, match=told):
        verdicts(study, None, rule)


@pytest.mark.parametrize("wrong", [{"width": 0.0}, {"width": 1.0, "batch": 2}])
def test_a_rule_without_sense_is_none(wrong):
    with pytest.raises(ValueError, match="not"):
        Rule(**wrong)
