import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.streams import Streams


def test_a_stream_depends_on_seed_and_owner_alone():
    alone = Streams(3).uniforms("replay", 50)
    crowded = Streams(3)
    for owner in ("acting", "environment", "random_shift"):
        crowded.uniforms(owner, 17)
        crowded.initialiser(owner)
        crowded.integer(owner, 4)
    assert torch.equal(crowded.uniforms("replay", 50), alone)


def test_adding_an_owner_between_two_draws_moves_nobody():
    streams, reference = Streams(3), Streams(3)
    first = streams.uniforms("a", 5)
    streams.uniforms("newcomer", 1000)
    second = streams.uniforms("a", 5)
    assert torch.equal(torch.cat([first, second]), reference.uniforms("a", 10))


@given(seed=st.integers(0, 2**63), other=st.integers(0, 2**63))
@settings(max_examples=30, deadline=None)
def test_streams_of_other_seeds_or_owners_differ(seed, other):
    draws = Streams(seed).uniforms("owner", 8)
    assert not torch.equal(draws, Streams(seed).uniforms("owner2", 8))
    assert torch.equal(draws, Streams(other).uniforms("owner", 8)) == (seed == other)


def test_uniforms_are_single_precision_numbers_from_zero_to_below_one():
    draws = Streams(0).uniforms("a", 100, 1000)
    assert draws.shape == (100, 1000)
    assert draws.dtype == torch.float32
    assert draws.min() >= 0
    assert draws.max() < 1
    assert float(draws.mean()) == pytest.approx(0.5, abs=0.005)


def test_integers_are_stateless_and_differ_by_index():
    streams = Streams(1)
    numbers = [streams.integer("environment", k) for k in range(1000)]
    assert numbers == [Streams(1).integer("environment", k) for k in range(1000)]
    assert len(set(numbers)) == 1000
    assert all(0 <= number < 2**31 for number in numbers)
    assert np.mean(numbers) == pytest.approx(2**30, rel=0.1)
    assert streams.state_dict() == {}
    assert streams.integer("evaluation", 400, 1) != streams.integer("evaluation", 1, 400)
    assert streams.integer("environment", 0) != streams.integer("evaluation", 0)


def test_seeds_are_the_same_on_every_machine_and_in_every_version():
    # stored runs were made with these: when they move, AGENT_VERSION must
    streams = Streams(0)
    assert streams.integer("environment", 0) == 723_029_761
    assert streams.integer("initial/rssm") == 1_700_609_896
    assert Streams(7).integer("replay") == 1_248_968_062


def test_an_initialiser_is_fresh_each_time_and_is_not_the_running_stream():
    streams = Streams(0)
    first, second = (torch.rand(9, generator=streams.initialiser("actor")) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, streams.uniforms("actor", 9))
    assert not torch.equal(first, torch.rand(9, generator=streams.initialiser("critic")))
    assert set(streams.state_dict()) == {"actor"}


def test_a_saved_position_is_taken_up_again():
    streams = Streams(5)
    streams.uniforms("a", 3)
    streams.uniforms("b", 700)
    state = streams.state_dict()
    following = streams.uniforms("a", 4), streams.uniforms("b", 4)
    streams.uniforms("late", 4)

    fresh = Streams(5)
    for restored in (streams, fresh):
        restored.load_state_dict(state)
        assert torch.equal(restored.uniforms("a", 4), following[0])
        assert torch.equal(restored.uniforms("b", 4), following[1])
        # an owner that had not drawn when the state was saved starts from its beginning
        assert torch.equal(restored.uniforms("late", 4), Streams(5).uniforms("late", 4))


def test_streams_within_an_owner_are_streams_of_other_names():
    outer, same = Streams(3), Streams(3)
    inner = outer.within("second")
    drawn = inner.uniforms("imagination", 4)
    assert torch.equal(drawn, same.uniforms("second/imagination", 4))
    assert not torch.equal(drawn, outer.uniforms("imagination", 4))
    assert inner.integer("x", 2) == outer.integer("second/x", 2) != outer.integer("x", 2)
    assert set(outer.state_dict()) == {"second/imagination", "imagination"}
    assert inner.within("third").integer("x") == outer.integer("second/third/x")


def test_streams_within_an_owner_are_put_back_with_the_others():
    outer = Streams(3)
    inner = outer.within("second")
    inner.uniforms("x", 2)
    position = outer.state_dict()
    drawn = inner.uniforms("x", 2)
    outer.load_state_dict(position)
    assert torch.equal(inner.uniforms("x", 2), drawn)
