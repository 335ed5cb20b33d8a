import dataclasses
from typing import ClassVar

import pytest

from ablate import resolution
from ablate.resolution import evaluation_phrase, protocol_label, resolve
from ablate.study import StudyError, parse_study
from agents.config import PROTOCOLS, Protocol
from agents.modifications import REGISTRY
from agents.modifications.augmentation.random_shift import RandomShift


@pytest.fixture
def problem(parsed):
    def explain(*changes: tuple[str, str]) -> str:
        with pytest.raises(StudyError) as error:
            resolve(parsed(*changes))
        return str(error.value)

    return explain


def test_words_become_an_agent_a_protocol_and_modifications(parsed) -> None:
    found = resolve(parsed())
    assert found.config.env_frames_per_update == 64.0
    assert found.protocol == Protocol(
        max_env_frames_per_episode=400,
        evaluation_episodes=1,
        final_evaluation_episodes=1,
        evaluate_every=1000,
    )
    assert found.budget.env_frames == 2000
    assert found.toggles["augmentation"]["on"] == (RandomShift(pad=3),)
    assert found.messages == ()


def test_sequences_longer_than_any_episode_are_refused(parsed, problem) -> None:
    longer = ('size = "micro"', 'size = "micro"\nlength = 101')
    assert "after 100: none could ever be replayed" in problem(longer)
    crossing = ('size = "micro"', 'size = "micro"\nlength = 101\ncross_episodes = true')
    assert resolve(parsed(crossing)).config.length == 101
    fitting = ('size = "micro"', 'size = "micro"\nlength = 100')
    assert resolve(parsed(fitting)).config.length == 100


def test_games_get_their_canonical_names(parsed) -> None:
    file = parsed(('["Pong", "Assault"]', '["pong", "crazy_climber"]'))
    assert resolve(file).study.games == ("Pong", "CrazyClimber")


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        ('"Assault"]', '"Asault"]', "games", "nearest: Assault"),
        ('"Assault"]', '"Cach"]', "games", "nearest: Catch"),
        ('"Assault"]', '"pong"]', "games", "'Pong' twice"),
        ('"Assault"]', '"gymnasium:CartPol-v1"]', "games", "gymnasium:CartPole-v1"),
        ('"Assault"]', '"gymnasium:Pendulum-v1"]', "games", "discrete"),
        ("random_shift =", "random_shfit =", "toggles.augmentation", "nearest: random_shift"),
        (
            "pad = 3",
            "padd = 3",
            "toggles.augmentation.random_shift.padd",
            "nearest: pad",
        ),
        ("pad = 3", 'pad = "3"', "toggles.augmentation.random_shift.pad", "valid integer"),
        ("pad = 3", "pad = -1", "toggles.augmentation.random_shift.pad", "greater than or equal"),
        (
            "pad = 3",
            'per = "frames"',
            "toggles.augmentation.random_shift.per",
            "nearest: frame",
        ),
        (
            "{ env_frames_per_update = 32 }",
            "{}",
            "toggles.ratio.replay_ratio.env_frames_per_update",
            "missing",
        ),
        (
            "env_frames_per_update = 64",
            "env_frames_per_updat = 64",
            "agent.env_frames_per_updat",
            "",
        ),
        ("env_frames_per_update = 64", "horizon = 1.5", "agent.horizon", "valid integer"),
        ("env_frames_per_update = 64", "gamma = 2", "agent.gamma", "less than or equal to 1"),
        ('size = "micro"', 'size = "mirco"', "agent.size", "nearest: micro"),
        ('size = "micro"', "size = [3]", "agent.size", "choices: atari"),
        ("evaluation_episodes = 1", 'base = "atari10k"', "protocol", "nearest: atari100k"),
        ("evaluation_episodes = 1", "noop_mx = 1", "protocol.noop_mx", "nearest: noop_max"),
        ("evaluation_episodes = 1", "noop_max = -1", "protocol.noop_max", "greater than"),
        ("evaluation_episodes = 1", 'evaluation_policy = "argmin"', "evaluation_policy", "argmax"),
    ],
)
def test_an_error_names_file_key_and_nearest_choice(
    old: str, new: str, key: str, hint: str, problem
) -> None:
    message = problem((old, new))
    assert message.startswith("mini.toml: ")
    assert key in message
    assert hint in message
    assert "\n" not in message


def test_a_whole_number_is_accepted_where_a_float_is_wanted(parsed) -> None:
    assert resolve(parsed(("= 64", "= 48"))).config.env_frames_per_update == 48.0


