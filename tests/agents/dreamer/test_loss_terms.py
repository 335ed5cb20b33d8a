import copy
from dataclasses import dataclass

import pytest
import torch

from agents.config import agent_config
from agents.dreamer.loss_terms import AuxiliaryLoss, Follower, LossTerm, Scale
from agents.dreamer.networks import MLP
from agents.dreamer.surgery import operate
from agents.parts import Parts
from agents.training.recipe import Operation

RATE = 0.25


class Guess(AuxiliaryLoss):
    """Guesses from the embedding what a network that follows the encoder makes of the frame."""

    def __init__(self, scale, world_model, streams):
        super().__init__(scale, lr=1e-3)
        width = world_model.encoder.outputs
        generator = streams.initialiser("guess/network")
        self.network = MLP(width, width, units=8, layers=1, generator=generator)
        self.follower = Follower(world_model.encoder, RATE)

    def uniforms_shape(self, batch, length):
        return (batch, length)

    def forward(self, world_model, seen, uniforms):
        target = self.follower(seen.view.obs_in.flatten(0, 1)).view(seen.embed.shape)
        rows = (self.network(seen.embed) - target).square().sum(-1) + uniforms
        return rows[:, 1:], {"rows": torch.tensor(float(rows.shape[1] - 1))}

    def networks(self):
        return (self.network,)

    def followers(self, world_model):
        return ((self.follower, world_model.encoder),)


@dataclass(frozen=True)
class Guessing:
    scale: Scale
    name: str = "guess"

    def build(self, world_model, streams):
        return Guess(self.scale, world_model, streams)

    def describe(self):
        return {"weight": self.scale.weight, "by": self.scale.by}


@pytest.fixture
def guessing(make_agent):
    """A micro agent with the term."""

    def make(weight=1.0, by="coefficient", **settings):
        parts = Parts(agent_config("micro", **settings))
        return make_agent(parts=parts.with_loss_term(Guessing(Scale(weight, by))))

    return make


def gradients(module):
    return [p.grad.clone() for p in module.parameters()]


def step(agent, batch):
    """The gradients that one update of the world model leaves, and its metrics."""
    _, metrics = agent.train_world_model(batch)
    return gradients(agent.world_model), metrics


def equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def length(tensors):
    return torch.cat([t.double().flatten() for t in tensors]).norm()


def test_a_term_is_described_and_absent_without_one():
    parts = Parts(agent_config("micro"))
    assert "loss_terms" not in parts.describe()
    term = Guessing(Scale(0.5))
    assert isinstance(term, LossTerm)
    described = parts.with_loss_term(term).describe()["loss_terms"]
    assert described == [{"name": "guess", "weight": 0.5, "by": "coefficient"}]


@pytest.mark.parametrize("by", ["coefficient", "gradient_ratio"])
def test_a_term_of_weight_zero_leaves_the_base_bitwise_as_it_is(
    guessing, make_agent, random_batch, digest, by
):
    base, term = make_agent(), guessing(0.0, by)
    for update in range(3):
        batch = random_batch(2, 6, seed=update)
        for agent in (base, term):
            posteriors, _ = agent.train_world_model(batch)
            agent.train_behaviour(posteriors)
    assert digest(base.world_model.state_dict()) == digest(term.world_model.state_dict())
    assert digest(base.behaviour.state_dict()) == digest(term.behaviour.state_dict())
    optimisers = [agent.model_optimiser.adam.state_dict() for agent in (base, term)]
    assert digest(optimisers[0]) == digest(optimisers[1])


def test_a_coefficient_scales_what_the_term_adds_to_the_gradient(
    guessing, make_agent, random_batch
):
    batch = random_batch(2, 6)
    base, _ = step(make_agent(clip=1e9), batch)
    once, metrics = step(guessing(1.0, clip=1e9), batch)
    thrice, _ = step(guessing(3.0, clip=1e9), batch)
    assert float(metrics["guess/scale"]) == 1.0
    for zero, one, three in zip(base, once, thrice, strict=True):
        torch.testing.assert_close(three - zero, 3 * (one - zero), rtol=1e-3, atol=1e-4)
    assert not equal(base, once)


@pytest.mark.parametrize("weight", [0.1, 2.0])
def test_a_ratio_sets_the_length_of_the_terms_gradient_to_that_of_the_base(
    guessing, make_agent, random_batch, weight
):
    batch, plain = random_batch(2, 6), make_agent(clip=1e9)
    step(plain, batch)
    agent = guessing(weight, "gradient_ratio", clip=1e9)
    _, metrics = step(agent, batch)
    before, after = gradients(plain.world_model.encoder), gradients(agent.world_model.encoder)
    added = [b - a for a, b in zip(before, after, strict=True)]
    assert float(length(added) / length(before)) == pytest.approx(weight, rel=1e-3)
    untouched = gradients(plain.world_model.decoder)
    assert equal(untouched, gradients(agent.world_model.decoder))
    joint = guessing(float(metrics["guess/scale"]), clip=1e9)
    step(joint, batch)
    # the gradient of the sum with that scale as a coefficient: direction and length
    for network in (
        lambda a: a.loss_terms.losses["guess"].network,
        lambda a: a.world_model.encoder,
    ):
        for one, other in zip(*(gradients(network(a)) for a in (joint, agent)), strict=True):
            torch.testing.assert_close(
                one, other, rtol=1e-4, atol=1e-6 + 1e-4 * float(one.abs().max())
            )


