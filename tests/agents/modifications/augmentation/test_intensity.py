import pytest
import torch
from pydantic import ValidationError
from scipy.stats import norm

from agents.augmentation import AugmentedViews
from agents.modifications.augmentation.intensity import Intensity
from agents.views import View


def factors(images, settings, draws):
    """What the gray levels of a half-gray image are multiplied by."""
    (view,) = AugmentedViews(settings)([View(images, images)], draws)
    return (view.obs_in + 0.5) / (images + 0.5)


@pytest.fixture
def half():
    return torch.full((4, 3, 1, 16, 16), -0.25)


def test_the_factor_by_hand(half):
    draws = torch.tensor([0.5, norm.cdf(1.0), norm.cdf(-1.5), norm.cdf(3.0)]).float()[
        :, None, None
    ]
    factor = factors(half, Intensity(scale=0.1), draws)
    expected = torch.tensor([1.0, 1.1, 0.85, 1.2])  # three deviations count as two
    assert factor.shape == half.shape
    torch.testing.assert_close(factor, expected.view(4, 1, 1, 1, 1).expand_as(half))


def test_the_extreme_draws_are_two_deviations(half):
    draws = torch.tensor([0.0, 0.0, 1 - 2**-24, 1 - 2**-24])[:, None, None]
    factor = factors(half, Intensity(scale=0.1), draws)[:, 0, 0, 0, 0]
    torch.testing.assert_close(factor, torch.tensor([0.8, 0.8, 1.2, 1.2]))


def test_black_stays_black_whatever_the_factor(uniforms):
    black = torch.full((4, 3, 1, 16, 16), -0.5)
    (view,) = AugmentedViews(Intensity(scale=0.4))([View(black, black)], uniforms(4, 1, 1))
    assert torch.equal(view.obs_in, black)


def test_the_factors_are_normal_around_one(uniforms):
    images = torch.zeros(4_000, 1, 1, 1, 1)
    factor = factors(images, Intensity(scale=0.05), uniforms(4_000, 1, 1)).flatten()
    assert abs(float(factor.mean()) - 1) < 4 * 0.05 / 4_000**0.5
    # a normal number cut at two deviations has a standard deviation of 0.959
    assert float(factor.std()) == pytest.approx(0.05 * 0.959, rel=0.05)


def test_the_published_scale_is_the_default():
    assert Intensity().scale == 0.05
    assert Intensity(scale=0.0).is_identity


@pytest.mark.parametrize("settings", [{"scale": -0.1}, {"scale": 0.5}, {"scale": "0.1"}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValidationError):
        Intensity(**settings)
