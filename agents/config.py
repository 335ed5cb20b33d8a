"""The base agent's settings, its sizes, the game protocol and the budget of a run.

The defaults are those of the official DreamerV2 code on Atari (Hafner et al., "Mastering Atari
with Discrete World Models", arXiv:2010.02193); where the paper differs, the code wins.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, model_validator

from agents.settings import Settings, added_later

FRAMES_PER_AGENT_STEP = 4
"""Every protocol repeats an action for four emulator frames: 4 env_frames = 1 agent step."""

IMAGE_SIZE = 64
"""Height and width of the grayscale observation, in pixels."""


class AgentConfig(Settings):
    """Everything about the base agent that a study may set, fully resolved."""

    # Data and schedule
    env_frames_per_update: float = Field(64.0, ge=0.01)  # E; 16 agent steps per update
    pretrain_updates: int = Field(2, ge=0)  # the code's graph-building update and `pretrain: 1`
    batch: int = Field(16, ge=1)  # sequences
    length: int = Field(50, ge=2)  # agent steps per sequence; shorter episodes are dropped
    behaviour_frames_per_update: float | None = added_later(None, ge=0.01)  # None: the same E
    pretrain_world_model_updates: int = added_later(0, ge=0)  # of it alone, before the others
    ongoing: bool = added_later(False)  # the running episode can be sampled too
    cross_episodes: bool = added_later(False)  # sequences run over ends; no episode is too short
    sampler: Literal["episodes", "steps"] = added_later("episodes")  # what is uniform
    validation_fraction: float = added_later(0.0, ge=0, lt=1)  # p, of the episodes
    validation_rule: Literal["random", "deterministic"] = added_later("random")
    validate_every: int = added_later(16, ge=1)  # K, world-model updates
    collection_lag: int = added_later(0, ge=0, le=1)  # blocks of updates that acting is behind

    # World model
    deter: int = Field(600, ge=1)
    hidden: int = Field(600, ge=1)
    stoch: int = Field(32, ge=1)  # categorical variables
    classes: int = Field(32, ge=2)  # classes of each
    depth: int = Field(48, ge=1)  # channels of the first convolution
    units: int = Field(400, ge=1)  # of every head, the actor and the critic
    layers: int = Field(4, ge=1)
    reward_scale: float = Field(1.0, ge=0)
    discount_scale: float = Field(5.0, ge=0)
    kl_scale: float = Field(0.1, ge=0)
    kl_balance: float = Field(0.8, ge=0, le=1)  # share of the gradient that moves the prior
    free_nats: float = Field(0.0, ge=0)

    # Behaviour
    horizon: int = Field(15, ge=2)  # imagined steps
    gamma: float = Field(0.999, gt=0, le=1)
    lambda_: float = Field(0.95, ge=0, le=1)
    entropy_scale: float = Field(1e-3, ge=0)
    target_every: int = Field(100, ge=1)  # updates between copies into the target critic
    corrected_targets: bool = added_later(False)  # textbook alignment of rewards and weights

    # Optimisers
    model_lr: float = Field(2e-4, gt=0)
    actor_lr: float = Field(4e-5, gt=0)
    critic_lr: float = Field(1e-4, gt=0)
    adam_eps: float = Field(1e-5, gt=0)
    clip: float = Field(100.0, gt=0)  # global gradient norm, one per optimiser
    decay: float = Field(1e-6, ge=0, lt=1)  # parameters *= 1 - decay, whatever the lr

    @property
    def behaviour_ratio(self) -> float:
        """E of the behaviour: env_frames per update of actor and critic."""
        if self.behaviour_frames_per_update is None:
            return self.env_frames_per_update
        return self.behaviour_frames_per_update

    def determinants(self) -> dict[str, Any]:
        """As `Settings.determinants`; what has no effect beside the other values is left out."""
        values = super().determinants()
        if self.behaviour_ratio == self.env_frames_per_update:
            values.pop("behaviour_frames_per_update", None)
        if not self.validation_fraction:
            values.pop("validation_rule", None)
            values.pop("validate_every", None)
        return values

    @property
    def feat(self) -> int:
        """Width of the features that heads, actor and critic read."""
        return self.stoch * self.classes + self.deter


SIZES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "atari": MappingProxyType({}),
        "small": MappingProxyType(
            {"batch": 16, "length": 16, "deter": 128, "hidden": 128, "stoch": 16, "classes": 16}
            | {"depth": 8, "units": 128, "layers": 2}
        ),
        "tiny": MappingProxyType(
            {"batch": 8, "length": 16, "deter": 64, "hidden": 64, "stoch": 8, "classes": 8}
            | {"depth": 8, "units": 64}
        ),
        "micro": MappingProxyType(
            {"batch": 2, "length": 6, "deter": 16, "hidden": 16, "stoch": 4, "classes": 4}
            | {"depth": 2, "units": 16, "layers": 1, "horizon": 4}
        ),
    }
)
"""What each named size sets.

