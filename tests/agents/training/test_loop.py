"""train() on a real game, at micro size."""

import pytest
import torch

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.streams import Streams
from agents.training import loop
from agents.training.environments import AtariEnvironments
from agents.training.loop import DivergedError, Learner, Pace, set_up_process, train
from agents.training.recipe import BudgetTooSmallError, Clock
from agents.training.reports import Episode, Evaluation, Metrics, Progress

PROTOCOL = Protocol(
    max_env_frames_per_episode=160,
    evaluation_episodes=1,
    final_evaluation_episodes=2,
    evaluate_every=500,
)
BUDGET = Budget(env_frames=1200, prefill_frames=240)


def run(seed=0, *, budget=BUDGET, protocol=PROTOCOL, game="Pong", **settings):
    parts = Parts(agent_config("micro", env_frames_per_update=32, **settings))
    return list(train(parts, game=game, seed=seed, protocol=protocol, budget=budget))


def told(reports):
    """All but progress, which follows the clock on the wall."""
    return [report for report in reports if not isinstance(report, Progress)]


@pytest.fixture(scope="module")
def reports():
    return run()


def of(kind, reports):
    return [report for report in reports if isinstance(report, kind)]


def test_env_frames_never_run_backwards(reports):
    frames = [report.env_frames for report in reports]
    assert frames == sorted(frames)
    assert frames[-1] == 1200
    updates = [report.updates for report in reports if isinstance(report, Progress | Metrics)]
    assert updates == sorted(updates)


def test_training_episodes_are_reported_when_they_end(reports):
    episodes = of(Episode, reports)
    # 300 agent steps in episodes that are cut after 40
    assert [episode.env_frames for episode in episodes] == [160 * k for k in range(1, 8)]
    assert all(episode.length == 40 and episode.truncated for episode in episodes)
    assert all(-5 <= episode.episode_return <= 5 for episode in episodes)


def test_evaluations_come_on_the_grid_and_the_final_one_last(reports):
    evaluations = of(Evaluation, reports)
    assert [(e.env_frames, e.final) for e in evaluations] == [
        (500, False),
        (1000, False),
        (1200, True),
    ]
    assert told(reports)[-1] is evaluations[-1]
    assert [len(e.episodes) for e in evaluations] == [1, 1, 2]
    assert [episode.episode for episode in evaluations[-1].episodes] == [0, 1]
    assert all(episode.truncated for e in evaluations for episode in e.episodes)
    assert {e.policy for e in evaluations} == {"argmax"}


def test_metrics_cover_every_update_and_precede_the_evaluation(reports):
    metrics = of(Metrics, reports)
    # 2 of pre-training and (1200 - 240) / 32
    assert metrics[-1].updates == 32
    names = {"image_loss", "reward_loss", "discount_loss", "kl_loss", "actor_loss", "critic_loss"}
    assert all(names < report.values.keys() for report in metrics)
    spoken = told(reports)
    assert isinstance(spoken[-2], Metrics)
    assert spoken[-2].env_frames == 1200


@pytest.fixture(scope="module")
def again():
    """The same run, told about at every turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PROGRESS_SECONDS", 0.0)
        return run()


def test_progress_tells_the_phases_in_order(again):
    phases = [report.phase for report in of(Progress, again)]
    assert phases[0] == "prefill"
    assert set(phases) == {"prefill", "train", "evaluate"}
    assert "prefill" not in phases[phases.index("train") :]


def test_the_same_seed_gives_the_same_reports_bit_by_bit(reports, again):
    assert told(again) == told(reports)


def test_another_seed_gives_others(reports):
    other = told(run(seed=1))
    assert len(other) == len(told(reports))
    metrics = zip(of(Metrics, other), of(Metrics, reports), strict=True)
    assert all(one.values != another.values for one, another in metrics)


def test_the_prefill_is_extended_until_an_episode_is_complete():
    protocol = PROTOCOL.model_copy(update={"max_env_frames_per_episode": 600})
    reports = run(budget=Budget(env_frames=760, prefill_frames=40), protocol=protocol)
    first = of(Metrics, reports)[0]
    assert first.updates == 2  # those of pre-training, told after the step that follows
    assert first.env_frames == 604
    assert of(Metrics, reports)[-1].updates == 2 + 160 // 32


def test_a_budget_without_a_complete_episode_raises_and_closes_the_game(monkeypatch):
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    with pytest.raises(BudgetTooSmallError):
        run(budget=Budget(env_frames=120, prefill_frames=40))
    # an episode that is too short to be replayed does not count
    with pytest.raises(BudgetTooSmallError):
        run(budget=Budget(env_frames=400, prefill_frames=40), length=41)
    assert closed == [1, 1]


def test_the_game_is_closed_when_somebody_stops_listening(monkeypatch):
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    parts = Parts(agent_config("micro"))
    training = train(parts, game="Pong", seed=0, protocol=PROTOCOL, budget=BUDGET)
    next(training)
    training.close()
    assert closed == [1]


def test_metrics_are_means_since_the_last_report(make_agent, filled_replay):
    agent = make_agent()
    learner, clock = Learner(agent, filled_replay(6)), Clock(env_frames=40, updates=3)
    single, twin = [], Learner(make_agent(), filled_replay(6))
    for _ in range(3):
        for each in (learner, twin):
            each.train_world_model()
            each.train_behaviour()
        single += [report.values for report in twin.report(clock)]
    (report,) = learner.report(clock)
    assert (report.env_frames, report.updates) == (40, 3)
    for name, mean in report.values.items():
        assert mean == pytest.approx(sum(values[name] for values in single) / 3, rel=1e-5)
    assert list(learner.report(clock)) == []  # nothing new


def test_a_behaviour_update_needs_a_model_update_before_it(make_agent, filled_replay):
    learner = Learner(make_agent(), filled_replay(6))
    with pytest.raises(RuntimeError, match="needs a world-model update before it"):
        learner.train_behaviour()


def test_batches_are_drawn_by_the_replays_own_stream(make_agent, filled_replay, monkeypatch):
    agent, replay, drawn = make_agent(seed=4), filled_replay(6), []
    sample = replay.sample
    monkeypatch.setattr(replay, "sample", lambda draws: drawn.append(draws) or sample(draws))
    Learner(agent, replay).train_world_model()
    assert torch.equal(drawn[0], Streams(4).uniforms("replay", 2, 2))


def test_a_metric_is_reported_some_five_hundred_times_in_a_run():
    pace, clock, due = Pace(Budget(env_frames=40_000, prefill_frames=0)), Clock(), 0
    for _ in range(10_000):
        clock.env_frames += 4
        due += pace.metrics_due(clock)
        assert not pace.metrics_due(clock)  # not twice at one point
    assert due == 500


def test_a_process_is_set_to_its_threads_and_to_onednn_products():
    threads = torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    try:
        set_up_process(threads=2)
        assert torch.get_num_threads() == 2
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def test_a_run_whose_losses_are_not_finite_is_stopped():
    with pytest.raises(DivergedError, match=r"image_loss.* not finite at update \d+"):
        run(model_lr=1e30)
