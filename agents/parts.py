"""Parts: what an agent is made of, before it exists. Modifications edit copies of this."""

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.config import Protocol as GameProtocol
from agents.dreamer.actor_critic import ActorCriticParts, Rule
from agents.dreamer.behaviour import BehaviourParts
from agents.dreamer.entropy import EntropyTarget
from agents.dreamer.exploration import Exploration
from agents.dreamer.loss_terms import LossTerm
from agents.training.recipe import Clock, Recipe, dreamer_recipe
from agents.views import ViewTransform


class AssemblyError(Exception):
    """A set of modifications that does not make an agent; the message says which and why."""


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


@runtime_checkable
class RecipeWrap(Protocol):
    """One wrap around the recipe (seam R): lets its events through, and adds or changes some.

    It is sent the result of every event that it yields, and sends those of the recipe's own on.
    What it does follows from them and from the clock, whose `counters` are its memory, so that a
    run can be taken up; it looks at the clock again after every event.
    """

    @property
    def name(self) -> str:
        """The modification that owns it."""

    def __call__(
        self, recipe: Recipe, config: AgentConfig, budget: Budget, clock: Clock
    ) -> Recipe:
        """Yields what is to happen."""

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
    loss_terms: tuple[LossTerm, ...] = ()
    recipe_wraps: tuple[RecipeWrap, ...] = ()
    behaviour: BehaviourParts = field(default_factory=ActorCriticParts)
    exploration: Exploration | None = None
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
        return replace(self, config=config)._edited(by, *values)

    def with_view(self, transform: ViewTransform) -> "Parts":
        """Appends a link to the chain of views (seam V)."""
        return replace(self, views=(*self.views, transform))

    def with_act_wrapper(self, wrapper: ActWrapper) -> "Parts":
        """Wraps the choice of the environment's action once more (seam A)."""
        return replace(self, act_wrappers=(*self.act_wrappers, wrapper))

    def with_loss_term(self, term: LossTerm) -> "Parts":
        """Adds a term to the loss of the world model (seam L)."""
        return replace(self, loss_terms=(*self.loss_terms, term))

    def with_recipe_wrap(self, wrap: RecipeWrap) -> "Parts":
        """Wraps the recipe once more (seam R)."""
        return replace(self, recipe_wraps=(*self.recipe_wraps, wrap))

    def with_behaviour(self, by: str, behaviour: BehaviourParts) -> "Parts":
        """Replaces the behaviour as a whole (seam B).

        Raises:
            AssemblyError: If another modification has replaced it, or a component of it.
        """
        self._check_behaviour(by)
        return replace(self, behaviour=behaviour)._edited(by, "behaviour")

    def with_rule(self, by: str, rule: Rule, entropy: EntropyTarget | None = None) -> "Parts":
        """Replaces how the actor-critic learns from dreams (seam B, component rule).

        Args:
            by: The modification.
            rule: Its rule.
            entropy: How it tunes the weight of the entropy; as the base has it, if not given.

        Raises:
            AssemblyError: If another modification has done so, or replaced the actor-critic.
        """
        self._check_behaviour(by)
        behaviour = ActorCriticParts(rule, entropy)
        return replace(self, behaviour=behaviour)._edited(by, "behaviour/rule")

    def with_exploration(self, exploration: Exploration) -> "Parts":
        """Adds a second behaviour with rewards of its own (seams B and I).

        Raises:
            AssemblyError: If there is one already.
        """
        if self.exploration is not None:
            raise AssemblyError(
                f"{exploration.name} and {self.exploration.name} both bring a second behaviour; "
                "an arm can have one"
            )
        return replace(self, exploration=exploration)

    def _check_behaviour(self, by: str) -> None:
        for component, other in self.edits:
            if component in {"behaviour", "behaviour/rule"}:
                raise AssemblyError(
                    f"{by} and {other} both say how the agent learns to behave; "
                    "an arm can have one"
                )

    def _edited(self, by: str, *components: str) -> "Parts":
        marks = tuple((component, by) for component in components)
        return replace(self, edits=self.edits + marks)

    def recipe(self, budget: Budget, protocol: GameProtocol, clock: Clock) -> Recipe:
        """What happens in a run: the base's recipe in all its wraps."""
        recipe = dreamer_recipe(self.config, budget, protocol, clock)
        for wrap in self.recipe_wraps:
            recipe = wrap(recipe, self.config, budget, clock)
        return recipe

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
        if self.loss_terms:
            described["loss_terms"] = [_described(term) for term in self.loss_terms]
        if self.recipe_wraps:
            described["recipe_wraps"] = [_described(wrap) for wrap in self.recipe_wraps]
        if self.behaviour != ActorCriticParts():
            described["behaviour"] = _described(self.behaviour)
        if self.exploration is not None:
            described["exploration"] = _described(self.exploration)
        return described


def _described(
    link: ViewTransform | ActWrapper | LossTerm | RecipeWrap | BehaviourParts | Exploration,
) -> dict[str, object]:
    return {"name": link.name, **link.describe()}
