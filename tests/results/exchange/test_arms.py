import pytest

from results.database.records import ToggleRecord
from results.exchange.arms import ArmFile, read_arms, switched
from results.exchange.errors import ExchangeError


def on(name: str) -> ToggleRecord:
    return ToggleRecord(name, ("on",), "on")


def test_names_of_the_form_base_plus_toggles_declare_them():
    found = switched(["base", "base+a", "base+a+b"])
    assert found.toggles == (on("a"), on("b"))
    assert found.arms == {"base": {}, "base+a": {"a": "on"}, "base+a+b": {"a": "on", "b": "on"}}


def test_full_has_all_toggles_on_and_full_without_one_all_but_it():
    found = switched(["base", "base+a", "base+b", "base+c", "full", "full-a"])
    assert found.arms["full"] == {"a": "on", "b": "on", "c": "on"}
    assert found.arms["full-a"] == {"b": "on", "c": "on"}
    with pytest.raises(ExchangeError, match="names full-x do not say"):
        switched(["base+a", "full-x"])


def test_names_that_say_nothing_have_no_toggles():
    assert switched(["DQN", "Rainbow"]).toggles == ()
    assert switched(["DQN", "base"]).arms == {"DQN": {}, "base": {}}


def test_an_arm_that_says_nothing_is_not_taken_for_the_base():
    with pytest.raises(ExchangeError, match=r"names DQN do not say.*\"DQN\" = \[\"TOGGLE\"\]"):
        switched(["base", "base+a", "DQN"])


def test_a_file_maps_any_name(tmp_path):
    file = tmp_path / "arms.toml"
    file.write_text('[arms]\n"RR8-Resets" = ["ratio"]\n"RR8" = ["ratio", "resets"]\nRR2 = []\n')
    found = switched(["RR2", "RR8", "RR8-Resets"], read_arms(file))
    assert found.arms["RR8-Resets"] == {"ratio": "on"}
    assert found.arms["RR2"] == {}
    assert {toggle.name for toggle in found.toggles} == {"ratio", "resets"}


def test_a_name_in_the_file_that_no_arm_bears_is_refused():
    with pytest.raises(ExchangeError, match=r"a\.toml names the arm 'RR9'.*did you mean 'RR8'"):
        switched(["RR8"], ArmFile("a.toml", {"RR9": {}}))


def test_two_arms_with_the_same_toggles_are_refused():
    with pytest.raises(ExchangeError, match=r"arms base\+a\+b and base\+b\+a have the same"):
        switched(["base+a+b", "base+b+a"])


def test_a_toggle_may_have_levels_when_the_full_one_is_said():
    names = ["base", "base+alg:ppo", "base+alg:sac"]
    with pytest.raises(ExchangeError, match=r"'alg' has the levels ppo, sac.*\[in_full\]"):
        switched(names)
    found = switched(names, ArmFile("a.toml", {}, {"alg": "sac"}))
    assert found.toggles == (ToggleRecord("alg", ("ppo", "sac"), "sac"),)
    with pytest.raises(ExchangeError, match="in_full says alg = 'dqn', which no arm has on"):
        switched(names, ArmFile("a.toml", {}, {"alg": "dqn"}))


def test_a_toggle_twice_is_refused():
    with pytest.raises(ExchangeError, match="toggle 'a' twice"):
        switched(["base+a+a"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[arms", "cannot be read as TOML"),
        ("x = 1\n[arms]", "nothing else is read"),
        ("", r"must hold a table \[arms\]"),
        ("[arms]\nA = 'a'", "the arm 'A' needs a list of toggles"),
        ("[arms]\nA = [1]", "the arm 'A' needs a list of toggles"),
        ("[arms]\nA = ['a']\n[in_full]\na = 1", "in_full.a needs the name of a level"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    file = tmp_path / "arms.toml"
    file.write_text(text)
    with pytest.raises(ExchangeError, match=message):
        read_arms(file)
