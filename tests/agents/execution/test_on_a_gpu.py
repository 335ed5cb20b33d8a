"""What only a GPU can show. Their twins on the CPU are in the other files of this folder."""

import pytest
import torch
from torch.utils._pytree import tree_map_only

from agents.config import Budget, Protocol, agent_config
from agents.execution.cuda import CudaGraphs
from agents.execution.devices import executor_on
from agents.execution.executor import Eager
from agents.modifications import REGISTRY
from agents.parts import Parts
from agents.training.checkpoint import Checkpoints, load
from agents.training.loop import train
from agents.training.process import set_up_gpu
from agents.training.reports import Dreams, Progress, Saved, Timing

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(autouse=True)
def _exact():
    precision = torch.get_float32_matmul_precision()
    set_up_gpu()
    yield
    torch.set_float32_matmul_precision(precision)


def parameters(pupil):
    optimisers = pupil.agent.optimisers
    return [p.detach().cpu() for optimiser in optimisers for p in optimiser.parameters]


def at_one_point(make_pupil, parts, precision="fp32"):
    """On the GPU with graphs that are recorded, on it without, and on the CPU: all alike."""
    graphed = make_pupil(parts, executor_on("cuda"), where="cuda", precision=precision)
    graphed.live()
    state = tree_map_only(torch.Tensor, torch.Tensor.cpu, graphed.agent.state_dict())
    waiting = graphed.learner.state_dict()
    others = []
    for where in ("cuda", "cpu"):
        other = make_pupil(parts, Eager(), where=where, precision=precision)
        other.replay.load_state_dict(graphed.replay.state_dict())
        other.agent.load_state_dict(state)
        other.learner.load_state_dict(waiting)
        other.state, other.rng = other.agent.begin(1), graphed.rng
        others.append(other)
    graphed.state = graphed.agent.begin(1)
    return graphed, *others


def test_what_a_graph_gives_stays_when_an_earlier_one_is_replayed():
    graphs, numbers = CudaGraphs(torch.device("cuda")), torch.rand(1 << 20, device="cuda")

    def with_much_in_between():
        return (numbers * 2.0 + 1.0).sqrt().sum()

    graphs.rehearse(with_much_in_between)
    replay_first, _ = graphs.record(with_much_in_between)
    replay_second, given = graphs.record(lambda: numbers + 1.0)
    replay_second()
    before = given.clone()
    replay_first()
    assert torch.equal(given, before)
    assert torch.equal(given, numbers + 1.0)


@pytest.mark.parametrize("modification", [None, *REGISTRY.values()], ids=lambda m: m and m.name)
def test_one_update_is_the_same_graphed_or_not_and_on_the_cpu(modification, make_pupil, parts_of):
    graphed, eager, cpu = at_one_point(make_pupil, parts_of(modification))  # a warning: an error
    for each in (graphed, eager, cpu):
        each.update()
    for other in (eager, cpu):
        for name, value in graphed.told[-1].items():
            torch.testing.assert_close(value.cpu(), other.told[-1][name].cpu(), **CLOSE)
        torch.testing.assert_close(parameters(graphed), parameters(other), **CLOSE)


def test_a_step_of_the_policy_is_the_same_graphed_or_not_and_on_the_cpu(make_pupil):
    graphed, eager, cpu = at_one_point(make_pupil, Parts(agent_config("micro")))
    image = torch.from_numpy(graphed.image())
    acted = [
        each.agent.act(
            image.to(each.where), torch.zeros(1, device=each.where), each.state, stream="acting"
        )
        for each in (graphed, eager, cpu)
    ]
    for other in acted[1:]:
        assert torch.equal(acted[0].action.cpu(), other.action.cpu())
        assert torch.equal(acted[0].latent.stoch.cpu(), other.latent.stoch.cpu())
        torch.testing.assert_close(acted[0].latent.deter.cpu(), other.latent.deter.cpu(), **CLOSE)


def test_bf16_is_graphed_with_masters_and_losses_in_fp32(make_pupil):
    graphed, eager, _ = at_one_point(make_pupil, Parts(agent_config("micro")), "bf16")
    for each in (graphed, eager):
        each.update()
    assert {p.dtype for p in parameters(graphed)} == {torch.float32}
    assert {value.dtype for value in graphed.told[-1].values()} == {torch.float32}
    for name, value in graphed.told[-1].items():
        torch.testing.assert_close(value, eager.told[-1][name], **CLOSE)


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_on_a_gpu_that_is_taken_up_is_bitwise_the_run_that_was_not_interrupted(
    tmp_path, monkeypatch, lag, precision
):
    settings = {"env_frames_per_update": 8, "cross_episodes": True, "collection_lag": lag}

    def lived(**how):
        reports = train(
            Parts(agent_config("micro", **settings)),
            game="Catch",
            seed=0,
            protocol=Protocol(evaluation_episodes=1, final_evaluation_episodes=2),
            budget=Budget(env_frames=400, prefill_frames=240),
            device="cuda",
            precision=precision,
            **how,
        )
        return [one for one in reports if not isinstance(one, Progress | Timing | Dreams)]

    due = iter([False] * 80 + [True] + [False] * 1000)
    checkpoints = Checkpoints(tmp_path, "a" * 64)
    monkeypatch.setattr(checkpoints, "due", lambda: next(due))
    reports = lived(checkpoints=checkpoints)
    (saved,) = (one for one in reports if isinstance(one, Saved))
    before, after = reports[: reports.index(saved)], reports[reports.index(saved) + 1 :]
    assert lived() == before + after
    assert lived(resume=load(saved.path, identity="a" * 64)) == after
