import copy
import dataclasses
import io

import numpy as np
import pytest
import torch

from agents.config import agent_config
from agents.dreamer import world_model as world_model_module
from agents.dreamer.agent import Agent
from agents.dreamer.distributions import one_hot_sample
from agents.dreamer.imagination import ACTION, LATENT, Imagination
from agents.dreamer.world_model import Posteriors, normalised, one_hot_actions
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.process import set_up_process
from agents.views import View


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def parameters(agent):
    return [*agent.world_model.parameters(), *agent.behaviour.parameters()]


def update(agent, batch):
    posteriors, metrics = agent.train_world_model(batch)
    return metrics | agent.train_behaviour(posteriors)


def image_and_flag(N, seed=0, *, is_first=1.0):
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (N, 1, 64, 64), dtype=np.uint8))
    return image, torch.full((N,), is_first)


def test_the_paper_sized_agent_has_the_papers_parameters():
    agent = Agent(Parts(agent_config("atari")), ATARI, 18, Streams(0))
    model, behaviour = agent.world_model, agent.behaviour
    assert count(model.encoder) == 1_549_776
    assert count(model.rssm) == 5_664_848
    assert count(model.decoder) == 10_497_553
    assert count(model.reward) == count(model.discount) == 1_131_601
    assert count(model) == 19_975_379
    assert count(behaviour.actor) == 1_138_418
    assert count(behaviour.critic) == count(behaviour.target_critic) == 1_131_601
    trainable = [p for p in parameters(agent) if p.requires_grad]
    assert sum(p.numel() for p in trainable) == 22_245_398
    optimised = [p for optimiser in agent.optimisers for p in optimiser.parameters]
    assert {id(p) for p in optimised} == {id(p) for p in trainable}
    assert len(optimised) == len(trainable)


def test_each_optimiser_has_its_learning_rate_and_they_share_clip_and_eps():
    agent = Agent(Parts(agent_config("micro", clip=7.0, adam_eps=1e-4)), ATARI, 3, Streams(0))
    optimisers = agent.optimisers
    assert [o.adam.param_groups[0]["lr"] for o in optimisers] == [2e-4, 4e-5, 1e-4]
    assert [o.clip for o in optimisers] == [7.0] * 3
    assert [o.adam.param_groups[0]["eps"] for o in optimisers] == [1e-4] * 3
    assert [len(o.adam.param_groups) for o in optimisers] == [1] * 3


def test_one_seed_makes_one_agent_and_every_module_has_its_own_weights(make_agent, digest):
    def state(seed):
        agent = make_agent(seed)
        return digest([agent.world_model.state_dict(), agent.behaviour.state_dict()])

    assert state(3) == state(3) != state(4)
    agent = make_agent()
    critic, target = agent.behaviour.critic, agent.behaviour.target_critic
    reward, discount = agent.world_model.reward, agent.world_model.discount
    for one, other in ((critic, target), (reward, discount), (critic, reward)):
        assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


def test_another_width_of_one_module_moves_no_other_modules_weights(make_agent):
    base, wide = make_agent(), make_agent(hidden=31)
    assert count(base.world_model.rssm) != count(wide.world_model.rssm)
    for one, other in (
        (base.world_model.decoder, wide.world_model.decoder),
        (base.world_model.encoder, wide.world_model.encoder),
        (base.behaviour.actor, wide.behaviour.actor),
    ):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)


def test_all_that_is_trained_lives_on_the_device_that_was_given():
    agent = Agent(Parts(agent_config("micro")), ATARI, 5, Streams(0), "meta", "bf16")
    networks = agent.world_model, *agent.behaviours
    assert {p.device.type for network in networks for p in network.parameters()} == {"meta"}
    assert {p.device.type for one in agent.optimisers for p in one.parameters} == {"meta"}
    groups = [group for one in agent.optimisers for group in one.adam.param_groups]
    assert all(group["capturable"] and not group["fused"] for group in groups)


def test_nothing_draws_from_the_global_generators(make_agent, random_batch):
    def positions():
        legacy = np.random.get_state()  # noqa: NPY002
        # not the standard library's: beartype, which checks shapes in tests, draws from it
        return torch.get_rng_state().tolist(), legacy[1].tolist(), legacy[2]

    before = positions()
    agent = make_agent()
    update(agent, random_batch(2, 6))
    state = agent.act(*image_and_flag(3), agent.begin(3), stream="acting")
    agent.act(*image_and_flag(3), state, stream="acting", argmax=True)
    assert positions() == before


def test_an_update_moves_every_trained_parameter_and_reports_its_losses(make_agent, random_batch):
    agent = make_agent()
    before = [p.detach().clone() for p in parameters(agent)]
    metrics = update(agent, random_batch(2, 6))
    for parameter, old in zip(parameters(agent), before, strict=True):
        assert not torch.equal(parameter, old)  # the target critic by its first copy
    names = {"image_loss", "reward_loss", "discount_loss", "kl_loss", "actor_loss", "critic_loss"}
    assert names < metrics.keys()
    assert all(value.ndim == 0 and value.isfinite() for value in metrics.values())
    assert not any(value.requires_grad for value in metrics.values())


