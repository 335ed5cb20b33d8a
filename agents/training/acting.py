"""Acting: which parameters choose in the training environment, and when (collection_lag).

Updates come in blocks: those between two agent steps. With a lag of 1 the steps after a block are
taken by the agent as it was before the block, so that they do not wait for it:

    block of updates           1           2           3
    parameters          θ_0 ------> θ_1 ------> θ_2 ------> θ_3
    steps, lag 0        θ_0         θ_1         θ_2         θ_3
    steps, lag 1        θ_0         θ_0         θ_1         θ_2

A reset in block 2 changes θ_2. What the agent carries from step to step was made by the parameters
from before it, and is dropped when θ_2 begins to act: after block 2, or with a lag after block 3.

A block learns from what had been seen when it began, under either lag. So an accelerator that
works on block 2 can let the steps after it be taken at the same time; where nothing overlaps, the
order and the numbers are the same ones.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from agents.dreamer.agent import Agent
from agents.dreamer.policy import Deputy
from agents.execution.devices import OneQueue, executor_on, queue_on
from agents.training.recipe import Collect, Event, TrainBehaviour, TrainWorldModel


@runtime_checkable
class Acting(Protocol):
    """Who chooses in training."""

    @property
    def deputy(self) -> Deputy | None:
        """Acts in the agent's place; None where the agent acts as it stands."""

    def queue(self) -> AbstractContextManager[None]:
        """Where an accelerator does the acting."""

    def before(self, event: Event) -> bool:
        """Is told what comes next; says whether parameters from after surgery now begin to act."""

    def operated(self) -> bool:
        """Is told of surgery on the agent; says whether what acts has changed with it."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that it remembers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts it back to where `state_dict` found it."""


class AtOnce:
    """The agent as it stands, after all updates so far (collection_lag = 0)."""

    deputy: Deputy | None = None

    def queue(self) -> AbstractContextManager[None]:
        """In the order of everything else."""
        return OneQueue()()

    def before(self, event: Event) -> bool:
        """Nothing changes hands."""
        return False

    def operated(self) -> bool:
        """It acts as it stands."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing was kept."""


class OneBehind:
    """The agent as it was before the last block of updates (collection_lag = 1).

    Args:
        agent: Is copied before each block.
        device: Where it lives.
    """

    def __init__(self, agent: Agent, device: str) -> None:
        self._agent, self._updating, self._operated = agent, False, False
        self._queue = queue_on(device)
        self.deputy = Deputy(agent.policy.copied(), executor_on(device))

    def queue(self) -> AbstractContextManager[None]:
        """Beside the updates."""
        return self._queue()

    def before(self, event: Event) -> bool:
        """Copies the agent before the first update of a block; whether surgery was in the last.

        The copy waits for the last block and for the last step, the next steps wait for the copy.
        """
        operated = False
        if isinstance(event, TrainWorldModel | TrainBehaviour):
            if not self._updating:
                self._queue.meet()
                self.deputy.policy.follow(self._agent.policy)
                self._queue.meet()
                operated, self._operated = self._operated, False
            self._updating = True
        elif isinstance(event, Collect):
            self._updating = False
        return operated

    def operated(self) -> bool:
        """The copy is from before it, and acts until the next block begins."""
        self._operated = True
        return False

    def state_dict(self) -> dict[str, Any]:
        """The parameters that act, whether a block has begun, whether surgery has come in it."""
        networks = self.deputy.policy.modules.state_dict()
        return {
            "networks": {name: value.detach().clone() for name, value in networks.items()},
            "updating": self._updating,
            "operated": self._operated,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts them back, where they lie."""
        self.deputy.policy.modules.load_state_dict(state["networks"])
        self._updating, self._operated = state["updating"], state.get("operated", False)


def acting_of(agent: Agent, device: str) -> Acting:
    """As the agent's configuration wants it."""
    return OneBehind(agent, device) if agent.config.collection_lag else AtOnce()