def test_modifications_of_one_bundle_must_not_exclude_each_other(parsed, monkeypatch) -> None:
    class Other(RandomShift):
        name: ClassVar[str] = "other_shift"
        excludes: ClassVar[frozenset[str]] = frozenset({"random_shift"})

    monkeypatch.setattr(resolution, "REGISTRY", {**REGISTRY, "other_shift": Other})
    file = parsed(("random_shift = { pad = 3 }", "random_shift = {}\nother_shift = {}"))
    with pytest.raises(StudyError, match=r"`toggles.augmentation`.*other_shift and random_shift"):
        resolve(file)


def test_a_toggle_at_the_base_settings_is_the_base(parsed) -> None:
    found = resolve(parsed(("update = 32", "update = 64")))
    assert list(found.effective.toggles) == ["augmentation"]
    assert list(found.study.toggles) == ["augmentation", "ratio"]
    assert any("ratio is the base agent" in message for message in found.messages)


def test_a_level_at_the_base_settings_is_left_out(parsed) -> None:
    levels = "levels = { a = { random_shift = { pad = 0 } }, b = { random_shift = {} } }\n"
    found = resolve(parsed(("random_shift = { pad = 3 }", levels + 'in_full = "b"')))
    assert list(found.toggles["augmentation"]) == ["b"]
    assert found.effective.toggles["augmentation"].in_full == "b"


def test_the_level_in_full_cannot_be_the_base(problem) -> None:
    levels = "levels = { a = { random_shift = { pad = 0 } }, b = { random_shift = {} } }\n"
    message = problem(("random_shift = { pad = 3 }", levels + 'in_full = "a"'))
    assert "`toggles.augmentation.in_full`" in message


def test_a_bundle_keeps_what_acts(parsed, edited) -> None:
    head = edited().split("[toggles.ratio]")[0]
    both = f"{head}replay_ratio = {{ env_frames_per_update = 64 }}\n"
    found = resolve(parse_study(both, path="mini.toml", stem="mini"))
    assert found.toggles == {"augmentation": {"on": (RandomShift(pad=3),)}}
    assert any("replay_ratio" in message for message in found.messages)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_named_protocol_is_called_by_its_name(name: str) -> None:
    assert protocol_label(PROTOCOLS[name]) == name


def test_equal_protocols_have_equal_labels(parsed) -> None:
    spelled = resolve(
        parsed(("[protocol]", '[protocol]\nbase = "dreamerv2"\nsticky_actions = 0'))
    ).protocol_label
    assert spelled == resolve(parsed()).protocol_label
    assert spelled == (
        "atari100k(evaluate_every=1000,evaluation_episodes=1,final_evaluation_episodes=1,"
        "max_env_frames_per_episode=400)"
    )


def test_the_evaluation_is_put_into_words() -> None:
    protocol = Protocol(final_evaluation_episodes=1, max_env_frames_per_episode=6000)
    assert evaluation_phrase(protocol) == "1 episode, argmax, at most 6,000 env frames"
    assert evaluation_phrase(Protocol()) == "32 episodes, argmax, at most 108,000 env frames"


VECTOR = ('["Pong", "Assault"]', '["Catch", "gymnasium:CartPole-v1"]')
WITHOUT_IMAGES = ("[toggles.augmentation]\nrandom_shift = { pad = 3 }\n", "")


def test_other_tasks_than_atari_are_games(parsed) -> None:
    found = resolve(parsed(VECTOR, WITHOUT_IMAGES))
    assert found.study.games == ("Catch", "gymnasium:CartPole-v1")
    assert [one.observation.shape for one in found.tasks] == [(1, 32, 32), (4,)]


def test_a_modification_that_needs_images_is_refused_where_there_are_none(problem) -> None:
    said = problem(VECTOR)
    assert "`toggles.augmentation` has random_shift, which needs images" in said
    assert "gymnasium:CartPole-v1 shows none" in said
    assert "Catch" not in said


def test_a_toggle_at_the_base_does_not_count_for_a_design(parsed) -> None:
    designs = ('["base", "full", "leave_one_out", "add_one_in"]', '["pairs_in"]')
    assert resolve(parsed(designs)).study.designs == ("pairs_in",)
    with pytest.raises(StudyError) as error:
        resolve(parsed(designs, ("= 32 }", "= 64 }")))
    assert "the study has 1 toggle; nearest: 'add_one_in'." in str(error.value)
    assert str(error.value).endswith("(Without ratio: the base agent.)")


def test_the_levels_that_a_fraction_leaves_out_are_told(six_toggles) -> None:
    file = six_toggles('["fractional"]')
    gamma = file.study.toggles["gamma"]
    two = gamma.model_copy(
        update={"levels": {**gamma.levels, "high": {"set_gamma": {"value": 0.9}}}}
    )
    study = file.study.model_copy(update={"toggles": {**file.study.toggles, "gamma": two}})
    [message] = resolve(dataclasses.replace(file, study=study)).messages
    assert message.startswith("no cell of fractional has gamma:high: ")
