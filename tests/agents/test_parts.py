from dataclasses import dataclass
from itertools import product

import pytest
import torch
from pydantic import ValidationError

from agents.config import agent_config
from agents.dreamer.actor_critic import ActorCritic
from agents.parts import AssemblyError, Parts
from agents.views import View, ViewTransform


class Mirrored:
    name = "mirrored"

    def __init__(self, by):
        self.by = by

    def uniforms_shape(self, batch, length):
        return (batch, 1)

    def __call__(self, views, uniforms):
        return [View(self.by - view.obs_in, view.obs_target) for view in views]

    def describe(self):
        return {"by": self.by}


def test_an_edit_leaves_the_original_as_it_was():
    parts = Parts(agent_config("micro"))
    before = parts.describe()
    edited = parts.with_settings("ratio", gamma=0.9).with_view(Mirrored(0.5))
    assert parts == Parts(agent_config("micro"))
    assert parts.describe() == before
    assert edited.config.gamma == 0.9
    assert [view.name for view in edited.views] == ["mirrored"]


def test_two_modifications_cannot_set_one_value():
    parts = Parts(agent_config("micro")).with_settings("first", gamma=0.9)
    with pytest.raises(AssemblyError, match="second and first both set gamma"):
        parts.with_settings("second", gamma=0.99)
    with pytest.raises(AssemblyError, match="second and first both set gamma"):
        parts.with_settings("second", batch=3, gamma=0.9)
    assert parts.with_settings("second", batch=3).config.batch == 3


def test_an_edited_value_is_checked_like_any_other():
    parts = Parts(agent_config("micro"))
    with pytest.raises(ValidationError):
        parts.with_settings("ratio", gamma=2.0)
    with pytest.raises(ValidationError):
        parts.with_settings("ratio", gama=0.9)


def test_parts_describe_alike_however_they_were_made():
    edited = Parts(agent_config("micro")).with_settings("ratio", env_frames_per_update=8)
    written = Parts(agent_config("micro", env_frames_per_update=8.0))
    assert edited.describe() == written.describe()
    assert edited.describe() != Parts(agent_config("micro")).describe()


def test_views_are_described_in_order_with_their_settings():
    parts = Parts(agent_config("micro")).with_view(Mirrored(0.5)).with_view(Mirrored(0.25))
    assert parts.describe()["views"] == [
        {"name": "mirrored", "by": 0.5},
        {"name": "mirrored", "by": 0.25},
    ]
    assert isinstance(parts.views[0], ViewTransform)


def test_a_chain_of_views_is_applied_from_left_to_right(make_agent, random_batch, monkeypatch):
    seen = []
    parts = Parts(agent_config("micro")).with_view(Mirrored(0.5)).with_view(Mirrored(0.25))
    agent = make_agent(parts=parts)
    losses = agent.world_model.losses
    monkeypatch.setattr(
        agent.world_model,
        "losses",
        lambda views, batch, uniforms: seen.extend(views) or losses(views, batch, uniforms),
    )
    batch = random_batch(2, 6)
    agent.train_world_model(batch)
    clean = batch.observation.float() / 255 - 0.5
    assert len(seen) == 1
    assert torch.equal(seen[0].obs_in, 0.25 - (0.5 - clean))
    assert torch.equal(seen[0].obs_target, clean)


@dataclass(frozen=True)
class Idle:
    """A rule by which nothing is learned."""

    name = "idle"

    def uniforms_shapes(self, config, starts):
        return {"idle/x": (starts,)}

    def update(self, learner, imagination, uniforms):
        return {"idle": uniforms["idle/x"].sum()}

    def describe(self):
        return {}


@dataclass(frozen=True)
class Untaught:
    """Another behaviour as a whole: one that learns nothing."""

    name = "untaught"

    def build(self, config, actions, streams, device):
        return ActorCritic(config, actions, streams, device, Idle())

    def describe(self):
        return {}


def test_the_behaviour_is_a_slot_and_its_rule_a_component(make_agent, random_batch, digest):
    base = Parts(agent_config("micro"))
    assert "behaviour" not in base.describe()
    for parts, behaviour in (
        (base.with_rule("one", Idle()), {"name": "actor_critic", "rule": {"name": "idle"}}),
        (base.with_behaviour("one", Untaught()), {"name": "untaught"}),
    ):
        assert parts.describe() == base.describe() | {"behaviour": behaviour}
        agent = make_agent(parts=parts)
        posteriors, _ = agent.train_world_model(random_batch(2, 6))
        before = digest(agent.behaviour.actor.state_dict())
        assert set(agent.train_behaviour(posteriors)) == {"idle"}
        assert digest(agent.behaviour.actor.state_dict()) == before
        assert agent.streams.state_dict().keys() == {"world_model", "idle/x"}


def test_two_modifications_cannot_both_say_how_the_agent_learns_to_behave():
    edits = [
        lambda parts, by: parts.with_rule(by, Idle()),
        lambda parts, by: parts.with_behaviour(by, Untaught()),
    ]
    for first, second in product(edits, repeat=2):
        parts = first(Parts(agent_config("micro")), "one")
        with pytest.raises(AssemblyError, match="two and one both say how"):
            second(parts, "two")


def test_a_behaviour_can_be_built_twice_on_streams_of_its_own(make_agent, digest):
    agent, parts = make_agent(), Parts(agent_config("micro"))
    before = digest(agent.streams.state_dict())
    second = parts.behaviour.build(
        parts.config, agent.behaviour.actions, agent.streams.within("second"), "cpu"
    )
    assert digest(agent.streams.state_dict()) == before
    for tag in ("actor", "critic"):
        for one, other in zip(agent.behaviour.networks(tag), second.networks(tag), strict=True):
            assert digest(one.state_dict()) != digest(other.state_dict())
    for one, other in zip(
        agent.behaviour.optimisers.values(), second.optimisers.values(), strict=True
    ):
        assert not {id(p) for p in one.parameters} & {id(p) for p in other.parameters}
