"""Parts: what an agent is made of, before it exists. Modifications edit copies of this."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from agents.config import AgentConfig


class AssemblyError(Exception):
    """A set of modifications that does not make an agent; the message says which and why."""


@dataclass(frozen=True)
class View:
    """One look at a batch of sequences: what is encoded and what is to be reconstructed."""

    obs_in: Float[Tensor, "B T *obs"]
    obs_target: Float[Tensor, "B T *obs"]


@runtime_checkable
class ViewTransform(Protocol):
    """One link of the chain of views (seam V).

    Pure and of fixed shape: the uniforms that it needs are drawn beforehand, from the stream that
    bears its name.
    """

    @property
    def name(self) -> str:
        """The modification that owns it, and its random stream."""

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """How many uniforms one batch of `batch` sequences of `length` steps takes."""

    def __call__(self, views: list[View], uniforms: Tensor) -> list[View]:
        """Returns the transformed views."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""


@runtime_checkable
class ActWrapper(Protocol):
    """One wrap around the choice of the training environment's action (seam A).

    Evaluation does not know of it. The agent remembers the action that was taken, not the one
    that its actor chose.
    """

    @property
    def name(self) -> str:
        """The modification that owns it, and its random stream."""

    @property
    def draws(self) -> int:
        """How many uniforms the choice of one action takes."""

    def __call__(
        self,
        action: Int[Tensor, " N"],
        actions: int,
        uniforms: Float[Tensor, "N draws"],
        env_frames: int,
    ) -> Int[Tensor, " N"]:
        """Returns the actions to take instead, of `actions` that there are."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""


@dataclass(frozen=True)
class Parts:
    """The parts of one agent: settings, and one field per seam that somebody uses.

    An edit returns a copy. `edits` remembers who changed which component, so that two
    modifications cannot silently overwrite each other.
    """

    config: AgentConfig
    views: tuple[ViewTransform, ...] = ()
    act_wrappers: tuple[ActWrapper, ...] = ()
    edits: tuple[tuple[str, str], ...] = ()  # (component, modification)

    def with_settings(self, by: str, **values: object) -> "Parts":
        """Changes values of the configuration: the recipe's E, for example (seam R).

        Raises:
            AssemblyError: If another modification has set one of them already.
        """
        edited = dict(self.edits)
        for component in values:
            if component in edited:
                raise AssemblyError(
                    f"{by} and {edited[component]} both set {component}; an arm can have one"
                )
        config = AgentConfig.model_validate(self.config.model_dump() | values)
        marks = tuple((component, by) for component in values)
        return replace(self, config=config, edits=self.edits + marks)

    def with_view(self, transform: ViewTransform) -> "Parts":
        """Appends a link to the chain of views (seam V)."""
        return replace(self, views=(*self.views, transform))

    def with_act_wrapper(self, wrapper: ActWrapper) -> "Parts":
        """Wraps the choice of the environment's action once more (seam A)."""
        return replace(self, act_wrappers=(*self.act_wrappers, wrapper))

    def describe(self) -> dict[str, object]:
        """The resolved agent as plain values: two spellings of one agent describe alike.

        A seam that came later is left out while nobody uses it, so old runs keep their identity.
        """
        described: dict[str, object] = {
            "config": self.config.determinants(),
            "views": [_described(view) for view in self.views],
        }
        if self.act_wrappers:
            described["act_wrappers"] = [_described(wrapper) for wrapper in self.act_wrappers]
        return described


def _described(link: ViewTransform | ActWrapper) -> dict[str, object]:
    return {"name": link.name, **link.describe()}
