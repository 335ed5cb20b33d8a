import re

import ale_py
import gymnasium
import numpy as np
import pytest
from ale_py import ALEInterface, roms

from agents.config import Protocol
from agents.observation import ATARI, Observation
from agents.training.environments import (
    GAMES,
    canonical_game,
    games,
    make_environments,
    task,
)
from agents.training.environments.atari import MINIMAL_ACTIONS, ROM_IDS

PLAYED = ["Pong", "Catch", "gymnasium:CartPole-v1", "gymnasium:ALE/Pong-v5"]


@pytest.mark.parametrize(
    ("spelling", "game"),
    [
        ("Pong", "Pong"),
        ("pong", "Pong"),
        ("ALE/Pong-v5", "Pong"),
        ("PongNoFrameskip-v4", "Pong"),
        ("Pong-v0", "Pong"),
        ("atari_pong", "Pong"),
        ("crazy_climber", "CrazyClimber"),
        ("crazy climber", "CrazyClimber"),
        ("CrazyClimber", "CrazyClimber"),
        ("Ms. Pacman", "MsPacman"),
        ("up_n_down", "UpNDown"),
        ("Q*bert", "Qbert"),
        ("James-Bond", "Jamesbond"),
        ("catch", "Catch"),
        ("gymnasium:CartPole-v1", "gymnasium:CartPole-v1"),
        ("gymnasium:ALE/Pong-v5", "gymnasium:ALE/Pong-v5"),
    ],
)
def test_any_usual_spelling_names_the_game(spelling, game):
    assert canonical_game(spelling) == game


@pytest.mark.parametrize("game", GAMES)
def test_every_game_is_named_by_itself_and_by_its_rom(game):
    assert canonical_game(game) == canonical_game(ROM_IDS.get(game, game)) == game


def test_the_atari_games_are_those_that_gymnasium_registers_spelled_alike():
    # the emulator ends the process at any other ROM of its folder: Combat, say, for two players
    gymnasium.register_envs(ale_py)
    registered = {name[4:-3] for name in gymnasium.registry if re.match(r"ALE/.*-v5$", name)}
    assert set(GAMES) == registered | {"Catch"}


def test_an_unknown_game_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no game 'Breakuot'; did you mean Breakout"):
        canonical_game("Breakuot")
    with pytest.raises(ValueError, match="no game 'Cacth'; did you mean Catch"):
        canonical_game("Cacth")
    with pytest.raises(ValueError, match=r"no game 'xyzzy'$"):
        canonical_game("xyzzy")


def test_the_hundred_k_games_are_there():
    names = """Alien Amidar Assault Asterix BankHeist BattleZone Boxing Breakout ChopperCommand
        CrazyClimber DemonAttack Freeway Frostbite Gopher Hero Jamesbond Kangaroo Krull
        KungFuMaster MsPacman Pong PrivateEye Qbert RoadRunner Seaquest UpNDown"""
    hundred_k = set(re.findall(r"\w+", names))
    assert len(hundred_k) == 26
    assert hundred_k <= set(GAMES)


def test_only_a_name_of_gymnasium_makes_an_environment(monkeypatch):
    made = []
    make = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *a, **k: made.append(a[0]) or make(*a, **k))
    for game in ("Pong", "catch", "ALE/Pong-v5"):
        canonical_game(game)
    assert made == []
    canonical_game("gymnasium:CartPole-v1")
    assert made == ["CartPole-v1"]


def test_a_task_says_what_it_shows_takes_and_declares():
    pong = task("Pong", Protocol())
    assert (pong.name, pong.observation, pong.actions) == ("Pong", ATARI, 6)
    assert task("Pong", Protocol(full_action_space=True)).actions == 18
    assert (pong.random_return, pong.reference_return) == (None, None)
    catch = task("Catch", Protocol())
    assert (catch.observation, catch.actions) == (Observation((1, 32, 32)), 3)
    assert (catch.random_return, catch.reference_return) == (-0.6, 1.0)
    cart_pole = task("gymnasium:CartPole-v1", Protocol())
    assert cart_pole.name == "gymnasium:CartPole-v1"
    assert (cart_pole.observation, cart_pole.actions) == (Observation((4,)), 2)
    assert (cart_pole.random_return, cart_pole.reference_return) == (None, None)


@pytest.mark.parametrize("game", MINIMAL_ACTIONS)
def test_the_known_numbers_of_actions_are_the_emulators(game):
    emulator = ALEInterface()
    emulator.loadROM(roms.get_rom_path(ROM_IDS[game]))
    assert task(game, Protocol()).actions == len(emulator.getMinimalActionSet())
    full = task(game, Protocol(full_action_space=True))
    assert full.actions == len(emulator.getLegalActionSet())


def test_a_known_task_starts_no_emulator(monkeypatch):
    monkeypatch.setattr(games, "make_environments", lambda *_: pytest.fail("an emulator started"))
    assert task.__wrapped__("Pong", Protocol()).actions == 6


@pytest.mark.parametrize("game", PLAYED)
def test_environments_show_what_the_task_says(game):
    said = task(game, Protocol())
    opened = make_environments(game, 2, Protocol())
    observation = opened.reset({0: 1, 1: 2})
    step = opened.step(np.zeros(2, np.int64))
    opened.close()
    assert (opened.count, opened.actions) == (2, said.actions)
    assert opened.observation == said.observation
    kind = np.uint8 if said.observation.is_image else np.float32
    for shown in (observation, step.observation):
        assert shown.shape == (2, *said.observation.shape)
        assert shown.dtype == kind
    assert step.reward.dtype == np.float32
    for flag in (step.reward, step.terminated, step.truncated):
        assert flag.shape == (2,)


def lives(opened, seeds, actions):
    """Everything that each environment returns until its episode ends.

    Args:
        opened: N environments.
        seeds: [N].
        actions: [T, N].
    """
    first = opened.reset(dict(enumerate(seeds)))
    histories, running = [[first[i].tobytes()] for i in range(len(seeds))], set(range(len(seeds)))
    for chosen in actions:
        step = opened.step(chosen)
        for i in sorted(running):
            histories[i] += [step.observation[i].tobytes(), float(step.reward[i])]
            histories[i] += [bool(step.terminated[i]), bool(step.truncated[i])]
        running -= set(np.flatnonzero(step.ended))
    return histories


@pytest.mark.parametrize("game", PLAYED)
def test_every_episode_can_be_played_again_from_seed_and_actions(game):
    seeds, choices = [11, 12, 13], task(game, Protocol()).actions
    chosen = np.random.default_rng(0).integers(choices, size=(25, 3))
    together, alone = (make_environments(game, count, Protocol()) for count in (3, 1))
    original = lives(together, seeds, chosen)
    assert lives(together, seeds, chosen) == original  # from wherever they were
    for i in (2, 0, 1):
        assert lives(alone, [seeds[i]], chosen[:, [i]]) == [original[i]]
    assert original[0] != original[1]
    together.close()
    alone.close()
