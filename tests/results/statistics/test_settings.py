import json

import pytest

from results.database.records import ArmRecord
from results.statistics.errors import StatisticsError
from results.statistics.settings import ladder


def arm(name, ratio, views=(), **config):
    agent = {"config": {"ratio": ratio, "fast": True, **config}, "views": list(views)}
    return ArmRecord(name, name, json.dumps(agent), {})


def test_arms_that_agree_in_everything_else_are_one_line():
    arms = [arm("base", 16), arm("shift", 16, ["s"]), arm("four", 4), arm("full", 4, ["s"])]
    found = ladder([*arms, arm("two", 2)])
    assert found.setting == "config.ratio"
    assert found.lines == {
        "base": {2.0: "two", 4.0: "four", 16.0: "base"},
        "shift": {4.0: "full", 16.0: "shift"},
    }


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([arm("a", 1), arm("b", 1, ["s"])], "differ in none"),
        ([arm("a", 1, size=1), arm("b", 2, size=2)], "several: config.ratio, config.size"),
        ([arm("a", 1), ArmRecord("b", "b", '{"imported": {}}', {})], "differ in none"),
    ],
)
def test_arms_that_differ_in_no_setting_or_several_are_refused(arms, message):
    with pytest.raises(StatisticsError, match=message):
        ladder(arms)
