"""train() on a real game, at micro size."""

import pytest

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.training import checkpoint as checkpoint_module
from agents.training import loop, recipe
from agents.training.checkpoint import CheckpointError, Checkpoints, load
from agents.training.environments.atari import AtariEnvironments
from agents.training.loop import DivergedError, train
from agents.training.recipe import BudgetTooSmallError
from agents.training.reports import (
    Dreams,
    Episode,
    Evaluation,
    Metrics,
    NotSaved,
    Progress,
    Saved,
    Timing,
)

PROTOCOL = Protocol(
    max_env_frames_per_episode=160,
    evaluation_episodes=1,
    final_evaluation_episodes=2,
    evaluate_every=500,
)
BUDGET = Budget(env_frames=1200, prefill_frames=240)


def run(seed=0, *, budget=BUDGET, protocol=PROTOCOL, game="Pong", how=None, **settings):
    settings = {"env_frames_per_update": 32} | settings
    parts = Parts(agent_config("micro", **settings))
    how = how or {}
    return list(train(parts, game=game, seed=seed, protocol=protocol, budget=budget, **how))


def told(reports):
    """All but what follows the clock on the wall; pictures as bytes, which can be compared."""
    comparable = []
    for report in reports:
        if isinstance(report, Dreams):
            arrays = {name: array.tobytes() for name, array in report.arrays.items()}
            comparable.append((report.env_frames, arrays))
        elif not isinstance(report, Progress | Timing | Saved):
            comparable.append(report)
    return comparable


@pytest.fixture(scope="module")
def reports():
    return run()


def of(kind, reports):
    return [report for report in reports if isinstance(report, kind)]


def losses(reports):
    """The metrics of updates, without the probes."""
    return [report for report in of(Metrics, reports) if "actor_loss" in report.values]


def test_env_frames_never_run_backwards(reports):
    frames = [report.env_frames for report in reports]
    assert frames == sorted(frames)
    assert frames[-1] == 1200
    updates = [report.updates for report in reports if isinstance(report, Progress | Metrics)]
    assert updates == sorted(updates)


def test_training_episodes_are_reported_when_they_end(reports):
    episodes = of(Episode, reports)
    # 300 agent steps in episodes that are cut after 40
    assert [episode.env_frames for episode in episodes] == [160 * k for k in range(1, 8)]
    assert all(episode.length == 40 and episode.truncated for episode in episodes)
    assert all(-5 <= episode.episode_return <= 5 for episode in episodes)


def test_evaluations_come_on_the_grid_and_the_final_one_last(reports):
    evaluations = of(Evaluation, reports)
    assert [(e.env_frames, e.final) for e in evaluations] == [
        (500, False),
        (1000, False),
        (1200, True),
    ]
    assert told(reports)[-2] is evaluations[-1]
    assert isinstance(reports[-1], Timing)
    assert [len(e.episodes) for e in evaluations] == [1, 1, 2]
    assert [episode.episode for episode in evaluations[-1].episodes] == [0, 1]
    assert all(episode.truncated for e in evaluations for episode in e.episodes)
    assert {e.policy for e in evaluations} == {"argmax"}


def test_metrics_cover_every_update_and_precede_the_evaluation(reports):
    metrics = losses(reports)
    # 2 of pre-training and (1200 - 240) / 32
    assert metrics[-1].updates == 32
    names = {"image_loss", "reward_loss", "discount_loss", "kl_loss", "actor_loss", "critic_loss"}
    assert all(names < report.values.keys() for report in metrics)
    before_evaluation = told(reports)[-3]
    assert isinstance(before_evaluation, Metrics)
    assert before_evaluation.env_frames == 1200


