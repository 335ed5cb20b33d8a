"""The traps of the specification, each with the test that fails if the agent falls into it.

What other implementations of DreamerV2 do, or what is easily read otherwise; the tests stand where
the trapped module is tested, those that belong to none of them below. This list is checked: a test
that it names exists.

Replay (1.2)
    an episode of n steps has n rows ............. test_an_episode_of_n_steps_has_n_plus_one_rows
    short episodes are kept, or padded ........... test_an_episode_that_is_too_short_is_dropped_and_its_rows_are_used_again
    the running episode is sampled ............... test_an_episode_that_has_not_ended_cannot_be_seen
    episodes are drawn by their lengths .......... test_episodes_are_equally_likely_whatever_their_lengths
    every start is equally likely ................ test_the_start_is_uniform_over_the_rows_and_then_clipped
    a time limit is stored as an end ............. test_the_rows_of_a_sequence_are_those_that_were_added
    rewards are stored squashed .................. test_rewards_are_stored_raw
    a sequence carries a state on ................ test_every_sequence_starts_from_the_zero_state_and_no_other_row_does
                                                   test_a_sequence_starts_from_zero
    the first row's action is used ............... test_the_action_into_the_first_row_of_an_episode_is_ignored
    settings of later agents are on .............. test_what_the_official_code_does_not_do_is_off

World-model loss (1.5)
    errors are averaged over pixels, or whole .... test_the_terms_are_negative_log_likelihoods_without_their_constants
    rewards are not squashed by tanh ............. test_the_reward_loss_is_half_the_squared_distance_to_tanh_of_the_reward
    the first rows are masked .................... test_every_row_is_trained_those_that_start_an_episode_included
    the discount is learned as 0 or 1 ............ test_a_terminal_row_moves_the_discount_loss_by_its_logit
                                                   test_the_terms_are_negative_log_likelihoods_without_their_constants
    the discount's scale is not 5 ................ test_the_default_scales_are_those_of_the_official_code
    the KL balance is turned around .............. test_the_balance_is_the_share_of_the_gradient_that_moves_the_prior
    free nats per state, or per categorical ...... test_free_nats_are_compared_with_the_mean_over_batch_and_time
    a head does not teach the representation ..... test_every_term_teaches_encoder_and_recurrence
    latents by Gumbel-softmax, or with unimix .... test_the_straight_through_sample_is_the_sample_with_the_gradient_of_the_softmax
                                                   test_a_class_without_probability_is_never_drawn

Behaviour (1.6)
    dreams start from some states only ........... test_the_posteriors_are_every_state_row_after_row_without_gradient
    from posteriors of another pass or model ..... test_dreams_use_the_updated_model_and_start_from_the_posteriors_of_the_loss
    the start's discount is the model's .......... test_a_dream_starts_from_the_given_states
    a reward is that of the state that is left ... test_rewards_and_discounts_are_those_of_the_state_that_is_entered
    gamma is multiplied on top ................... test_rewards_and_discounts_are_those_of_the_state_that_is_entered
    rewards one index off; weights one index off;
      the fast critic in targets or baseline;
      the entropy without its weight ............. test_the_losses_are_those_of_the_specification
                                                   test_three_steps_by_hand
    terminal starts are masked ................... test_a_terminal_start_trains_its_first_action_unless_corrected
    the last states train an action .............. test_the_last_action_is_trained_by_the_corrected_targets_alone
    a gradient runs through the dream ............ test_a_dream_has_the_written_shapes_and_no_gradient
                                                   test_each_update_moves_its_own_networks
    the target critic is copied late, or mixed ... test_the_target_is_copied_after_the_updates_that_the_interval_divides

Optimisers and acting (1.7)
    another order of clip, decay and Adam ........ test_a_step_clips_then_decays_then_descends_by_adam
    the decay is scaled by the learning rate ..... test_the_decay_is_a_millionth_whatever_the_learning_rate
    one optimiser, or some weights without ....... test_each_optimiser_has_its_learning_rate_and_they_share_clip_and_eps
                                                   test_the_paper_sized_agent_has_the_papers_parameters
    actions are perturbed (also RajGhugare19) .... test_a_certain_actor_is_never_overruled
    evaluation uses the mode of the state ........ test_argmax_is_the_most_probable_action_in_a_state_that_is_still_sampled

Ports (1.9)
    thesis: FIRE after a reset ................... test_nobody_presses_fire_after_a_reset
    thesis: hard ends, times gamma ............... test_a_terminal_row_moves_the_discount_loss_by_its_logit
                                                   test_rewards_and_discounts_are_those_of_the_state_that_is_entered
    thesis: no reward loss on first rows ......... test_every_row_is_trained_those_that_start_an_episode_included
    thesis: lambda returns begin at v_{H-1} ...... test_the_bootstrap_is_the_value_of_the_last_state
    thesis: 15 % of the episodes are withheld .... test_what_the_official_code_does_not_do_is_off
    thesis: half precision, scaled losses ........ test_the_optimisers_are_given_the_losses_as_they_are
    sheeprl: gamma .995, batch 32, scale .5 ...... test_the_defaults_are_those_of_the_official_code
    pydreamer: clip 200, gamma .995, length 48 ... test_the_defaults_are_those_of_the_official_code
    pydreamer: states carried between batches .... test_a_batch_leaves_nothing_behind_for_the_next
    pydreamer: standard advantage ................ test_the_losses_are_those_of_the_specification
    pydreamer: colours ........................... test_observations_are_single_gray_frames_of_64_pixels
    pydreamer: updates as fast as they come ...... test_update_k_comes_as_soon_as_k_times_e_frames_have_passed
    RajGhugare19: epsilon-greedy actions ......... test_a_certain_actor_is_never_overruled
"""  # noqa: E501

