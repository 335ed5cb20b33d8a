import pytest
import torch
from pydantic import ValidationError

from agents.config import agent_config
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
