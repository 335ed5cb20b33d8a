"""The agent: world model, behaviour and their updates, wired from parts."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from agents.dreamer.behaviour import Behaviour
from agents.dreamer.distributions import CategoricalActions
from agents.dreamer.exploration import Explorer
from agents.dreamer.imagination import Imagination
from agents.dreamer.loss_terms import LossTerms
from agents.dreamer.optimiser import Optimiser
from agents.dreamer.policy import CHOICE, LATENT, ActingState, Deputy, Policy
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Batch, Posteriors, WorldModel, normalised
from agents.execution.executor import Eager, Executor, Inputs
from agents.observation import Observation
from agents.parts import Parts
from agents.precision import Precision, arithmetic
from agents.streams import Streams
from agents.views import View


class Agent:
    """One DreamerV2 agent with its modifications built in.

    Args:
        parts: The assembled parts.
        observation: What the game shows.
        actions: Number of actions of the game.
        streams: This run's random streams.
        device: Where parameters live and updates run.
        precision: In which arithmetic the networks compute in updates; they act in fp32, where a
            step of so few rows would take longer to cast the weights than to multiply by them.
        execute: Carries out the programs that the updates and acting consist of; one after the
            other if not given.
    """

    def __init__(
        self,
        parts: Parts,
        observation: Observation,
        actions: int,
        streams: Streams,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
        execute: Executor | None = None,
    ) -> None:
        config = parts.config
        self.precision, self._device = precision, torch.device(device)
        self.execute = Eager() if execute is None else execute
        self.config, self._parts, self._observation = config, parts, observation
        self.views, self.act_wrappers = parts.views, parts.act_wrappers
        self.streams = streams
        self.actions = actions
        self.world_model = WorldModel(config, observation, actions, streams).to(device)
        self.loss_terms = LossTerms(parts.loss_terms, self.world_model, streams, device)
        self.behaviour = parts.behaviour.build(
            config, CategoricalActions(actions), streams, device
        )
        self.model_optimiser = Optimiser(self.world_model.parameters(), config.model_lr, config)
        self.explorer: Explorer | None = None
        if parts.exploration is not None:
            losses, choices = self.loss_terms.losses, CategoricalActions(actions)
            self.explorer = parts.exploration.build(
                parts.behaviour, config, choices, losses, streams, device
            )
        if precision == "bf16" and self._device.type == "cpu":
            for optimiser in self.optimisers:
                optimiser.in_one_pass()
        self._activity: dict[str, tuple[int, int]] = {}  # actions replaced, actions taken

    def train_world_model(self, batch: Batch) -> tuple[Posteriors, dict[str, Tensor]]:
        """Updates the world model on one batch.

        Returns:
            The states seen on the way, from which imagination starts, and metrics. The executor
            may write over them in the next call.
        """
        B, T = batch.reward.shape
        draws = {"world_model": self._draw("world_model", *self.world_model.uniforms_shape(B, T))}
        draws |= self._view_draws(B, T)
        shapes = self.loss_terms.uniforms_shapes(B, T)
        draws |= {owner: self._draw(owner, *shape) for owner, shape in shapes.items()}
        return self.execute("world_model", self._update_world_model, vars(batch) | draws)

    def _update_world_model(self, inputs: Inputs) -> tuple[Posteriors, dict[str, Tensor]]:
        """The update as a program: of a batch, and of the draws by their owners."""
        batch = _batch_in(inputs)
        views, activity = self._views(batch, inputs)
        with self._arithmetic():
            terms, metrics, seen = self.world_model.losses(views, batch, inputs["world_model"])
            total = self.world_model.total(terms)
            norm, added = self.loss_terms.step(total, self.model_optimiser, seen, inputs)
        losses = {name: term.detach() for name, term in terms.items()}
        metrics |= activity | added | {"model_grad_norm": norm}
        return seen.posteriors, losses | metrics

    def train_behaviour(self, start: Posteriors) -> dict[str, Tensor]:
        """Updates the behaviour on dreams that start from the given states; returns metrics.

        A second behaviour learns too, until its time is over. What is due between two updates
        follows, and the host decides about it. The executor may write over the metrics in the
        next call.
        """
        starts, owners = len(start.is_terminal), {"": self.behaviour}
        if self.explorer is not None and not self.explorer.over:
            owners[f"{self.explorer.name}/"] = self.explorer.behaviour
        draws = {
            prefix + owner: self._draw(prefix + owner, *shape)
            for prefix, behaviour in owners.items()
            for owner, shape in behaviour.uniforms_shapes(starts).items()
        }
        state = {"stoch": start.state.stoch, "deter": start.state.deter}
        inputs = state | {"is_terminal": start.is_terminal} | draws
        metrics = self.execute("behaviour", self._update_behaviour, inputs)
        for behaviour in owners.values():
            behaviour.count_update()
        return metrics

    def _update_behaviour(self, inputs: Inputs) -> dict[str, Tensor]:
        """The update as a program: of where dreams start, and of the draws by their owners."""
        start = Posteriors(LatentState(inputs["stoch"], inputs["deter"]), inputs["is_terminal"])
        imagination = Imagination(self.world_model, start)
        with self._arithmetic():
            metrics = self.behaviour.update(imagination, inputs)
            if self.explorer is not None and not self.explorer.over:
                prefix = f"{self.explorer.name}/"
                own = {
                    owner.removeprefix(prefix): draws
                    for owner, draws in inputs.items()
                    if owner.startswith(prefix)
                }
                metrics |= self.explorer.update(imagination, own)
        return metrics

    @property
    def behaviours(self) -> tuple[Behaviour, ...]:
        """That of the task, and the second one where there is one."""
        return (
            (self.behaviour,)
            if self.explorer is None
            else (self.behaviour, self.explorer.behaviour)
        )

    @property
    def optimisers(self) -> tuple[Optimiser, ...]:
        """All of them: together they train every parameter that is trained."""
        own = self.loss_terms.optimisers.values()
        behave = [one for each in self.behaviours for one in each.optimisers.values()]
        return (self.model_optimiser, *behave, *own)

    def posteriors(self, batch: Batch) -> Posteriors:
        """The states of a batch, for dreams that no update of the world model comes before.

        Drawn from streams of their own, so they move nobody else's numbers.
        """
        B, T = batch.reward.shape
        draws = {"dreaming": self._draw("dreaming", *self.world_model.uniforms_shape(B, T))}
        draws |= self._view_draws(B, T, "dreaming")
        return self.execute("posteriors", self._infer, vars(batch) | draws)

    def _infer(self, inputs: Inputs) -> Posteriors:
        """The states as a program."""
        batch = _batch_in(inputs)
        views, _ = self._views(batch, inputs)
        seen = replace(batch, observation=views[0].obs_in)
        with self._arithmetic():
            states, _ = self.world_model.filter(seen, inputs["dreaming"])
        return Posteriors.of(states, batch)

    def _arithmetic(self) -> AbstractContextManager[object]:
        return arithmetic(self.precision, self._device)

    def _draw(self, owner: str, *shape: int) -> Tensor:
        return self.streams.uniforms(owner, *shape)

    def _view_draws(self, batch: int, length: int, use: str = "") -> dict[str, Tensor]:
        """The uniforms that the chain of views takes; each link draws from its own stream.

        Args:
            batch: Sequences.
            length: Rows of each.
            use: Names further streams of the links, for looks beside those of the updates.
        """
        return {
            view.name: self._draw(
                f"{view.name}/{use}" if use else view.name, *view.uniforms_shape(batch, length)
            )
            for view in self.views
        }

    def _views(self, batch: Batch, draws: Inputs) -> tuple[list[View], dict[str, Tensor]]:
        """Shows a batch through the chain of views.

        Returns:
            The views, and for each link the share of the encoder's inputs that it changed.
        """
        observation = normalised(batch.observation)
        views = [View(obs_in=observation, obs_target=observation)]
        activity = {}
        for transform in self.views:
            before, views = views, transform(views, draws[transform.name])
            changed = (views[0].obs_in != before[0].obs_in).flatten(2).any(-1)
            activity[f"{transform.name}/inputs_changed"] = changed.float().mean()
        return views, activity

    def begin(self, environments: int) -> ActingState:
        """The state before the first observation of `environments` episodes."""
        latent = self.world_model.rssm.initial(environments)
        return ActingState(latent, latent.deter.new_zeros(environments, dtype=torch.long))

    @property
    def policy(self) -> Policy:
        """What acts, as it stands."""
        return Policy(self.world_model.encoder, self.world_model.rssm, self.behaviours)

    def act(
        self,
        observation: UInt8[Tensor, " N *obs"] | Float[Tensor, " N *obs"],
        is_first: Float[Tensor, " N"],
        state: ActingState,
        *,
        stream: str,
        argmax: bool = False,
        explore_at: int | None = None,
        by: Deputy | None = None,
    ) -> ActingState:
        """Filters the observation and chooses the next action.

        The latent state is sampled from the posterior, in evaluation too, as the official code
        does; only the action can be the most probable one.

        Args:
            observation: The newest ones.
            is_first: 1 where an episode has just begun; its state and last action are dropped.
            state: What the last call returned.
            stream: Owner of the random numbers.
            argmax: The most probable action instead of a sampled one.
            explore_at: The env_frames of the run, where the modifications of acting have their
                say; None where they have not, as in evaluation.
            by: Acts in the place of the agent as it stands.

        Returns:
            The new state; its `action` is the choice. The executor may write over it in the next
            call for this stream.
        """
        N = len(observation)
        who = self._whose_turn(N, explore_at)
        inputs = {
            "observation": observation,
            "is_first": is_first,
            "stoch": state.latent.stoch,
            "deter": state.latent.deter,
            "action": state.action,
            LATENT: self._draw(stream, N, self.config.stoch),
        }
        if not argmax:
            inputs[CHOICE] = self._draw(stream, N)
        policy, execute = (self.policy, self.execute) if by is None else (by.policy, by.execute)
        step = partial(policy.step, who=who, actions=self.actions)
        acted = execute(f"policy/{stream}/{who}", step, inputs)
        if explore_at is None:
            return acted
        return ActingState(acted.latent, self._explored(acted.action, explore_at))

    def _whose_turn(self, environments: int, explore_at: int | None) -> int:
        """Which of the behaviours chooses; counts the choices of the second one."""
        if explore_at is None or self.explorer is None:
            return 0
        acts = self.explorer.acts_at(explore_at)
        self._count(self.explorer.name, environments if acts else 0, environments)
        return 1 if acts else 0

    def _count(self, name: str, replaced: int, taken: int) -> None:
        before = self._activity.get(name, (0, 0))
        self._activity[name] = before[0] + replaced, before[1] + taken

    def _explored(self, action: Int[Tensor, " N"], env_frames: int) -> Int[Tensor, " N"]:
        """What the wraps around acting make of the actor's choice; counts what they replace."""
        for wrapper in self.act_wrappers:
            draws = self.streams.uniforms(wrapper.name, len(action), wrapper.draws)
            chosen, action = action, wrapper(action, self.actions, draws, env_frames)
            self._count(wrapper.name, int((action != chosen).sum()), len(action))
        return action

    def activity(self) -> dict[str, float]:
        """The share of actions that each wrap around acting, or the second behaviour, has chosen.

        Since last asked.
        """
        shares = {
            f"{name}/actions_replaced": replaced / taken
            for name, (replaced, taken) in self._activity.items()
        }
        self._activity.clear()
        return shares

    def fresh(self, seed: int) -> "Agent":
        """An untrained agent of the same parts, with other initial weights."""
        streams = Streams(seed, self._device)
        return Agent(
            self._parts, self._observation, self.actions, streams, self._device, self.precision
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes: parameters, optimisers, streams, counters."""
        state = {
            "world_model": self.world_model.state_dict(),
            "loss_terms": self.loss_terms.state_dict(),
            "behaviour": self.behaviour.training_state(),
            "model_optimiser": self.model_optimiser.state_dict(),
            "streams": self.streams.state_dict(),
            "activity": self._activity,
        }
        if self.explorer is not None:
            state["explorer"] = self.explorer.state_dict()
        return copy.deepcopy(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts the agent back to where `state_dict` found it; its moments lie elsewhere then."""
        self.execute.forget()
        self.world_model.load_state_dict(state["world_model"])
        self.loss_terms.load_state_dict(state.get("loss_terms", {}))
        self.behaviour.load_training_state(state["behaviour"])
        self.model_optimiser.load_state_dict(state["model_optimiser"])
        self.streams.load_state_dict(state["streams"])
        self._activity = dict(state["activity"])
        if self.explorer is not None:
            self.explorer.load_state_dict(state["explorer"])


def _batch_in(inputs: Inputs) -> Batch:
    return Batch(**{field.name: inputs[field.name] for field in fields(Batch)})
