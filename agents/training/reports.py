"""Reports: what a training run tells whoever listens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Progress:
    """Where the run is; several times a second."""

    env_frames: int
    updates: int
    phase: Literal["prefill", "train", "evaluate"]


@dataclass(frozen=True)
class Metrics:
    """Means of the update metrics since the last report of this kind."""

    env_frames: int
    updates: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Episode:
    """One training episode has ended, at this point of the run."""

    env_frames: int
    episode_return: float
    length: int  # agent_steps
    truncated: bool


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluation episode."""

    episode: int
    episode_return: float
    length: int  # agent_steps
    truncated: bool


@dataclass(frozen=True)
class Evaluation:
    """A set of evaluation episodes at one point of the run."""

    env_frames: int
    final: bool
    policy: str
    episodes: tuple[EpisodeResult, ...]


Report = Progress | Metrics | Episode | Evaluation
