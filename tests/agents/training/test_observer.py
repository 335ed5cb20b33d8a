import pytest
import torch

from agents.config import Budget
from agents.observation import Observation
from agents.training import observer as observer_module
from agents.training.observer import Observer, Pace, Stopwatch
from agents.training.recipe import Clock
from agents.training.replay import Replay


def test_looking_touches_nothing(make_agent, filled_replay, digest):
    agent, replay = make_agent(), filled_replay()
    before = digest(agent.state_dict())
    observer, clock = Observer(agent, replay), Clock(env_frames=40)
    probes = observer.plasticity(clock)
    (dreams,) = observer.dreams(clock)
    assert digest(agent.state_dict()) == before
    assert probes.values["plasticity/actor/drift"] == 0
    assert len(dreams.arrays["truth"]) == observer_module.DREAMS


def test_a_look_depends_on_the_run_and_the_point_alone(make_agent, filled_replay):
    agent, replay = make_agent(), filled_replay()
    observer = Observer(agent, replay)
    one, again, later = (
        next(observer.dreams(Clock(env_frames=frames))).arrays for frames in (40, 40, 44)
    )
    assert (one["truth"] == again["truth"]).all()
    assert (one["truth"] != later["truth"]).any()


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_dreams_show_validation_episodes_where_there_are_any(
    make_agent, filled_replay, monkeypatch, fraction
):
    agent = make_agent(validation_fraction=fraction)
    replay, asked = filled_replay(agent.config), []
    sample = replay.sample
    monkeypatch.setattr(
        replay, "sample", lambda draws, **how: asked.append(how) or sample(draws, **how)
    )
    list(Observer(agent, replay).dreams(Clock()))
    assert asked == [{"validation": fraction > 0}]


def test_vectors_are_not_drawn(make_agent):
    vector = Observation((3,))
    agent = make_agent(observation=vector)
    replay = Replay(20, vector, agent.config, agent.streams)
    assert list(Observer(agent, replay).dreams(Clock())) == []


def test_a_metric_is_reported_some_five_hundred_times_in_a_run():
    clock, due = Clock(), 0
    pace = Pace(Budget(env_frames=40_000, prefill_frames=0), clock, 500)
    for _ in range(10_000):
        clock.env_frames += 4
        due += pace.due(clock)
        assert not pace.due(clock)  # not twice at one point
    assert due == 500


def test_a_pace_that_is_taken_up_goes_on_where_it_was():
    budget = Budget(env_frames=40_000, prefill_frames=0)
    through, clock = Pace(budget, Clock(), 500), Clock(env_frames=4_000)
    through.due(clock)
    fresh = Pace(budget, clock, 500)
    for _ in range(100):
        clock.env_frames += 4
        assert fresh.due(clock) == through.due(clock)


def test_the_stopwatch_tells_seconds_by_phase_and_speed(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(observer_module.time, "monotonic", lambda: now[0])
    clock = Clock(env_frames=400, updates=10)
    watch = Stopwatch(clock)
    for phase, seconds in (("collect", 1.0), ("behaviour", 2.0), ("collect", 3.0)):
        with watch(phase):
            now[0] += seconds
    now[0] += 2.0
    clock.env_frames, clock.updates = 800, 26
    assert watch.report(clock).values == {
        "seconds/collect": 4.0,
        "seconds/behaviour": 2.0,
        "env_frames_per_second": 50.0,
        "updates_per_second": 2.0,
    }
    now[0] += 1.0
    later = watch.report(clock)
    assert later.env_frames == 800
    assert later.values == {}  # no frame was seen: no speed


def test_a_phase_that_fails_is_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(observer_module.time, "monotonic", lambda: now[0])
    watch = Stopwatch(Clock())

    def fail():
        with watch("collect"):
            now[0] += 1.5
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert watch.report(Clock()).values["seconds/collect"] == 1.5


def test_no_generator_is_shared_with_the_process(make_agent, filled_replay):
    before = torch.get_rng_state()
    observer = Observer(make_agent(), filled_replay())
    observer.plasticity(Clock())
    list(observer.dreams(Clock()))
    assert torch.equal(torch.get_rng_state(), before)
