"""The replay: whole episodes in one block of memory, sampled as DreamerV2 does.

A row holds an observation, the reward that arrived with it, whether the task is over, and the
action that led there; an episode of n agent steps has n + 1 rows. By default only complete
episodes of at least `length` steps can be sampled, each with equal probability; shorter ones are
dropped.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from agents import host_memory
from agents.config import AgentConfig
from agents.dreamer.world_model import Batch
from agents.execution.devices import sent
from agents.execution.executor import Inputs
from agents.observation import Observation
from agents.streams import Streams
from agents.training.episodes import Episodes
from agents.training.split import is_validation

BYTES_BESIDE = 13  # of a row: action int64, reward float32, is_terminal bool
SHARE_OF_DEVICE = 0.5  # of an accelerator's free memory that a replay may take


class ReplayTooLargeError(Exception):
    """The memory for everything that the run will see is not there."""


def replay_rows(agent_steps: int, config: AgentConfig) -> int:
    """How many rows a run of so many agent steps may need.

    An episode has one row more than steps; where short ones are kept, each step may be an
    episode. The running one may add a row before it is dropped or kept.
    """
    shortest = 1 if config.cross_episodes else config.length
    return agent_steps + agent_steps // shortest + 2


def replay_bytes(agent_steps: int, observation: Observation, config: AgentConfig) -> int:
    """The memory that the replay of a run takes, in bytes: 0.42 GB for 100,000 Atari steps."""
    row = observation.size * observation.dtype.itemsize + BYTES_BESIDE
    return replay_rows(agent_steps, config) * row


class Replay:
    """Stores everything that one run sees; nothing is ever evicted.

    Args:
        agent_steps: How many steps the run will take.
        observation: What a row holds.
        config: Length of the sequences, the sampler and the validation split.
        streams: Of the run; the split draws from its own.
        device: Where batches are wanted; the block lies there too if it fits.

    Raises:
        ReplayTooLargeError: If the memory is not there.
    """

    def __init__(
        self,
        agent_steps: int,
        observation: Observation,
        config: AgentConfig,
        streams: Streams,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.kind, self._streams = config, observation, streams
        self.length = config.length
        self.device = torch.device(device)
        rows = replay_rows(agent_steps, config)
        where = _place(replay_bytes(agent_steps, observation, config), self.device)
        shape = (rows, observation.size)
        # filled, so that the memory is taken now and not page by page, when it may be gone
        self.observation = torch.full(shape, 0, dtype=observation.dtype, device=where)
        self.action = torch.zeros(rows, dtype=torch.long, device=where)
        self.reward = torch.zeros(rows, device=where)
        self.is_terminal = torch.zeros(rows, dtype=torch.bool, device=where)
        most = (
            rows // (2 if config.cross_episodes else config.length + 1) + 1
        )  # and the running one
        self.training, self.validation = (Episodes(most, self.length, where) for _ in range(2))
        self._episode_start = self._next = 0
        self._running_validates = False

    @property
    def episodes(self) -> int:
        """How many complete training episodes can be sampled."""
        return self._sampleable(self.training)

    @property
    def validation_episodes(self) -> int:
        """How many complete validation episodes can be sampled."""
        return self._sampleable(self.validation)

    def begin(self, observation: NDArray[Any]) -> None:
        """Opens an episode with its first observation, [*obs]."""
        held_out = len(self.validation.starts)
        kept = len(self.training.starts) + held_out
        self._running_validates = is_validation(self.config, self._streams, kept, held_out)
        self._next = self._episode_start
        self._write(observation, action=0, reward=0.0, terminal=False)
        self._show_running()

    def add(
        self,
        action: int,
        observation: NDArray[Any],
        reward: float,
        *,
        terminated: bool,
        ended: bool,
    ) -> None:
        """Adds the row to which `action` led; `ended` closes the episode.

        A closed episode shorter than `length` steps is dropped, unless sequences may cross the
        ends of episodes.
        """
        self._write(observation, action=action, reward=reward, terminal=terminated)
        rows = self._next - self._episode_start
        if ended and (rows > self.length or self.config.cross_episodes):
            split = self.validation if self._running_validates else self.training
            split.add(self._episode_start, rows)
            self._episode_start = self._next
        self._show_running()

    def sample(self, uniforms: Float[Tensor, "B 2"], *, validation: bool = False) -> Batch:
        """Draws B sequences.

        The sampler `episodes` is DreamerV2's: the episode is uniform over the episodes, whatever
        their lengths; the start is uniform over 0..rows, then clipped to the last one that leaves
        a whole sequence, so the ends of episodes are seen more often: P(last start) =
        (length + 1) / (rows + 1). The sampler `steps` gives every start the same chance.

        Where sequences may cross the ends of episodes, the episodes of a split are laid one after
        the other. A start is any row of the drawn episode, clipped to the last one that leaves a
        whole sequence; with `steps`, any row up to that one, with equal chances.

        Args:
            uniforms: [B, 2], in [0, 1): one for the episode, one for the start.
            validation: From the validation episodes instead of the training episodes.

        Raises:
            RuntimeError: If no sequence can be drawn.
        """
        self._check(self.validation if validation else self.training)
        return self._gather(*self.sequence_rows(uniforms, validation=validation))

    def sample_training(self, inputs: Inputs) -> Batch:
        """Draws training sequences by `uniforms` [B, 2], as a program."""
        return self.sample(inputs["uniforms"])

    def sample_validation(self, inputs: Inputs) -> Batch:
        """Draws validation sequences by `uniforms` [B, 2], as a program."""
        return self.sample(inputs["uniforms"], validation=True)

    @property
    def at_hand(self) -> bool:
        """Whether the block lies where batches are wanted."""
        return self.action.device.type == self.device.type

    def sequence_rows(
        self, uniforms: Float[Tensor, "B 2"], *, validation: bool = False
    ) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        """The rows of each sequence, and the first row of the episode of each of them."""
        episodes = self.validation if validation else self.training
        starts, rows, ends = episodes.starts_on_device, episodes.rows_on_device, episodes.ends
        draws = uniforms.to(starts.device).double()
        steps = torch.arange(self.length, device=starts.device)
        if self.config.cross_episodes:
            first = ends - rows  # of each episode, in the rows of all laid one after the other
            last = episodes.total - self.length
            if self.config.sampler == "episodes":
                episode = (draws[:, 0] * episodes.count).long()
                place = first[episode] + (draws[:, 1] * rows[episode]).long()
            else:
                place = (draws[:, 0] * (last + 1)).long()
            places = place.clamp_max(last)[:, None] + steps
            episode = torch.searchsorted(ends, places, right=True)
            return starts[episode] + places - first[episode], starts[episode]
        if self.config.sampler == "episodes":
            episode = (draws[:, 0] * episodes.count).long()
            offset = (draws[:, 1] * (rows[episode] + 1)).long()
            offset = torch.minimum(offset, rows[episode] - self.length)
        else:
            place = (draws[:, 0] * episodes.sequences).long()
            episode = torch.searchsorted(episodes.sequence_ends, place, right=True)
            here = rows[episode] - self.length + 1
            offset = place - episodes.sequence_ends[episode] + here
        start = starts[episode]
        return (start + offset)[:, None] + steps, start[:, None].expand(-1, self.length)

    def newest_is(self, observation: NDArray[Any]) -> bool:
        """Whether the last row written holds this observation, [*obs]."""
        stored = self.observation[self._next - 1].cpu().numpy()
        return np.array_equal(stored, observation.reshape(-1), equal_nan=stored.dtype.kind == "f")

    def state_dict(self) -> dict[str, Any]:
        """Every row written so far, which is not copied, and where the episodes lie."""
        return {
            "observation": self._written(self.observation),
            "action": self._written(self.action),
            "reward": self._written(self.reward),
            "is_terminal": self._written(self.is_terminal),
            "training": self.training.lists,
            "validation": self.validation.lists,
            "episode_start": self._episode_start,
            "running_validates": self._running_validates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts the replay back to where `state_dict` found it."""
        self._next = len(state["action"])
        written = slice(0, self._next)
        for name in ("observation", "action", "reward", "is_terminal"):
            getattr(self, name)[written] = state[name].to(self.action.device)
        self.training.load(*state["training"])
        self.validation.load(*state["validation"])
        self._episode_start = state["episode_start"]
        self._running_validates = state["running_validates"]
        self._show_running()

    def _written(self, column: Tensor) -> Tensor:
        """The rows written so far, as a tensor that ends where they do: no more is saved."""
        return torch.from_numpy(column.cpu().numpy()[: self._next])

    def _sampleable(self, split: Episodes) -> int:
        """How many episodes of a split there are, 0 while they do not make one sequence."""
        return len(split.rows) if sum(split.rows) >= self.length else 0

    def _show_running(self) -> None:
        """Lets the running episode be sampled too, once it is long enough, if that is wanted."""
        if not self.config.ongoing:
            return
        rows = self._next - self._episode_start
        shortest = 1 if self.config.cross_episodes else self.length + 1
        split = self.validation if self._running_validates else self.training
        other = self.training if self._running_validates else self.validation
        split.show_running(self._episode_start, rows if rows >= shortest else 0)
        other.show_running(self._episode_start, 0)

    def _check(self, episodes: Episodes) -> None:
        if episodes.rows_in_all < self.length:
            raise RuntimeError("the replay holds no complete episode yet")

    def _gather(self, rows: Int[Tensor, "B T"], episode_start: Int[Tensor, "B T"]) -> Batch:
        B, T = rows.shape
        index = rows.flatten()
        is_first = rows == episode_start
        is_first[:, 0].fill_(True)  # a sequence starts from the zero state wherever it lies
        observation = self.observation.index_select(0, index)
        return Batch(
            observation=observation.view(B, T, *self.kind.shape).to(self.device),
            action=self.action.index_select(0, index).view(B, T).to(self.device),
            reward=self.reward.index_select(0, index).view(B, T).to(self.device),
            is_first=is_first.to(self.device),
            is_terminal=self.is_terminal.index_select(0, index).view(B, T).to(self.device),
            row=rows.to(self.device),
            episode=episode_start.to(self.device),
        )

    def _write(
        self, observation: NDArray[Any], *, action: int, reward: float, terminal: bool
    ) -> None:
        row = self._next
        self.observation[row] = sent(observation.reshape(-1), self.observation.device)
        self.action[row] = action
        self.reward[row] = reward
        self.is_terminal[row] = terminal
        self._next += 1


def _place(size: int, device: torch.device) -> torch.device:
    """Where a block of `size` bytes goes: on the device if it leaves room there, else beside it.

    Raises:
        ReplayTooLargeError: If it goes nowhere.
    """
    if device.type == "cuda" and size <= SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
        return device
    available = host_memory.free_bytes()
    if size > available:
        raise ReplayTooLargeError(
            f"the replay of this run takes {size / 1e9:.2f} GB and {available / 1e9:.2f} GB of "
            "memory are free: lower env_frames, or run fewer workers side by side"
        )
    return torch.device("cpu")
