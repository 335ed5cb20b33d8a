"""A whole run that is recorded and replayed is the run that is not, with checkpoints and a lag."""

import pytest

from agents.config import Budget, Protocol, agent_config
from agents.execution.executor import Graphed
from agents.parts import Parts
from agents.training import acting, loop
from agents.training.checkpoint import Checkpoints, load
from agents.training.reports import Dreams, Metrics, Progress, Saved, Timing

PROTOCOL = Protocol(evaluation_episodes=1, final_evaluation_episodes=2, evaluation_policy="sample")
BUDGET = Budget(env_frames=304, prefill_frames=240)
SETTINGS = {"env_frames_per_update": 16, "cross_episodes": True, "ongoing": True}
SETTINGS |= {"model_lr": 0.01, "actor_lr": 0.1}  # so that each update changes what is done


@pytest.fixture
def lived(monkeypatch, device, adam_of_an_accelerator):
    """Trains on Catch; graphed, or operation by operation."""

    def lived(lag, *, graphed=False, **how):
        parts = Parts(agent_config("micro", collection_lag=lag, **SETTINGS))
        with monkeypatch.context() as patch:
            if graphed:
                for module in (loop, acting):
                    patch.setattr(module, "executor_on", lambda where: Graphed(device))
            reports = loop.train(
                parts, game="Catch", seed=0, protocol=PROTOCOL, budget=BUDGET, **how
            )
            return [one for one in reports if not isinstance(one, Progress | Timing | Dreams)]

    return lived


@pytest.mark.parametrize("lag", [0, 1])
def test_a_graphed_run_is_the_run_even_if_it_was_interrupted(
    lived, device, tmp_path, monkeypatch, lag
):
    plain = lived(lag)
    due = iter([False] * 70 + [True] + [False] * 1000)  # before an agent step
    checkpoints = Checkpoints(tmp_path, "a" * 64)
    monkeypatch.setattr(checkpoints, "due", lambda: next(due))
    reports = lived(lag, graphed=True, checkpoints=checkpoints)
    (saved,) = (one for one in reports if isinstance(one, Saved))
    assert 240 < saved.env_frames < 304
    before, after = reports[: reports.index(saved)], reports[reports.index(saved) + 1 :]
    assert before + after == plain
    # batch, world model, behaviour, policy in training, and in evaluation of one and of two
    assert device.recorded == 6
    rest = lived(lag, graphed=True, resume=load(saved.path, identity="a" * 64))
    assert rest == after
    assert sum(isinstance(one, Metrics) for one in rest) > 2


def test_a_lagging_run_is_another_run(lived):
    assert lived(0) != lived(1)
