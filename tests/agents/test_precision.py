import pytest
import torch

from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.dreamer.imagination import Imagination
from agents.observation import ATARI
from agents.parts import Parts
from agents.precision import (
    arithmetic,
    at_least_fp32,
    cast_once,
    casts_kept,
    joined,
    product_dtype,
)
from agents.streams import Streams

ACTIONS, CPU = 5, torch.device("cpu")


def made(precision, size="tiny"):
    return Agent(Parts(agent_config(size)), ATARI, ACTIONS, Streams(0), precision=precision)


def updated(precision, batch, updates=1, size="tiny"):
    agent, metrics = made(precision, size), {}
    for _ in range(updates):
        start, seen = agent.train_world_model(batch)
        metrics = seen | agent.train_behaviour(start)
    return agent, metrics


def trained(agent):
    return [p for optimiser in agent.optimisers for p in optimiser.parameters]


def test_in_bf16_parameters_states_and_losses_stay_fp32(random_batch):
    agent, metrics = updated("bf16", random_batch(2, 6), size="micro")
    moments = [
        value
        for optimiser in agent.optimisers
        for state in optimiser.adam.state.values()
        for value in state.values()
    ]
    numbers = [*trained(agent), *moments, *metrics.values()]
    start, _ = agent.train_world_model(random_batch(2, 6))
    numbers += [start.state.stoch, start.state.deter]
    assert {number.dtype for number in numbers} == {torch.float32}


def test_bf16_computes_nearly_the_same_losses_and_gradients(random_batch):
    batch = random_batch(4, 8)
    (single, losses), (half, others) = (updated(name, batch) for name in ("fp32", "bf16"))
    for name in ("image_loss", "reward_loss", "discount_loss", "kl_loss"):
        assert float(others[name]) == pytest.approx(float(losses[name]), rel=0.02)
        assert not torch.equal(others[name], losses[name])
    pairs = zip(trained(single), trained(half), strict=True)
    similar = [torch.cosine_similarity(a.grad.flatten(), b.grad.flatten(), 0) for a, b in pairs]
    assert len(similar) > 50
    assert torch.stack(similar).median() > 0.99


def test_every_trained_parameter_has_a_gradient_in_bf16(random_batch):
    # a cast that a dream keeps, made without gradients, would hide the actor from its loss
    agent, _ = updated("bf16", random_batch(4, 8), updates=2)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained(agent))


def test_no_cast_outlives_a_step_of_an_optimiser(random_batch, uniforms, perturb):
    agent, other = made("bf16", "micro"), made("bf16", "micro")
    start, _ = agent.train_world_model(random_batch(2, 6))
    config = agent.config
    draws = {
        "imagination/latent": uniforms(config.horizon, 12, config.stoch),
        "imagination/action": uniforms(config.horizon, 12),
    }

    def dreamed(agent):
        with arithmetic("bf16", CPU):
            return Imagination(agent.world_model, start).dream(agent.behaviour.act, draws).feat

    before = dreamed(agent)
    perturb(agent.world_model)
    other.world_model.load_state_dict(agent.world_model.state_dict())
    assert torch.equal(dreamed(agent), dreamed(other))
    assert not torch.equal(dreamed(agent), before)


def test_products_are_bf16_within_the_arithmetic_and_nowhere_else():
    layer, x = torch.nn.Linear(2, 3), torch.ones(4, 2)
    assert product_dtype(layer.weight) == layer(x).dtype == torch.float32
    with arithmetic("bf16", CPU):
        assert product_dtype(layer.weight) == layer(x).dtype == torch.bfloat16
        assert product_dtype(layer.weight.double()) == torch.float64
        with casts_kept():
            assert layer(x).dtype == torch.bfloat16
    with arithmetic("fp32", CPU):
        assert layer(x).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_a_dream_shows_heads_and_actor_numbers_that_are_cast_already(random_batch, uniforms):
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        agent = made(precision, "micro")
        start, _ = agent.train_world_model(random_batch(2, 6))
        shapes = agent.behaviour.uniforms_shapes(12)
        draws = {owner: uniforms(*shape) for owner, shape in shapes.items()}
        with arithmetic(precision, CPU):
            dream = Imagination(agent.world_model, start).dream(agent.behaviour.act, draws)
        assert dream.feat.dtype == dtype
        assert dream.reward.dtype == dream.disc.dtype == torch.float32


def test_a_weight_is_cast_once_in_a_rollout_and_no_other_weight_is_taken_for_it():
    laid_out = []

    def lay_out(cast):
        laid_out.append(cast)
        return cast

    def cast_of(number):  # a weight that nobody else holds: its identity can be given again
        return cast_once(torch.full((2, 2), float(number)), torch.bfloat16, lay_out)

    weight = torch.ones(2, 2)
    assert cast_once(weight, torch.bfloat16, lay_out).dtype == torch.bfloat16
    assert not laid_out
    with casts_kept():
        kept = [cast_once(weight, torch.bfloat16, lay_out) for _ in range(3)]
        assert len(laid_out) == 1
        assert all(one is kept[0] for one in kept)
        assert [float(cast_of(number).mean()) for number in range(20)] == list(range(20))
    weight.fill_(5.0)
    assert float(cast_once(weight, torch.bfloat16, lay_out).mean()) == 5.0


def test_at_least_fp32_raises_and_never_lowers():
    dtypes = {torch.bfloat16: torch.float32, torch.float32: torch.float32}
    for before, after in (dtypes | {torch.float64: torch.float64}).items():
        assert at_least_fp32(torch.zeros(1, dtype=before)).dtype == after


def test_an_agent_in_bf16_acts_and_lives_the_same_life_twice(random_batch, digest):
    outcomes = []
    for _ in range(2):
        agent, _ = updated("bf16", random_batch(2, 6), updates=2, size="micro")
        state = agent.act(
            random_batch(3, 1).observation[:, 0], torch.ones(3), agent.begin(3), stream="acting"
        )
        outcomes.append(digest([agent.state_dict(), state.action, state.latent.deter]))
    assert outcomes[0] == outcomes[1]


def test_an_agent_in_bf16_acts_in_fp32(random_batch):
    # its weights would have to be cast for one row; so equal weights act equally, bit by bit
    states = []
    for precision in ("fp32", "bf16"):
        agent = made(precision, "micro")
        observation = random_batch(3, 1).observation[:, 0]
        state = agent.act(observation, torch.ones(3), agent.begin(3), stream="acting")
        states.append([state.action, state.latent.stoch, state.latent.deter])
    assert all(torch.equal(single, half) for single, half in zip(*states, strict=True))


def test_features_are_joined_in_the_numbers_that_products_take():
    first, second = torch.rand(3, 2), torch.rand(3, 4)
    whole = torch.cat([first, second], -1)
    assert torch.equal(joined(first, second), whole)
    with arithmetic("bf16", CPU):
        assert torch.equal(joined(first, second), whole.bfloat16())
        assert torch.equal(joined(first.bfloat16(), second), whole.bfloat16())
    assert joined(first.double(), second.double()).dtype == torch.float64