def test_each_update_moves_its_own_networks(make_agent, random_batch, digest):
    agent = make_agent()

    def state():
        parts = agent.world_model, agent.behaviour.actor, agent.behaviour.critic
        return [digest(part.state_dict()) for part in parts]

    start = state()
    posteriors, _ = agent.train_world_model(random_batch(2, 6))
    model_moved = state()
    assert [a == b for a, b in zip(start, model_moved, strict=True)] == [False, True, True]
    agent.train_behaviour(posteriors)
    assert [a == b for a, b in zip(model_moved, state(), strict=True)] == [True, False, False]


def test_the_target_is_copied_after_the_updates_that_the_interval_divides(
    make_agent, random_batch
):
    agent = make_agent(target_every=3)
    posteriors, _ = agent.train_world_model(random_batch(2, 6))

    def target():
        return [p.clone() for p in agent.behaviour.target_critic.parameters()]

    copied = []
    for _ in range(8):
        before = target()
        agent.train_behaviour(posteriors)
        critic = agent.behaviour.critic.parameters()
        is_critic = all(torch.equal(a, b) for a, b in zip(target(), critic, strict=True))
        is_old = all(torch.equal(a, b) for a, b in zip(target(), before, strict=True))
        assert is_critic != is_old
        copied.append(is_critic)
    # update numbers 0, 3, 6
    assert copied == [True, False, False, True, False, False, True, False]


def test_the_target_is_copied_every_hundred_updates_by_default(make_agent, monkeypatch):
    agent, copies = make_agent(), []
    monkeypatch.setattr(
        agent.behaviour, "copy_target", lambda: copies.append(agent.behaviour.updates)
    )
    latent = agent.world_model.rssm.initial(2)
    start = Posteriors(latent, torch.zeros(2))
    for _ in range(202):
        agent.train_behaviour(start)
    assert copies == [0, 100, 200]


def test_dreams_use_the_updated_model_and_start_from_the_posteriors_of_the_loss(
    make_agent, random_batch, monkeypatch
):
    agent, seen = make_agent(), []
    batch = random_batch(2, 6)
    posteriors, _ = agent.train_world_model(batch)
    reference = make_agent()
    image = normalised(batch.observation)
    draws = Streams(0).uniforms("world_model", 2, 6, 4)
    expected = reference.world_model.losses([View(image, image)], batch, draws)[2].posteriors
    assert torch.equal(posteriors.state.deter, expected.state.deter)  # of the model before

    dream = Imagination.dream

    def spy(imagination, policy, uniforms):
        seen.append((imagination, uniforms))
        return dream(imagination, policy, uniforms)

    monkeypatch.setattr(Imagination, "dream", spy)
    agent.train_behaviour(posteriors)
    (imagination, uniforms), *others = seen
    assert not others
    assert imagination.world_model is agent.world_model
    started = imagination.start  # every one of the B x T states
    assert started.state.stoch is posteriors.state.stoch
    assert started.state.deter is posteriors.state.deter
    assert started.is_terminal is posteriors.is_terminal
    assert uniforms[LATENT].shape == (4, 12, 4)
    assert uniforms[ACTION].shape == (4, 12)


def test_acting_filters_the_observation_and_draws_from_actor_and_posterior(make_agent, perturb):
    agent = make_agent()
    perturb(agent.world_model, 0.2), perturb(agent.behaviour.actor, 0.3)
    image, is_first = image_and_flag(3)
    start = agent.begin(3)
    assert not start.latent.feat.any()
    first = agent.act(image, is_first, start, stream="acting")

    streams = Streams(0)
    rssm = agent.world_model.rssm
    with torch.no_grad():
        embed = agent.world_model.encoder(normalised(image))
        none = torch.zeros(3, 5)
        latent = rssm.obs_step(
            start.latent, none, embed, is_first, streams.uniforms("acting", 3, 4)
        )
        choice = one_hot_sample(agent.behaviour.actor(latent.feat), streams.uniforms("acting", 3))
    assert torch.equal(first.latent.feat, latent.feat)
    assert torch.equal(first.action, choice.argmax(-1))
    assert not first.latent.feat.requires_grad

    image, running = image_and_flag(3, 1, is_first=0.0)
    second = agent.act(image, running, first, stream="acting")
    with torch.no_grad():
        embed = agent.world_model.encoder(normalised(image))
        latent = rssm.obs_step(latent, choice, embed, running, streams.uniforms("acting", 3, 4))
    assert torch.equal(second.latent.feat, latent.feat)