import re
from pathlib import Path

import torch

from agents.config import AgentConfig
from agents.dreamer.loss_terms import LossTerms
from agents.dreamer.optimiser import Optimiser
from agents.observation import ATARI

TESTS = Path(__file__).parents[1]


def test_every_named_test_exists():
    named = set(re.findall(r"\btest_\w+", __doc__))
    defined = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 40
    assert named <= defined, named - defined


def test_what_the_official_code_does_not_do_is_off():
    config = AgentConfig()
    assert not config.ongoing
    assert not config.cross_episodes
    assert config.sampler == "episodes"
    assert config.validation_fraction == 0
    assert config.pretrain_world_model_updates == 0
    assert config.behaviour_ratio == config.env_frames_per_update
    assert not config.corrected_targets
    assert config.free_nats == 0


def test_a_certain_actor_is_never_overruled(make_agent):
    agent, N = make_agent(), 500
    agent.behaviour.actor.forward = lambda feat: 100 * torch.eye(5)[3].expand(len(feat), -1)
    images = torch.zeros(N, *ATARI.shape, dtype=ATARI.dtype)
    state = agent.act(images, torch.ones(N), agent.begin(N), stream="acting")
    assert (state.action == 3).all()


def test_a_batch_leaves_nothing_behind_for_the_next(make_agent, random_batch):
    # hardly anything is learned, so what was seen before cannot matter
    agents = [make_agent(model_lr=1e-30, decay=0.0) for _ in range(2)]
    batch, other = random_batch(2, 6), random_batch(2, 6, seed=1)
    for agent, before in zip(agents, (batch, other), strict=True):
        agent.train_world_model(before)
    states = [agent.train_world_model(batch)[0].state for agent in agents]
    torch.testing.assert_close(states[0].feat, states[1].feat)


def test_the_optimisers_are_given_the_losses_as_they_are(make_agent, random_batch, monkeypatch):
    agent, given = make_agent(), []

    def spied(step):
        def spy(optimiser, loss, *rest):
            assert loss.dtype == torch.float32
            assert not torch.is_autocast_enabled("cpu")
            given.append(loss.detach())
            return step(optimiser, loss, *rest)

        return spy

    for owner in (LossTerms, Optimiser):
        monkeypatch.setattr(owner, "step", spied(owner.step))
    posteriors, model = agent.train_world_model(random_batch(2, 6))
    behaviour = agent.train_behaviour(posteriors)
    terms = {name: value for name, value in model.items() if name.endswith("_loss")}
    assert given == [
        agent.world_model.total(terms),
        behaviour["actor_loss"],
        behaviour["critic_loss"],
    ]
    assert all(p.dtype == torch.float32 for p in agent.world_model.parameters())
    assert all(p.dtype == torch.float32 for p in agent.behaviour.parameters())
