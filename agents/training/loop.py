"""The loop: carries out the recipe's events and reports what happens.

A generator: who records, shows or stops a run does so from outside.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from agents.config import FRAMES_PER_AGENT_STEP, Budget, Protocol
from agents.dreamer.agent import Agent
from agents.dreamer.surgery import operate
from agents.execution.devices import executor_on
from agents.parts import Parts
from agents.precision import Precision
from agents.streams import Streams
from agents.training.acting import Acting, acting_of
from agents.training.checkpoint import Checkpoint, CheckpointError, Checkpoints
from agents.training.collector import Collector, EndedEpisode
from agents.training.environments import Environments, make_environments
from agents.training.evaluation import evaluate
from agents.training.learner import DivergedError, Learner
from agents.training.observer import PROBES, Observer, Pace, Stopwatch, counts
from agents.training.recipe import (
    Clock,
    Collect,
    Evaluate,
    Event,
    Result,
    Surgery,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
    following,
)
from agents.training.replay import Replay
from agents.training.reports import (
    Episode,
    EpisodeResult,
    Evaluation,
    Metrics,
    NotSaved,
    Progress,
    Report,
    Saved,
    Timing,
)

__all__ = ["DivergedError", "train"]

METRIC_REPORTS = 500
"""Points of a metric's curve over a whole run: each is the mean of the updates in between."""

PROGRESS_SECONDS = 0.25


