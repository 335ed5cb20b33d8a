"""What holds for every augmentation, shown with the one whose effect is plainest."""

import pytest
import torch

from agents.augmentation import Augmentation, AugmentedViews
from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.modifications import REGISTRY
from agents.observation import Observation
from agents.parts import Parts
from agents.streams import Streams
from agents.views import View

ALL = [kind for kind in REGISTRY.values() if issubclass(kind, Augmentation)]


@pytest.fixture(params=ALL, ids=[kind.name for kind in ALL])
def kind(request):
    return request.param


def changed(kind, uniforms, *, B=400, T=3, **settings):
    """Which images differ from what they were."""
    transform = AugmentedViews(kind(**settings))
    images = torch.rand(B, T, 1, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.5
    draws = uniforms(*transform.uniforms_shape(B, T))
    (view,) = transform([View(images, images)], draws)
    return (view.obs_in != images).flatten(2).any(-1), view, images


def test_there_are_several():
    assert len(ALL) >= 3


def test_a_probability_transforms_that_share_of_the_sequences(kind, uniforms):
    always, _, _ = changed(kind, uniforms)
    moved, _, _ = changed(kind, uniforms, probability=0.3)
    assert (moved == moved[:, :1]).all()  # whole sequences
    share = 0.3 * float(always.float().mean())
    assert abs(float(moved.float().mean()) - share) < 4 * (0.21 / 400) ** 0.5


def test_frames_are_chosen_one_by_one_if_told_so(kind, uniforms):
    moved, _, _ = changed(kind, uniforms, probability=0.5, per="frame")
    assert (moved != moved[:, :1]).any()


def test_the_decoder_is_given_the_clean_image_unless_told_otherwise(kind, uniforms):
    _, view, images = changed(kind, uniforms)
    assert torch.equal(view.obs_target, images)
    _, view, _ = changed(kind, uniforms, target="augmented")
    assert torch.equal(view.obs_target, view.obs_in)


def test_certainty_takes_no_draw_of_its_own(kind):
    assert AugmentedViews(kind()).uniforms_shape(5, 7) == (5, 1, kind.draws)
    assert AugmentedViews(kind(probability=0.5)).uniforms_shape(5, 7) == (5, 1, kind.draws + 1)
    assert AugmentedViews(kind(per="frame")).uniforms_shape(5, 7) == (5, 7, kind.draws)


def test_the_default_probability_is_left_out_of_the_identity(kind):
    assert "probability" not in AugmentedViews(kind()).describe()
    assert AugmentedViews(kind(probability=0.5)).describe()["probability"] == 0.5


def test_a_probability_of_nothing_is_refused(kind):
    with pytest.raises(ValueError, match="greater than 0"):
        kind(probability=0.0)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 32, 32), (3, 16, 16)])
def test_images_of_every_size_and_colour_are_transformed(kind, shape, random_batch):
    parts = kind().install(Parts(agent_config("micro")))
    agent = Agent(parts, Observation(shape), 5, Streams(0))
    batch = random_batch(2, 6)
    picture = torch.randint(1, 255, (2, 6, *shape), dtype=torch.uint8, generator=torch.Generator())
    object.__setattr__(batch, "observation", picture)
    _, metrics = agent.train_world_model(batch)
    assert 0 < float(metrics[f"{kind.name}/inputs_changed"]) <= 1