`atari` is the paper's, `small` learns on a CPU, `tiny` shows the pipeline, `micro` is for tests.
"""


def agent_config(size: str = "atari", **overrides: object) -> AgentConfig:
    """Resolves a named size and single settings into one configuration.

    Args:
        size: A key of `SIZES`.
        **overrides: Fields of `AgentConfig`; they win over the size.

    Raises:
        ValueError: If the size is unknown.
        pydantic.ValidationError: If a field is unknown or its value is refused.
    """
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}; sizes are {', '.join(SIZES)}")
    return AgentConfig.model_validate({**SIZES[size], **overrides})


class Protocol(Settings):
    """The game's interface and the evaluation: what makes two scores comparable."""

    frame_skip: Literal[4] = 4
    sticky_actions: float = Field(0.0, ge=0, lt=1)  # chance to repeat the last action, per frame
    full_action_space: bool = False
    noop_max: int = Field(30, ge=0)  # random no-ops after a reset: fewer than this many
    max_env_frames_per_episode: int = Field(108_000, ge=4, multiple_of=4)  # half an hour
    evaluation_episodes: int = Field(5, ge=1)
    final_evaluation_episodes: int = Field(32, ge=1)
    evaluation_policy: Literal["argmax", "sample"] = "argmax"
    evaluate_every: int | None = Field(None, ge=4, multiple_of=4)  # None: a tenth of the budget


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {"atari100k": Protocol(), "dreamerv2": Protocol(sticky_actions=0.25)}
)
"""The named protocols: `atari100k` has no sticky actions, `dreamerv2` repeats with 0.25."""


class Budget(Settings):
    """How much a run may see: T and P of the replay-ratio experiments, in env_frames."""

    env_frames: int = Field(gt=0, multiple_of=FRAMES_PER_AGENT_STEP)
    prefill_frames: int = Field(ge=0, multiple_of=FRAMES_PER_AGENT_STEP)

    @model_validator(mode="after")
    def _leaves_something_to_learn_from(self) -> "Budget":
        if self.prefill_frames >= self.env_frames:
            raise ValueError(
                f"prefill_frames = {self.prefill_frames} leaves nothing of "
                f"env_frames = {self.env_frames} to train in"
            )
        return self


def scaled_budget(env_frames_per_update: float) -> Budget:
    """The budget that grows with E, so that a sparse learner makes no fewer updates.

    Algorithm 1 of the replay-ratio experiments: P(E) = max(3000 E, 20,000) and
    T(E) = max(100,000 E, 400,000) env_frames, rounded up to whole agent steps.
    """
    prefill = max(3_000 * env_frames_per_update, 20_000.0)
    total = max(100_000 * env_frames_per_update, 400_000.0)
    return Budget(env_frames=_whole_steps(total), prefill_frames=_whole_steps(prefill))


def _whole_steps(frames: float) -> int:
    return FRAMES_PER_AGENT_STEP * math.ceil(frames / FRAMES_PER_AGENT_STEP)
