import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from agents.augmentation import AugmentedViews
from agents.modifications.augmentation.cutout import Cutout
from agents.views import View

LARGEST = 1 - 2**-24


def hidden(settings, draws, *, side=8, frames=1):
    """Which pixels of white images are not white any more; those are mid gray."""
    white = torch.full((len(draws), frames, 2, side, side), 0.5)
    (view,) = AugmentedViews(settings)([View(white, white)], draws)
    assert set(view.obs_in.unique().tolist()) <= {0.0, 0.5}
    assert torch.equal(view.obs_in[:, :, 0], view.obs_in[:, :, 1])  # channels alike
    return view.obs_in[:, :, 0] == 0.0


def test_a_square_by_hand():
    # the centre is pixel (3, 5): floor(8 x 0.4), floor(8 x 0.7)
    gone = hidden(Cutout(size=3), torch.tensor([[[0.4, 0.7]]]))[0, 0]
    assert gone.nonzero().tolist() == [[i, j] for i in (2, 3, 4) for j in (4, 5, 6)]


def test_an_even_square_has_its_centre_below_the_middle():
    gone = hidden(Cutout(size=2), torch.tensor([[[0.4, 0.7]]]))[0, 0]
    assert gone.nonzero().tolist() == [[i, j] for i in (2, 3) for j in (4, 5)]


def test_part_of_it_may_lie_outside():
    corners = torch.tensor([[[0.0, 0.0]], [[LARGEST, LARGEST]], [[0.0, LARGEST]]])
    gone = hidden(Cutout(size=4), corners)[:, 0]
    assert gone.sum((1, 2)).tolist() == [2 * 2, 3 * 3, 2 * 3]


def test_centres_are_uniform_over_the_pixels(uniforms):
    gone = hidden(Cutout(size=1), uniforms(6_400, 1, 2))
    assert (gone.sum((2, 3)) == 1).all()
    assert chisquare(gone.sum((0, 1)).flatten().double()).pvalue > 0.01


def test_a_square_as_large_as_twice_the_image_hides_all_of_a_small_one():
    assert hidden(Cutout(size=16), torch.tensor([[[0.5, 0.5]]])).all()


def test_without_a_size_it_is_the_identity():
    assert Cutout(size=0).is_identity
    assert not Cutout().is_identity


@pytest.mark.parametrize("settings", [{"size": -1}, {"size": 65}, {"size": 8.0}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValidationError):
        Cutout(**settings)
