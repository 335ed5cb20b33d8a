"""Reports: what a training run tells whoever listens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray


@dataclass(frozen=True)
class Progress:
    """Where the run is; several times a second."""

    env_frames: int
    updates: int
    phase: Literal["prefill", "train", "evaluate"]


@dataclass(frozen=True)
class Metrics:
    """Means of the update metrics since the last report of this kind, and probes."""

    env_frames: int
    updates: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Timing:
    """Speed and seconds by phase since the last report of this kind: not reproducible."""

    env_frames: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Episode:
    """One training episode has ended, at this point of the run.

    Attributes:
        discounted_return: Mean over its steps of Σ γ^k tanh(r) from there to its end: what the
            critic would have to say of it, to lay beside `imagined_return`.
    """

    env_frames: int
    episode_return: float
    length: int  # agent_steps
    truncated: bool
    discounted_return: float


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluation episode; `actions` says how often each action was taken."""

    episode: int
    episode_return: float
    length: int  # agent_steps
    truncated: bool
    actions: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """A set of evaluation episodes at one point of the run."""

    env_frames: int
    final: bool
    policy: str
    episodes: tuple[EpisodeResult, ...]

    @property
    def action_shares(self) -> tuple[float, ...]:
        """How often each action was taken, of all steps: a policy that ignores what it sees."""
        counts = [sum(of_one) for of_one in zip(*(e.actions for e in self.episodes), strict=True)]
        return tuple(count / sum(counts) for count in counts)


@dataclass(frozen=True)
class Dreams:
    """A few replayed sequences as the model sees and foresees them, as arrays for a figure."""

    env_frames: int
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Saved:
    """A checkpoint lies on the disk."""

    env_frames: int
    path: Path
    sha256: str
    size: int  # bytes


@dataclass(frozen=True)
class NotSaved:
    """A checkpoint could not be written; the run goes on and tries again."""

    env_frames: int
    reason: str


Report = Progress | Metrics | Timing | Episode | Evaluation | Dreams | Saved | NotSaved
