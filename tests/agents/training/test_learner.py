import pytest
import torch

from agents.streams import Streams
from agents.training.learner import Learner
from agents.training.recipe import Clock


def test_metrics_are_means_since_the_last_report(make_agent, filled_replay):
    agent = make_agent()
    learner, clock = Learner(agent, filled_replay()), Clock(env_frames=40, updates=3)
    single, twin = [], Learner(make_agent(), filled_replay())
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


def test_batches_are_drawn_by_the_replays_own_stream(make_agent, filled_replay, monkeypatch):
    agent, replay, drawn = make_agent(seed=4), filled_replay(), []
    sample = replay.sample
    monkeypatch.setattr(
        replay, "sample", lambda draws, **how: drawn.append(draws) or sample(draws, **how)
    )
    Learner(agent, replay).train_world_model()
    assert torch.equal(drawn[0], Streams(4).uniforms("replay", 2, 2))


@pytest.fixture
def dreamed_from(monkeypatch):
    """The starts of every behaviour update."""
    starts = []

    def follow(agent):
        train = agent.train_behaviour
        monkeypatch.setattr(
            agent, "train_behaviour", lambda start: starts.append(start) or train(start)
        )
        return starts

    return follow


def test_dreams_start_once_from_the_states_of_an_update_and_then_from_another_batch(
    make_agent, filled_replay, dreamed_from
):
    agent = make_agent()
    starts, learner = dreamed_from(agent), Learner(agent, filled_replay())
    learner.train_world_model()
    posteriors = learner._posteriors
    learner.train_behaviour()
    learner.train_behaviour()
    assert starts[0] is posteriors
    assert starts[1].state.deter.shape == starts[0].state.deter.shape
    assert not torch.equal(starts[1].state.deter, starts[0].state.deter)
    assert not starts[1].state.deter.requires_grad


def test_dreams_without_an_update_draw_from_streams_of_their_own(
    make_agent, filled_replay, dreamed_from
):
    agent = make_agent()
    dreamed_from(agent)
    Learner(agent, filled_replay()).train_behaviour()
    streams = set(agent.streams.state_dict())
    assert streams == {"replay/dreaming", "dreaming", "imagination/latent", "imagination/action"}


def test_validation_looks_at_validation_episodes_and_moves_nothing(
    make_agent, filled_replay, monkeypatch, digest
):
    agent = make_agent(validation_fraction=0.3)
    replay, asked = filled_replay(agent.config), []
    sample = replay.sample
    monkeypatch.setattr(
        replay, "sample", lambda draws, **how: asked.append(how) or sample(draws, **how)
    )
    learner = Learner(agent, replay)
    before = {k: digest(v) for k, v in agent.state_dict().items() if k != "streams"}
    learner.validate()
    assert asked == [{"validation": True}]
    after = {k: digest(v) for k, v in agent.state_dict().items() if k != "streams"}
    assert after == before
    assert set(agent.streams.state_dict()) == {"validation", "validation/replay"}
    (report,) = learner.report(Clock())
    assert "validation/image_loss" in report.values


def test_what_waits_is_saved_and_put_back(make_agent, filled_replay):
    agent, again = make_agent(), make_agent()
    learner, fresh = Learner(agent, filled_replay()), Learner(again, filled_replay())
    learner.train_world_model()
    again.load_state_dict(agent.state_dict())
    fresh.load_state_dict(learner.state_dict())
    for each in (learner, fresh):
        each.train_behaviour()
    (one,), (other,) = learner.report(Clock()), fresh.report(Clock())
    assert one == other
