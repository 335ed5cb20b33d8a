"""Atari games as DreamerV2 sees them.

ale_py's vector environment has the defaults of DQN (reward clipping, FIRE after reset, four
stacked 84x84 frames); all of them are overridden here.
"""

from collections.abc import Mapping

import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.config import Protocol
from agents.observation import ATARI
from agents.training.environments.interface import Step

WITHOUT_SINGLE_PLAYER = frozenset({"combat", "joust", "maze_craze", "warlords"})
"""ROMs at which the emulator ends the whole process."""

ROM_IDS: Mapping[str, str] = {
    rom.title().replace("_", ""): rom
    for rom in roms.get_all_rom_ids()
    if rom not in WITHOUT_SINGLE_PLAYER
}
"""CamelCase name, as gymnasium spells it, to the id of the game's ROM."""

ACTIONS = 18
"""The full action space: every position of the stick, with and without the button."""

MINIMAL_ACTIONS: Mapping[str, int] = {
    "Freeway": 3,
    "Breakout": 4,
    **dict.fromkeys(("DemonAttack", "Pong", "Qbert", "UpNDown"), 6),
    "Assault": 7,
    "Gopher": 8,
    **dict.fromkeys(("Asterix", "CrazyClimber", "MsPacman"), 9),
    "Amidar": 10,
    "KungFuMaster": 14,
    **dict.fromkeys(("Alien", "BankHeist", "BattleZone", "Boxing", "ChopperCommand"), ACTIONS),
    **dict.fromkeys(("Frostbite", "Hero", "Jamesbond", "Kangaroo", "Krull"), ACTIONS),
    **dict.fromkeys(("PrivateEye", "RoadRunner", "Seaquest"), ACTIONS),
}
"""Actions of the games of Atari-100k that do something: an emulator takes 0.1 s to say so."""


def known_actions(game: str, protocol: Protocol) -> int | None:
    """The number of actions if it is known without an emulator, else None."""
    return ACTIONS if protocol.full_action_space else MINIMAL_ACTIONS.get(game)


class AtariEnvironments:
    """N copies of one game under one protocol, each reset by its own seed.

    Args:
        game: A key of `ROM_IDS`.
        count: N.
        protocol: Frame skip, sticky actions, action set, no-ops and episode cap.
    """

    def __init__(self, game: str, count: int, protocol: Protocol) -> None:
        self.observation = ATARI
        _, height, width = ATARI.shape
        self._environments = AtariVectorEnv(
            ROM_IDS[game],
            count,
            img_height=height,
            img_width=width,
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
        """Starts an episode in each given environment, as `Environments.reset` says.

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
        """Takes one agent step, four frames, in every environment."""
        image, reward, terminated, truncated, _ = self._environments.step(actions)
        return Step(image, reward.astype(np.float32), terminated, truncated)

    def close(self) -> None:
        """Ends the emulators' threads."""
        self._environments.close()
