import dataclasses
import math

import pytest
import torch

from agents.dreamer.world_model import normalised
from agents.observation import Observation
from agents.training.open_loop import open_loop
from agents.training.validation import validate
from agents.views import View

B, T = 3, 20
TERMS = ("reward_loss", "discount_loss", "kl_loss")


@pytest.fixture
def model(make_agent, perturb):
    return perturb(make_agent().world_model, 0.05)


@pytest.fixture
def batch(random_batch):
    return random_batch(B, T)


@pytest.fixture
def draws(uniforms):
    return uniforms(B, T, 4)


def starting_at(batch, *rows):
    """A copy of the batch with episodes starting at (sequence, row)."""
    is_first = batch.is_first.clone()
    for row in rows:
        is_first[row] = True
    return dataclasses.replace(batch, is_first=is_first)


def names(*distances, kind="image"):
    errors = {f"open_loop_{of}_error_{k}" for of in (kind, "reward") for k in distances}
    return {f"validation/{name}" for name in {*errors, *TERMS, "loss"}}


def test_the_terms_are_those_of_training_and_the_loss_is_their_scaled_sum(model, batch, draws):
    target = normalised(batch.observation)
    terms, _, _ = model.losses([View(target, target)], batch, draws)
    measured = validate(model, batch, draws)
    for name, term in terms.items():
        assert torch.equal(measured[f"validation/{name}"], term.detach())
    by_hand = terms["image_loss"] + terms["reward_loss"]
    by_hand = by_hand + 5 * terms["discount_loss"] + 0.1 * terms["kl_loss"]
    torch.testing.assert_close(measured["validation/loss"], by_hand.detach())


@pytest.mark.parametrize(
    ("length", "distances"), [(20, (1, 5, 15)), (19, (1, 5)), (10, (1, 5)), (9, (1, 5)), (2, (1,))]
)
def test_predictions_are_judged_at_every_distance_that_fits(
    make_agent, random_batch, uniforms, length, distances
):
    measured = validate(make_agent().world_model, random_batch(2, length), uniforms(2, length, 4))
    assert measured.keys() == names(*distances) | {"validation/image_loss"}


def test_vectors_are_told_from_images(make_agent, random_batch, uniforms):
    model = make_agent(observation=Observation((7,))).world_model
    batch = dataclasses.replace(random_batch(2, 12), observation=uniforms(2, 12, 7))
    measured = validate(model, batch, uniforms(2, 12, 4))
    assert measured.keys() == names(1, 5, kind="observation") | {"validation/vector_loss"}


def test_a_gray_picture_and_no_reward_are_half_and_three_fifths_off(model, batch, draws):
    # 0 predicted everywhere; white is 0.5, so 0.25 per pixel; tanh(ln 2) = 3/5, tanh(-ln 2) = -3/5
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    reward = torch.full((B, T), math.log(2))
    reward[1:] *= -1
    white = torch.full_like(batch.observation, 255)
    measured = validate(model, dataclasses.replace(batch, observation=white, reward=reward), draws)
    for k in (1, 5, 15):
        assert float(measured[f"validation/open_loop_image_error_{k}"]) == pytest.approx(0.25)
        assert float(measured[f"validation/open_loop_reward_error_{k}"]) == pytest.approx(0.6)


def by_hand(model, batch, draws, k, sequences):
    """The errors k rows after a context of 5, of some sequences."""
    with torch.no_grad():
        states, _ = model.filter(batch, draws)
        rows = open_loop(model, batch, states, draws, context=5, end=T)
        image, reward = 0.0, 0.0
        for b in sequences:
            feat = rows.feat[b, k - 1]
            seen = batch.observation[b, 5 + k - 1].float() / 255 - 0.5
            image += float((model.decoder(feat[None])[0] - seen).pow(2).mean()) / len(sequences)
            arrived = math.tanh(batch.reward[b, 5 + k - 1])
            reward += abs(float(model.reward(feat[None])) - arrived) / len(sequences)
    return image, reward


@pytest.mark.parametrize("k", [1, 5, 15])
def test_the_errors_are_those_of_the_row_that_far_from_the_context(model, batch, draws, k):
    image, reward = by_hand(model, batch, draws, k, range(B))
    measured = validate(model, batch, draws)
    assert float(measured[f"validation/open_loop_image_error_{k}"]) == pytest.approx(image)
    assert float(measured[f"validation/open_loop_reward_error_{k}"]) == pytest.approx(reward)


@pytest.mark.parametrize("row", [6, 9])
def test_sequences_in_which_an_episode_starts_before_are_left_out(model, batch, draws, row):
    batch = starting_at(batch, (1, row))
    measured = validate(model, batch, draws)
    for k, sequences in ((1, (0, 1, 2)), (5, (0, 2)), (15, (0, 2))):
        image, reward = by_hand(model, batch, draws, k, sequences)
        assert float(measured[f"validation/open_loop_image_error_{k}"]) == pytest.approx(image)
        assert float(measured[f"validation/open_loop_reward_error_{k}"]) == pytest.approx(reward)


def test_a_start_within_the_context_or_after_the_row_leaves_nothing_out(model, batch, draws):
    batch = starting_at(batch, (1, 4), (2, 10))
    measured = validate(model, batch, draws)
    image, _ = by_hand(model, batch, draws, 5, range(B))
    assert float(measured["validation/open_loop_image_error_5"]) == pytest.approx(image)


def test_a_distance_that_no_sequence_reaches_is_left_out(model, batch, draws):
    batch = starting_at(batch, *((b, 8) for b in range(B)))
    assert validate(model, batch, draws).keys() == names(1) | {"validation/image_loss"}


def test_validation_leaves_the_model_as_it_is(model, batch, draws, digest):
    before = digest(model.state_dict())
    measured = validate(model, batch, draws)
    assert digest(model.state_dict()) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(value.requires_grad for value in measured.values())
    assert digest(validate(model, batch, draws)) == digest(measured)