@pytest.fixture(scope="module")
def again():
    """The same run, told about at every turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PROGRESS_SECONDS", 0.0)
        return run()


def test_progress_tells_the_phases_in_order(again):
    phases = [report.phase for report in of(Progress, again)]
    assert phases[0] == "prefill"
    assert set(phases) == {"prefill", "train", "evaluate"}
    assert "prefill" not in phases[phases.index("train") :]


def test_the_same_seed_gives_the_same_reports_bit_by_bit(reports, again):
    assert told(again) == told(reports)


def test_another_seed_gives_others(reports):
    other = told(run(seed=1))
    assert len(other) == len(told(reports))
    metrics = zip(losses(other), losses(reports), strict=True)
    assert all(one.values != another.values for one, another in metrics)


def test_the_prefill_is_extended_until_an_episode_is_complete():
    protocol = PROTOCOL.model_copy(update={"max_env_frames_per_episode": 600})
    reports = run(budget=Budget(env_frames=760, prefill_frames=40), protocol=protocol)
    first = losses(reports)[0]
    assert first.updates == 2  # those of pre-training, told before the second step that follows
    assert first.env_frames == 604
    (prefill,) = (r for r in of(Metrics, reports) if "prefill_env_frames" in r.values)
    assert prefill.values == {"prefill_env_frames": 600.0}
    assert losses(reports)[-1].updates == 2 + 160 // 32


def test_a_budget_without_a_complete_episode_raises_and_closes_the_game(monkeypatch):
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    with pytest.raises(BudgetTooSmallError):
        run(budget=Budget(env_frames=120, prefill_frames=40))
    # an episode that is too short to be replayed does not count
    with pytest.raises(BudgetTooSmallError):
        run(budget=Budget(env_frames=400, prefill_frames=40), length=41)
    assert closed == [1, 1]


def test_the_game_is_closed_when_somebody_stops_listening(monkeypatch):
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    parts = Parts(agent_config("micro"))
    training = train(parts, game="Pong", seed=0, protocol=PROTOCOL, budget=BUDGET)
    next(training)
    training.close()
    assert closed == [1]


def test_no_env_frame_has_two_points_of_a_curve(reports):
    for kind in (Metrics, Timing):
        points = [(r.env_frames, name) for r in of(kind, reports) for name in r.values]
        assert len(points) == len(set(points))


def test_a_run_whose_losses_are_not_finite_is_stopped():
    with pytest.raises(DivergedError, match=r"image_loss.* not finite at update \d+"):
        run(model_lr=1e30)


def test_every_kind_of_curve_is_reported(reports):
    names = {name for report in of(Metrics, reports) for name in report.values}
    for expected in (
        *("image_loss", "reward_loss", "discount_loss", "kl_loss", "actor_loss", "critic_loss"),
        *("prior_entropy", "posterior_entropy", "actor_entropy"),
        *("imagined_value", "imagined_value_std", "imagined_return", "imagined_return_std"),
        *("model_grad_norm", "actor_grad_norm", "critic_grad_norm"),
        *("plasticity/encoder/drift", "plasticity/actor/saturation", "plasticity/deter/srank"),
    ):
        assert expected in names
    assert not any(name.startswith("validation/") for name in names)


def test_seconds_are_told_by_phase_and_add_up_to_no_more_than_the_time_that_passed(reports):
    seconds = {}
    for report in of(Timing, reports):
        assert report.values["env_frames_per_second"] >= 0
        assert report.values["updates_per_second"] >= 0
        for name, value in report.values.items():
            seconds[name] = seconds.get(name, 0.0) + value
    phases = {name for name in seconds if name.startswith("seconds/")}
    assert {f"seconds/{p}" for p in ("collect", "world_model", "behaviour", "evaluate")} <= phases


def test_the_seconds_of_the_final_evaluation_are_told_too(reports):
    *_, last = reports
    assert isinstance(last, Timing)
    assert len(of(Timing, reports)) > 10
    assert last.env_frames == BUDGET.env_frames
    assert last.values["seconds/evaluate"] > 0


def test_dreams_follow_every_evaluation(reports):
    spoken = [r for r in reports if isinstance(r, Evaluation | Dreams)]
    assert [type(report) for report in spoken] == [Evaluation, Dreams] * 3
    assert [report.env_frames for report in spoken] == [500, 500, 1000, 1000, 1200, 1200]


def test_drift_is_measured_from_the_start_of_the_run(reports):
    drifts = [
        report.values["plasticity/actor/drift"]
        for report in of(Metrics, reports)
        if "plasticity/actor/drift" in report.values
    ]
    assert len(drifts) > 10
    assert 0 < drifts[0] < drifts[-1]


# The validation split


SPLIT = {"validation_fraction": 0.3, "validation_rule": "deterministic", "validate_every": 4}


@pytest.fixture(scope="module")
def split_reports():
    return run(**SPLIT)


def test_with_a_split_validation_losses_and_open_loop_errors_are_reported(split_reports):
    names = {name for report in of(Metrics, split_reports) for name in report.values}
    terms = {"loss", "image_loss", "reward_loss", "discount_loss", "kl_loss"}
    terms |= {"open_loop_image_error_1", "open_loop_reward_error_1"}
    assert {f"validation/{term}" for term in terms} <= names


def test_how_often_validation_looks_changes_nothing_else(split_reports):
    other = run(**SPLIT | {"validate_every": 5})
    assert of(Evaluation, other) == of(Evaluation, split_reports)
    assert of(Episode, other) == of(Episode, split_reports)
    ours, theirs = (
        [
            {name: value for name, value in r.values.items() if "validation" not in name}
            for r in losses(each)
            if r.env_frames % 32 == 16
        ]
        for each in (other, split_reports)
    )
    assert ours == theirs


def test_without_a_split_its_settings_change_nothing(reports):
    other = run(validation_rule="deterministic", validate_every=4)
    assert told(other) == told(reports)


# Decoupled ratios


def test_equal_ratios_given_twice_are_the_coupled_run_bit_by_bit(reports):
    assert told(run(behaviour_frames_per_update=32.0)) == told(reports)


def test_more_updates_of_the_behaviour_than_of_the_model():
    reports = run(behaviour_frames_per_update=8.0)
    assert losses(reports)[-1].updates == 32
    assert all(isinstance(value, float) for value in losses(reports)[-1].values.values())


# Tasks other than Atari


@pytest.mark.parametrize("game", ["Catch", "gymnasium:CartPole-v1"])
def test_any_task_can_be_trained_on(game):
    reports = run(game=game, cross_episodes=True, budget=Budget(env_frames=400, prefill_frames=80))
    assert of(Evaluation, reports)[-1].final
    assert losses(reports)
    assert bool(of(Dreams, reports)) == (game == "Catch")


# Going on from a checkpoint


def interrupted(tmp_path, after, **settings):
    """What a run says until it is saved after `after` reports, and the checkpoint."""
    parts = Parts(agent_config("micro", **{"env_frames_per_update": 32} | settings))
    checkpoints = Checkpoints(tmp_path, "a" * 64)
    game = settings.pop("game", "Pong")
    training = train(
        parts, game=game, seed=0, protocol=PROTOCOL, budget=BUDGET, checkpoints=checkpoints
    )
    heard = []
    for report in training:
        heard.append(report)
        if len(told(heard)) == after:
            checkpoints.request()
        if isinstance(report, Saved):
            training.close()
            break
    return told(heard), load(report.path, identity="a" * 64, sha256=report.sha256)


@pytest.mark.parametrize("after", [1, 20, 60])
def test_a_run_that_is_taken_up_is_bitwise_the_run_that_was_not_interrupted(
    reports, tmp_path, after
):
    before, checkpoint = interrupted(tmp_path, after)
    rest = told(run(how={"resume": checkpoint}))
    assert before + rest == told(reports)


def test_splits_ratios_and_waiting_states_are_taken_up_too(tmp_path):
    settings = SPLIT | {"behaviour_frames_per_update": 48.0, "ongoing": True, "sampler": "steps"}
    before, checkpoint = interrupted(tmp_path, 30, **settings)
    rest = told(run(how={"resume": checkpoint}, **settings))
    assert before + rest == told(run(**settings))


def test_a_checkpoint_of_another_agent_is_refused(tmp_path):
    _, checkpoint = interrupted(tmp_path, 1)
    with pytest.raises(CheckpointError, match=r"(?s)does not fit this agent: .*size mismatch"):
        run(deter=17, how={"resume": checkpoint})


def test_a_run_that_waits_for_its_final_evaluation_is_taken_up(reports, tmp_path, monkeypatch):
    checkpoints, final = Checkpoints(tmp_path, "a" * 64), recipe.Evaluate(2, final=True)
    monkeypatch.setattr(loop, "_can_rest", lambda event, *_: event == final)
    checkpoints.request()
    (saved,) = of(Saved, run(how={"checkpoints": checkpoints}))
    rest = told(run(how={"resume": load(saved.path, identity="a" * 64)}))
    assert rest == told(reports)[-len(rest) :]
    assert isinstance(rest[-2], Evaluation)
    assert rest[-2].final


def test_a_checkpoint_in_pretraining_is_taken_up(tmp_path, monkeypatch):
    # whenever it is due: before every agent step, and before every update of pre-training
    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    settings = {
        "pretrain_world_model_updates": 4,
        "budget": Budget(env_frames=400, prefill_frames=240),
    }
    checkpoints = Checkpoints(tmp_path, "a" * 64)
    whole = run(how={"checkpoints": checkpoints}, **settings)
    at_240 = [report for report in of(Saved, whole) if report.env_frames == 240]
    assert len(at_240) == 6 + 1  # updates, and the step that follows
    monkeypatch.undo()
    for saved in at_240:
        rest = told(run(how={"resume": load(saved.path, identity="a" * 64)}, **settings))
        assert rest == told(whole[whole.index(saved) + 1 :])


def test_saving_changes_nothing(reports, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "SHARE", 1e9)
    checkpoints = Checkpoints(tmp_path, "a" * 64, every_seconds=0.05)
    saving = run(how={"checkpoints": checkpoints})
    assert of(Saved, saving)
    assert told(saving) == told(reports)


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_run_goes_on(reports, tmp_path):
    (tmp_path / "file").touch()
    checkpoints = Checkpoints(tmp_path / "file", "a" * 64)
    checkpoints.request()
    saving = run(how={"checkpoints": checkpoints})
    (failure,) = of(NotSaved, saving)
    assert "File exists" in failure.reason
    assert [r for r in told(saving) if not isinstance(r, NotSaved)] == told(reports)


def test_a_checkpoint_of_another_game_is_refused_and_the_game_closed(tmp_path, monkeypatch):
    _, checkpoint = interrupted(tmp_path, 4)
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    with pytest.raises(CheckpointError, match="does not come back"):
        run(game="SpaceInvaders", how={"resume": checkpoint})
    assert closed == [1]


def test_a_run_is_trained_on_the_device_that_it_is_given(monkeypatch):
    class Made(Exception):
        """Enough is known."""

    given = {}

    def agent(parts, observation, actions, streams, device, precision, execute):
        given["agent"] = device
        raise Made

    monkeypatch.setattr(loop, "Agent", agent)
    monkeypatch.setattr(loop, "Streams", lambda seed, device: given.setdefault("streams", device))
    monkeypatch.setattr(loop, "executor_on", lambda device: given.setdefault("executor", device))
    with pytest.raises(Made):
        run(game="Catch", how={"device": "a device"})
    assert given == dict.fromkeys(("streams", "executor", "agent"), "a device")
