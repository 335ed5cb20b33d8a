"""Environments: Atari games as DreamerV2 sees them, several at a time.

ale_py's vector environment has the defaults of DQN (reward clipping, FIRE after reset, four
stacked 84x84 frames); all of them are overridden here. An episode's seed is given at its reset,
so an episode can be played again from its seed and its actions.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.config import IMAGE_SIZE, Protocol

WITHOUT_SINGLE_PLAYER = frozenset({"combat", "joust", "maze_craze", "warlords"})
"""ROMs at which the emulator ends the whole process."""

ROM_IDS: Mapping[str, str] = {
    rom.title().replace("_", ""): rom
    for rom in roms.get_all_rom_ids()
    if rom not in WITHOUT_SINGLE_PLAYER
}
"""CamelCase name, as gymnasium spells it, to the id of the game's ROM."""

GAMES = tuple(ROM_IDS)


def canonical_game(name: str) -> str:
    """The CamelCase name of a game spelled in any usual way: crazy_climber, ALE/Pong-v5.

    Raises:
        ValueError: If there is no such game; the message names the nearest.
    """
    bare = re.sub(r"^(ALE/|atari_)|(NoFrameskip)?-v\d+$", "", name)
    keys = {_key(game): game for game in GAMES}
    if _key(bare) in keys:
        return keys[_key(bare)]
    nearest = difflib.get_close_matches(_key(bare), keys, n=1, cutoff=0.5)
    hint = f"; did you mean {keys[nearest[0]]}?" if nearest else ""
    raise ValueError(f"there is no Atari game {name!r}{hint}")


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Step:
    """What N environments returned.

    Attributes:
        image: [N, 1, 64, 64], gray levels.
        reward: [N], summed over the skipped frames, not clipped.
        terminated: [N], the game is over.
        truncated: [N], the time limit has cut the episode.
    """

    image: NDArray[np.uint8]
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """[N], the episode is over, for either reason."""
        return self.terminated | self.truncated


class AtariEnvironments:
    """N copies of one game under one protocol, each reset by its own seed.

    Args:
        game: A member of `GAMES`.
        count: N.
        protocol: Frame skip, sticky actions, action set, no-ops and episode cap.
    """

    def __init__(self, game: str, count: int, protocol: Protocol) -> None:
        self._environments = AtariVectorEnv(
            ROM_IDS[game],
            count,
            img_height=IMAGE_SIZE,
            img_width=IMAGE_SIZE,
            stack_num=1,
            grayscale=True,
            frameskip=protocol.frame_skip,
            maxpool=True,
            noop_max=protocol.noop_max,
            repeat_action_probability=protocol.sticky_actions,
            full_action_space=protocol.full_action_space,
            max_num_frames_per_episode=protocol.max_env_frames_per_episode,
            use_fire_reset=False,
            reward_clipping=False,
            episodic_life=False,
            num_threads=1,
        )
        self.count = count
        action_space = self._environments.single_action_space
        assert isinstance(action_space, Discrete)
        self.actions = int(action_space.n)
        self._started = False

    def reset(self, seeds: Mapping[int, int]) -> NDArray[np.uint8]:
        """Starts an episode in each given environment and leaves the others alone.

        Args:
            seeds: Environment index to the seed of its new episode; all of them the first time.

        Returns:
            [N, 1, 64, 64], the newest image of every environment.
        """
        mask = np.array([index in seeds for index in range(self.count)])
        values = np.array([seeds[index] for index in sorted(seeds)])
        if not self._started and not mask.all():
            raise ValueError("the first reset must start every environment")
        options = {"reset_mask": mask} if self._started else None
        image, _ = self._environments.reset(seed=values, options=options)
        self._started = True
        return np.asarray(image)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Takes one agent step in every environment."""
        image, reward, terminated, truncated, _ = self._environments.step(actions)
        return Step(image, reward.astype(np.float32), terminated, truncated)

    def close(self) -> None:
        """Ends the emulators' threads."""
        self._environments.close()
