import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare
from torch.nn import functional as F

from agents.augmentation import AugmentedViews
from agents.config import Budget, agent_config
from agents.modifications.augmentation.random_shift import RandomShift, shift
from agents.parts import Parts
from agents.views import View

LARGEST = 1 - 2**-24


def noise(B, T, seed=0):
    return torch.rand(B, T, 1, 64, 64, generator=torch.Generator().manual_seed(seed)) - 0.5


def padded_then_cropped(image, pad, dy, dx):
    padded = F.pad(image, (pad, pad, pad, pad), mode="replicate")
    return padded[..., pad + dy : pad + dy + 64, pad + dx : pad + dx + 64]


def coordinates(B, T):
    """Images that say which pixel is which: 64 i + j."""
    return torch.arange(64.0 * 64).view(64, 64).expand(B, T, 1, 64, 64)


def offsets_of(shifted):
    centre = shifted[:, :, 0, 32, 32].long()
    return torch.stack([centre // 64 - 32, centre % 64 - 32], -1)


def link(**settings):
    return AugmentedViews(RandomShift(**settings))


def apply(transform, image, uniforms):
    (view,) = transform([View(image, image)], uniforms)
    return view


@pytest.mark.parametrize("pad", [1, 3, 10])
def test_a_shift_is_a_crop_of_the_image_with_its_border_repeated(pad):
    image = noise(1, 1)
    for dy in range(-pad, pad + 1, max(1, pad // 2)):
        for dx in range(-pad, pad + 1, max(1, pad // 2)):
            moved = shift(image, torch.tensor([[[dy, dx]]]))
            assert torch.equal(moved[0, 0], padded_then_cropped(image[0], pad, dy, dx)[0])


def test_a_shift_by_hand():
    image = torch.arange(9.0).view(1, 1, 1, 3, 3)
    down_left = shift(image, torch.tensor([[[1, -1]]]))
    assert down_left[0, 0, 0].tolist() == [[3, 3, 4], [6, 6, 7], [6, 6, 7]]


def test_each_image_has_its_own_offset_and_channels_share_it():
    image = noise(2, 3).expand(2, 3, 2, 64, 64)
    offsets = torch.tensor([[[0, 1], [2, -3], [0, 0]], [[-3, 3], [1, 1], [3, 0]]])
    moved = shift(image, offsets)
    for b in range(2):
        for t in range(3):
            expected = padded_then_cropped(image[b, t, None], 3, *offsets[b, t].tolist())
            assert torch.equal(moved[b, t], expected[0])


def test_a_constant_image_stays_as_it_is():
    image = torch.full((2, 3, 1, 64, 64), 0.25)
    view = apply(link(pad=5), image, torch.rand(2, 1, 2, generator=torch.Generator()))
    assert torch.equal(view.obs_in, image)


@pytest.mark.parametrize("per", ["sequence", "frame"])
def test_offsets_are_uniform_over_the_square(per, uniforms):
    B, T = (1500, 1) if per == "sequence" else (300, 5)
    transform = link(pad=2, per=per)
    draws = uniforms(*transform.uniforms_shape(B, T))
    offsets = offsets_of(apply(transform, coordinates(B, T), draws).obs_in).view(-1, 2)
    cells = (offsets[:, 0] + 2) * 5 + offsets[:, 1] + 2
    assert offsets.abs().max() == 2
    assert chisquare(torch.bincount(cells, minlength=25).double()).pvalue > 0.01


@pytest.mark.parametrize("pad", [*range(1, 64, 7), 63])
def test_the_extreme_draws_are_the_extreme_offsets(pad):
    draws = torch.tensor([[[0.0, 0.0]], [[LARGEST, LARGEST]], [[0.0, LARGEST]]])
    image = noise(3, 1)
    moved = apply(link(pad=pad), image, draws).obs_in
    for b, (dy, dx) in enumerate([(-pad, -pad), (pad, pad), (-pad, pad)]):
        expected = padded_then_cropped(image[b], pad, dy, dx)
        assert torch.equal(moved[b], expected)


def test_a_sequence_shares_one_offset_and_sequences_differ(uniforms):
    transform = link(pad=3)
    assert transform.uniforms_shape(40, 6) == (40, 1, 2)
    offsets = offsets_of(apply(transform, coordinates(40, 6), uniforms(40, 1, 2)).obs_in)
    assert (offsets == offsets[:, :1]).all()
    assert len(offsets[:, 0].unique(dim=0)) > 10


def test_frames_have_their_own_offsets_if_told_so(uniforms):
    transform = link(pad=3, per="frame")
    assert transform.uniforms_shape(4, 30) == (4, 30, 2)
    offsets = offsets_of(apply(transform, coordinates(4, 30), uniforms(4, 30, 2)).obs_in)
    assert all(len(sequence.unique(dim=0)) > 10 for sequence in offsets)


@pytest.mark.parametrize("target", ["clean", "augmented"])
def test_the_decoder_is_given_the_clean_or_the_shifted_frame(target, uniforms):
    image = noise(5, 2)
    view = apply(link(pad=3, target=target), image, uniforms(5, 1, 2))
    assert not torch.equal(view.obs_in, image)
    assert torch.equal(view.obs_target, image if target == "clean" else view.obs_in)


def test_every_view_is_shifted_by_the_same_draw(uniforms):
    image = coordinates(4, 2)
    views = link(pad=3)([View(image, image), View(image + 0.25, image)], uniforms(4, 1, 2))
    assert torch.equal(views[1].obs_in, views[0].obs_in + 0.25)


def test_without_padding_the_parts_are_the_bases():
    parts = Parts(agent_config("micro"))
    assert RandomShift(pad=0, per="frame", target="augmented").install(parts) == parts
    assert RandomShift.null(parts.config).install(parts) == parts


def test_the_published_pad_of_4_on_84_pixels_is_3_on_64():
    assert RandomShift().pad == round(4 * 64 / 84) == 3
    assert RandomShift().target == "clean"
    assert RandomShift().per == "sequence"


@pytest.mark.parametrize(
    "settings", [{"pad": -1}, {"pad": 64}, {"pad": "4"}, {"per": "batch"}, {"paddd": 3}]
)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValidationError):
        RandomShift(**settings)


def test_it_acts_from_the_first_update_on():
    budget = Budget(env_frames=4000, prefill_frames=400)
    assert RandomShift().first_action(agent_config("micro"), budget) == 400


def test_it_never_acts_where_there_is_no_update():
    budget = Budget(env_frames=2000, prefill_frames=400)
    rare = {"pretrain_updates": 0, "env_frames_per_update": 1600.0}
    assert RandomShift().first_action(agent_config("micro", **rare), budget) == 2000
    rare["env_frames_per_update"] = 1604.0
    assert RandomShift().first_action(agent_config("micro", **rare), budget) == math.inf