def test_a_ratio_is_that_of_the_parameters_from_which_the_term_was_computed(
    guessing, make_agent, random_batch, monkeypatch
):
    # posterior states: all of the encoder, and the recurrent model but for what makes the prior
    def from_states(self, world_model, seen, uniforms):
        guess = seen.states.feat.square().sum() + self.network(seen.embed).sum()
        return guess + uniforms, {}

    monkeypatch.setattr(Guess, "forward", from_states)
    batch, plain = random_batch(2, 6), make_agent(clip=1e9)
    agent = guessing(0.3, "gradient_ratio", clip=1e9)
    for each in (plain, agent):
        step(each, batch)
    before, after = (
        {name: p.grad for name, p in each.world_model.named_parameters()}
        for each in (plain, agent)
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    kinds = {name.split(".")[0] for name in moved}
    still = {name for name in before if name.startswith("rssm") and name not in moved}
    assert kinds == {"encoder", "rssm"}
    assert still
    added = length([after[name] - before[name] for name in moved])
    assert float(added / length([before[name] for name in moved])) == pytest.approx(0.3, rel=1e-3)


def test_a_term_without_gradient_to_the_base_has_no_ratio(guessing, random_batch, monkeypatch):
    def apart(self, world_model, seen, uniforms):
        return self.network(seen.embed.detach()).sum(-1), {}

    monkeypatch.setattr(Guess, "forward", apart)
    step(guessing(), random_batch(2, 6))
    with pytest.raises(ValueError, match="guess is computed from no parameter of the world model"):
        step(guessing(by="gradient_ratio"), random_batch(2, 6))


def test_every_network_of_a_term_has_a_part_in_it(guessing, random_batch, monkeypatch):
    def forgetful(self, world_model, seen, uniforms):
        return seen.embed.square().sum(-1), {}

    monkeypatch.setattr(Guess, "forward", forgetful)
    with pytest.raises(ValueError, match="4 parameters of guess are not in its loss"):
        step(guessing(by="gradient_ratio"), random_batch(2, 6))


def test_the_networks_of_a_term_are_trained_by_an_optimiser_of_its_own(guessing, random_batch):
    agent = guessing()
    (loss,), (own,) = agent.loss_terms.losses.values(), agent.loss_terms.optimisers.values()
    assert [id(p) for p in own.parameters] == [id(p) for p in loss.network.parameters()]
    assert own.adam.param_groups[0]["lr"] == 1e-3
    theirs = {id(p) for p in agent.model_optimiser.parameters}
    assert not theirs & {id(p) for p in loss.parameters()}
    before = copy.deepcopy(loss.network.state_dict())
    _, metrics = step(agent, random_batch(2, 6))
    assert not equal(before.values(), loss.network.state_dict().values())
    assert float(metrics["guess/grad_norm"]) == pytest.approx(
        float(length(gradients(loss.network))), rel=1e-5
    )
    assert float(metrics["guess/loss"]) > 0
    assert float(metrics["guess/rows"]) == 5


def test_what_follows_takes_no_gradient_and_goes_a_part_of_the_way(guessing, random_batch):
    agent = guessing()
    (loss,) = agent.loss_terms.losses.values()
    start = [p.clone() for p in agent.world_model.encoder.parameters()]
    followed = list(loss.follower.parameters())
    assert equal(start, followed)
    step(agent, random_batch(2, 6))
    for old, new, target in zip(
        start, agent.world_model.encoder.parameters(), followed, strict=True
    ):
        assert target.grad is None
        torch.testing.assert_close(target, (1 - RATE) * old + RATE * new)


def test_a_moving_average_forgets_its_start_at_the_power_of_the_updates():
    source = torch.nn.Linear(3, 2)
    follower = Follower(source, 0.05)
    start = follower.network.weight.clone()
    torch.nn.init.constant_(source.weight, 1.0)
    for _ in range(10):
        follower.follow(source)
    expected = 1 + (start - 1) * (1 - 0.05) ** 10
    torch.testing.assert_close(follower.network.weight, expected)
    follower.follow(source, 1.0)
    assert torch.equal(follower.network.weight, source.weight)


def test_surgery_counts_the_networks_of_terms_as_heads(guessing, random_batch):
    agent = guessing()
    step(agent, random_batch(2, 6))
    (loss,), (own,) = agent.loss_terms.losses.values(), agent.loss_terms.optimisers.values()
    followed = [p.clone() for p in loss.follower.parameters()]
    operate(agent, [Operation(("heads",))], seed=9)
    fresh = agent.fresh(9).loss_terms.losses["guess"]
    assert equal(loss.network.parameters(), fresh.network.parameters())
    moments = [m for p in own.parameters for m in own.adam.state[p].values()]
    assert moments
    assert all(float(m.abs().sum()) == 0 for m in moments)
    assert equal(followed, loss.follower.parameters())


def test_what_surgery_touches_is_copied_into_what_follows_it(guessing, random_batch):
    agent = guessing()
    step(agent, random_batch(2, 6))
    (loss,) = agent.loss_terms.losses.values()
    assert not equal(loss.follower.parameters(), agent.world_model.encoder.parameters())
    operate(agent, [Operation(("encoder",), 0.8, 0.2)], seed=9)
    assert equal(loss.follower.parameters(), agent.world_model.encoder.parameters())


def test_terms_are_saved_with_the_agent(guessing, random_batch, digest):
    through, half = guessing(), guessing()
    for update in range(4):
        step(through, random_batch(2, 6, seed=update))
        if update < 2:
            step(half, random_batch(2, 6, seed=update))
    taken_up = guessing()
    taken_up.load_state_dict(half.state_dict())
    for update in (2, 3):
        step(taken_up, random_batch(2, 6, seed=update))
    assert digest(taken_up.state_dict()) == digest(through.state_dict())
    assert "guess" in through.state_dict()["loss_terms"]