def test_a_new_episode_forgets_state_and_action(make_agent, perturb):
    agent, again = make_agent(), make_agent()
    for each in (agent, again):
        perturb(each.world_model, 0.2)
    image, is_first = image_and_flag(2)
    past = agent.act(*image_and_flag(2, 1), agent.begin(2), stream="elsewhere")
    past = dataclasses.replace(past, action=torch.tensor([4, 3]))
    state = agent.act(image, is_first, past, stream="acting")
    fresh = again.act(image, is_first, again.begin(2), stream="acting")
    assert torch.equal(state.latent.feat, fresh.latent.feat)
    assert torch.equal(state.action, fresh.action)


def test_argmax_is_the_most_probable_action_in_a_state_that_is_still_sampled(make_agent, perturb):
    agent = make_agent()
    perturb(agent.world_model, 0.2), perturb(agent.behaviour.actor, 0.3)
    image, is_first = image_and_flag(1)
    image, is_first = image.expand(64, -1, -1, -1), is_first.expand(64)
    state = agent.act(image, is_first, agent.begin(64), stream="evaluation", argmax=True)
    scores = agent.behaviour.actor(state.latent.feat)
    assert torch.equal(state.action, scores.argmax(-1))
    assert len(state.latent.stoch.unique(dim=0)) > 1  # one image, many latent states


def test_six_updates_a_restore_and_six_more_are_twelve(make_agent, random_batch, digest):
    batches = [random_batch(2, 6, seed=k) for k in range(12)]
    whole, first = make_agent(target_every=5), make_agent(target_every=5)
    for batch in batches:
        update(whole, batch)
    for batch in batches[:6]:
        update(first, batch)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make_agent(seed=99, target_every=5)
    second.streams = Streams(0)
    second.load_state_dict(torch.load(file))
    assert digest(second.state_dict()) == digest(first.state_dict())
    for batch in batches[6:]:
        update(second, batch)
    assert digest(second.state_dict()) == digest(whole.state_dict())


def test_a_state_that_was_taken_earlier_is_put_back(make_agent, random_batch, digest):
    agent = make_agent()
    update(agent, random_batch(2, 6))
    state = agent.state_dict()
    then = digest(state)
    after = update(agent, random_batch(2, 6, seed=1))
    agent.load_state_dict(state)
    assert digest(agent.state_dict()) == then
    again = update(agent, random_batch(2, 6, seed=1))
    assert {name: float(value) for name, value in again.items()} == {
        name: float(value) for name, value in after.items()
    }


def test_an_agent_restored_from_another_does_not_share_its_memory(
    make_agent, random_batch, digest
):
    source, copied = make_agent(), make_agent()
    update(source, random_batch(2, 6))
    copied.load_state_dict(source.state_dict())
    before = digest(source.state_dict())
    update(copied, random_batch(2, 6, seed=1))
    assert digest(source.state_dict()) == before


@pytest.fixture
def products_of_a_run():
    before = torch.get_float32_matmul_precision()
    set_up_process()
    yield
    torch.set_float32_matmul_precision(before)


def relative_errors(single, double):
    for (name, a), (_, b) in zip(
        single.named_parameters(), double.named_parameters(), strict=True
    ):
        if a.requires_grad:
            yield name, float((a.grad.double() - b.grad).norm() / b.grad.norm())


@pytest.mark.usefixtures("products_of_a_run")
def test_single_precision_gradients_are_exact_to_five_digits(random_batch, uniforms, monkeypatch):
    # the one-hot actions are made in single precision; follow the model's instead
    monkeypatch.setattr(
        world_model_module,
        "one_hot_actions",
        lambda action, actions: one_hot_actions(action, actions).to(precision),
    )
    batch, image = random_batch(4, 6), None
    draws, latent, action = uniforms(4, 6, 8), uniforms(5, 24, 8), uniforms(5, 24)
    single = Agent(Parts(agent_config("tiny")), ATARI, 5, Streams(0))
    agents, feats = (single, copy.deepcopy(single)), []
    agents[1].world_model.double(), agents[1].behaviour.double()
    for agent, precision in zip(agents, (torch.float32, torch.float64), strict=True):
        image = normalised(batch.observation).to(precision)
        terms, _, seen = agent.world_model.losses([View(image, image)], batch, draws)
        agent.world_model.total(terms).backward()
        imagination = Imagination(agent.world_model, seen.posteriors)
        trajectory = imagination.dream(agent.behaviour.act, {LATENT: latent, ACTION: action})
        feats.append(trajectory.feat.double())
        targets = agent.behaviour.targets(trajectory)
        agent.behaviour.actor_loss(trajectory, targets)[0].backward()
        agent.behaviour.critic_loss(trajectory, targets).backward()
    # the same samples were drawn, so the gradients are comparable
    torch.testing.assert_close(feats[0], feats[1], rtol=1e-4, atol=1e-5)
    for part in ("world_model", "behaviour"):
        for name, error in relative_errors(*(getattr(agent, part) for agent in agents)):
            assert error < 1e-5, (part, name, error)