@dataclass
class Run:
    """What moves while one agent trains on one game."""

    agent: Agent
    replay: Replay
    acting: Acting
    collector: Collector
    learner: Learner
    clock: Clock

    @classmethod
    def begin(
        cls,
        parts: Parts,
        environments: Environments,
        seed: int,
        budget: Budget,
        device: str,
        precision: Precision,
    ) -> "Run":
        """An untrained agent with an empty replay, at the first observation of an episode."""
        streams, actions = Streams(seed, device), environments.actions
        agent = Agent(
            parts,
            environments.observation,
            actions,
            streams,
            device,
            precision,
            executor_on(device),
        )
        agent_steps = -(-budget.env_frames // FRAMES_PER_AGENT_STEP)
        replay = Replay(agent_steps, environments.observation, parts.config, streams, device)
        acting = acting_of(agent, device)
        collector = Collector(agent, replay, environments, streams, acting)
        return cls(agent, replay, acting, collector, Learner(agent, replay), Clock())

    def before(self, event: Event) -> None:
        """Settles which parameters act from here on, without the state of those before surgery."""
        if self.acting.before(event):
            self.collector.forget()

    def operate(self, surgery: Surgery) -> Metrics:
        """Changes the agent; if it does, states that its old parameters have made are dropped.

        That of acting is dropped when the new ones begin to act.
        """
        seed = self.agent.streams.integer(surgery.owner, surgery.number)
        touched = operate(self.agent, surgery.operations, seed)
        if touched:
            self.learner.forget()
            if self.acting.operated():
                self.collector.forget()
        values = {f"{surgery.owner}/number": float(surgery.number)}
        values[f"{surgery.owner}/parameters_touched"] = float(touched)
        return Metrics(self.clock.env_frames, self.clock.updates, values)

    def checkpoint(self) -> Checkpoint:
        """Everything from which the run goes on, bit by bit on a CPU."""
        state = {
            "clock": asdict(self.clock),
            "agent": self.agent.state_dict(),
            "replay": self.replay.state_dict(),
            "collector": self.collector.state_dict(),
            "learner": self.learner.state_dict(),
            "acting": self.acting.state_dict(),
        }
        return Checkpoint(self.clock.env_frames, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes to where a checkpoint was taken.

        Raises:
            CheckpointError: If the environment does not come back to where it was, or the state
                is not one of this run's agent.
        """
        state: dict[str, Any] = dict(checkpoint.state)
        try:
            self.clock = Clock.of(state["clock"])
            self.agent.load_state_dict(state["agent"])
            self.replay.load_state_dict(state["replay"])
            self.collector.load_state_dict(state["collector"])
            self.learner.load_state_dict(state["learner"])
            self.acting.load_state_dict(state.get("acting", {}))
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit this agent: {error}") from error


def train(
    parts: Parts,
    *,
    game: str,
    seed: int,
    protocol: Protocol,
    budget: Budget,
    device: str = "cpu",
    precision: Precision = "fp32",
    checkpoints: Checkpoints | None = None,
    resume: Checkpoint | None = None,
) -> Iterator[Report]:
    """Trains one agent on one game and yields what happens.

    Args:
        parts: The assembled agent.
        game: As `agents.training.environments.canonical_game` spells it.
        seed: Every random number of the run follows from it.
        protocol: The game's interface, and when and how to evaluate.
        budget: How many env_frames to see, and how many of them with random actions.
        device: Where to train.
        precision: In which arithmetic the networks compute.
        checkpoints: Where and how often to save the run; nowhere where not given.
        resume: Where to go on; what was reported up to there is not reported again.

    Raises:
        BudgetTooSmallError: If no episode is complete before the budget is spent.
        CheckpointError: If the run cannot come back to where `resume` was taken.
        DivergedError: If a metric of an update is not finite.
        ReplayTooLargeError: If the memory for what the run will see is not there.
    """
    environments = make_environments(game, 1, protocol)
    try:
        run = Run.begin(parts, environments, seed, budget, device, precision)
        observer = Observer(run.agent, run.replay)
        if resume is not None:
            run.restore(resume)
        clock = run.clock
        watch, ticker = Stopwatch(clock), Ticker()
        reporter = Reporter(run, observer, watch, budget)
        recipe = parts.recipe(budget, protocol, clock)
        event = next(recipe, None)
        while event is not None:
            result: Result = {}
            if _can_rest(event, clock):
                yield from reporter.due()
                if checkpoints is not None and checkpoints.due():
                    with watch("checkpoint"):
                        saved = _save(run, checkpoints)
                    yield saved
            run.before(event)
            match event:
                case Collect(policy=policy):
                    with watch("collect"):
                        ended = _collect(run, policy)
                    if ended is not None:
                        result = {"episode_return": ended.episode_return}
                        yield _episode(clock, ended)
                case TrainWorldModel():
                    with watch("world_model"):
                        result = run.learner.train_world_model()
                    clock.updates += 1
                case TrainBehaviour():
                    with watch("behaviour"):
                        result = run.learner.train_behaviour()
                    clock.behaviour_updates += 1
                case Validate():
                    with watch("validate"):
                        result = run.learner.validate()
                case Surgery():
                    operated = run.operate(event)
                    result = operated.values
                    yield operated
                case Evaluate(episodes=episodes, final=final):
                    yield from run.learner.report(clock)
                    with watch("evaluate"):
                        played = []
                        for episode in evaluate(
                            run.agent,
                            game,
                            protocol,
                            env_frames=clock.env_frames,
                            episodes=episodes,
                        ):
                            if episode is not None:
                                played.append(episode)
                            elif ticker.due():
                                yield Progress(clock.env_frames, clock.updates, "evaluate")
                    result = {"mean_return": fmean(one.episode_return for one in played)}
                    yield _evaluation(clock, final, protocol, played)
                    yield from observer.dreams(clock)
            if ticker.due():
                yield Progress(clock.env_frames, clock.updates, clock.phase)
            event = following(recipe, result)
        yield watch.report(clock)
    finally:
        environments.close()


class Reporter:
    """Tells what is due where a run can rest: all that belongs to the last step is done there."""

    def __init__(self, run: Run, observer: Observer, watch: Stopwatch, budget: Budget) -> None:
        self._run, self._observer, self._watch = run, observer, watch
        self._metrics = Pace(budget, run.clock, METRIC_REPORTS)
        self._probes = Pace(budget, run.clock, PROBES)
        self._prefilled, self._end = run.clock.prefilled, budget.env_frames

    def due(self) -> Iterator[Metrics | Timing]:
        """Yields where the prefill has ended, means and times, and plasticity.

        At the end of the budget no times: the final evaluation is still to come, and counts.
        """
        clock = self._run.clock
        if self._prefilled is None and clock.prefilled is not None:
            self._prefilled = clock.prefilled
            values = {"prefill_env_frames": float(clock.prefilled)}
            yield Metrics(clock.env_frames, clock.updates, values)
        if self._metrics.due(clock):
            yield from self._run.learner.report(clock)
            values = counts(clock, self._run.agent.config)
            yield Metrics(clock.env_frames, clock.updates, values)
            if clock.env_frames < self._end:
                yield self._watch.report(clock)
        if self._probes.due(clock) and clock.updates:
            with self._watch("probe"):
                plasticity = self._observer.plasticity(clock)
            yield plasticity


class Ticker:
    """Lets somebody speak a few times a second."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def due(self) -> bool:
        """Whether a quarter of a second has passed."""
        now = time.monotonic()
        if now - self._told < PROGRESS_SECONDS:
            return False
        self._told = now
        return True


def _can_rest(event: Event, clock: Clock) -> bool:
    """Whether a run that is taken up here leaves nothing out and tells nothing twice.

    Before an agent step, and before the final evaluation, everything has been told of this point
    of the run; in pre-training, nothing of what it teaches.
    """
    match event:
        case Collect():
            return True
        case TrainWorldModel():
            return clock.env_frames == clock.prefilled
        case Evaluate(final=final):
            return final
        case _:
            return False


def _save(run: Run, checkpoints: Checkpoints) -> Saved | NotSaved:
    try:
        return checkpoints.save(run.checkpoint())
    except OSError as error:
        return NotSaved(run.clock.env_frames, str(error))


def _collect(run: Run, policy: str) -> EndedEpisode | None:
    collector, clock = run.collector, run.clock
    if policy == "random":
        ended = collector.random_step()
    else:
        ended = collector.behaviour_step(clock.env_frames)
    clock.env_frames += FRAMES_PER_AGENT_STEP
    if ended is not None:
        clock.episodes = run.replay.episodes
        clock.validation_episodes = run.replay.validation_episodes
    return ended


def _episode(clock: Clock, ended: EndedEpisode) -> Episode:
    return Episode(
        clock.env_frames,
        ended.episode_return,
        ended.length,
        ended.truncated,
        ended.discounted_return,
    )


def _evaluation(
    clock: Clock, final: bool, protocol: Protocol, played: list[EpisodeResult]
) -> Evaluation:
    in_order = tuple(sorted(played, key=lambda result: result.episode))
    return Evaluation(clock.env_frames, final, protocol.evaluation_policy, in_order)
