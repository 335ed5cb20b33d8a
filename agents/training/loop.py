"""The loop: carries out the recipe's events and reports what happens.

A generator: who records, shows or stops a run does so from outside.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from agents.config import FRAMES_PER_AGENT_STEP, Budget, Protocol
from agents.dreamer.agent import Agent
from agents.dreamer.surgery import operate
from agents.parts import Parts
from agents.streams import Streams
from agents.training.checkpoint import Checkpoint, CheckpointError, Checkpoints
from agents.training.collector import Collector, EndedEpisode
from agents.training.environments import Environments, make_environments
from agents.training.evaluation import evaluate
from agents.training.learner import DivergedError, Learner
from agents.training.observer import PROBES, Observer, Pace, Stopwatch
from agents.training.recipe import (
    Clock,
    Collect,
    Evaluate,
    Event,
    Surgery,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
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
)

__all__ = ["DivergedError", "set_up_process", "train"]

METRIC_REPORTS = 500
"""Points of a metric's curve over a whole run: each is the mean of the updates in between."""

PROGRESS_SECONDS = 0.25


def set_up_process(threads: int = 1) -> None:
    """Sets what holds for the whole process: threads, and how fp32 products are computed.

    "medium" lets a CPU hand fp32 products to oneDNN. Where that library computes them in fp32,
    as on AVX-512 machines, accuracy stays at about 1e-6; a test compares with float64.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")


@dataclass
class Run:
    """What moves while one agent trains on one game."""

    agent: Agent
    replay: Replay
    collector: Collector
    learner: Learner
    clock: Clock

    @classmethod
    def begin(
        cls, parts: Parts, environments: Environments, seed: int, budget: Budget, device: str
    ) -> "Run":
        """An untrained agent with an empty replay, at the first observation of an episode."""
        streams = Streams(seed, device)
        agent = Agent(parts, environments.observation, environments.actions, streams, device)
        agent_steps = -(-budget.env_frames // FRAMES_PER_AGENT_STEP)
        replay = Replay(agent_steps, environments.observation, parts.config, streams, device)
        collector = Collector(agent, replay, environments, streams)
        return cls(agent, replay, collector, Learner(agent, replay), Clock())

    def operate(self, surgery: Surgery) -> Metrics:
        """Changes the agent; states that its old parameters have made are dropped."""
        seed = self.agent.streams.integer(surgery.owner, surgery.number)
        touched = operate(self.agent, surgery.operations, seed)
        self.collector.forget()
        self.learner.forget()
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
            self.clock = Clock(**state["clock"])
            self.agent.load_state_dict(state["agent"])
            self.replay.load_state_dict(state["replay"])
            self.collector.load_state_dict(state["collector"])
            self.learner.load_state_dict(state["learner"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint does not fit this agent: {error}") from error


def train(
    parts: Parts,
    *,
    game: str,
    seed: int,
    protocol: Protocol,
    budget: Budget,
    device: str = "cpu",
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
        run = Run.begin(parts, environments, seed, budget, device)
        observer = Observer(run.agent, run.replay)
        if resume is not None:
            run.restore(resume)
        clock = run.clock
        watch, ticker = Stopwatch(clock), Ticker()
        metrics, probes = Pace(budget, clock, METRIC_REPORTS), Pace(budget, clock, PROBES)
        for event in parts.recipe(budget, protocol, clock):
            if checkpoints is not None and checkpoints.due() and _can_rest(event, clock, budget):
                with watch("checkpoint"):
                    saved = _save(run, checkpoints)
                yield saved
            match event:
                case Collect(policy=policy):
                    with watch("collect"):
                        ended = _collect(run, policy)
                    if ended is not None:
                        yield _episode(clock, ended)
                case TrainWorldModel():
                    with watch("world_model"):
                        run.learner.train_world_model()
                    clock.updates += 1
                case TrainBehaviour():
                    with watch("behaviour"):
                        run.learner.train_behaviour()
                    clock.behaviour_updates += 1
                case Validate():
                    with watch("validate"):
                        run.learner.validate()
                case Surgery():
                    yield run.operate(event)
                case Evaluate(episodes=episodes, final=final):
                    yield from run.learner.report(clock)
                    with watch("evaluate"):
                        results = []
                        for result in evaluate(
                            run.agent,
                            game,
                            protocol,
                            env_frames=clock.env_frames,
                            episodes=episodes,
                        ):
                            if result is not None:
                                results.append(result)
                            elif ticker.due():
                                yield Progress(clock.env_frames, clock.updates, "evaluate")
                    yield _evaluation(clock, final, protocol, results)
                    yield from observer.dreams(clock)
            if metrics.due(clock):
                yield from run.learner.report(clock)
                yield watch.report(clock)
            if probes.due(clock) and clock.updates:
                with watch("probe"):
                    probed = observer.plasticity(clock)
                yield probed
            if ticker.due():
                yield Progress(clock.env_frames, clock.updates, clock.phase)
    finally:
        environments.close()


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


def _can_rest(event: Event, clock: Clock, budget: Budget) -> bool:
    """Whether a run that is taken up here leaves nothing out and tells nothing twice.

    Before an agent step everything at this point of the run has been told; in pre-training there
    is nothing to tell yet; at the very end nothing has been told since the last step but what
    the final evaluation tells again.
    """
    match event:
        case Collect():
            return True
        case TrainWorldModel():
            return clock.env_frames == clock.prefilled and clock.env_frames < budget.env_frames
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
    clock: Clock, final: bool, protocol: Protocol, results: list[EpisodeResult]
) -> Evaluation:
    in_order = tuple(sorted(results, key=lambda result: result.episode))
    return Evaluation(clock.env_frames, final, protocol.evaluation_policy, in_order)
