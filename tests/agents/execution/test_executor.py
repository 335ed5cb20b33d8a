import pytest
import torch

from agents.execution.executor import REHEARSALS, Eager, Executor, Graphed, Recorder


@pytest.fixture
def counted(device):
    """A graphed executor, and a program that adds to what it is given and to what it keeps."""
    kept, calls = torch.zeros(2), []

    def program(inputs):
        calls.append(1)
        kept.add_(inputs["x"])
        return {"twice": 2 * inputs["x"], "sum": kept * 1}

    return Graphed(device), program, kept, calls


def told(outputs):
    return {name: value.tolist() for name, value in outputs.items()}


def test_both_are_executors_and_the_pretended_device_is_a_recorder(device):
    assert isinstance(Eager(), Executor)
    assert isinstance(Graphed(device), Executor)
    assert isinstance(device, Recorder)


def test_the_program_is_called_for_the_rehearsals_and_the_recording_and_never_again(
    counted, device
):
    execute, program, kept, calls = counted
    for call in range(1, 8):
        outputs = execute("add", program, {"x": torch.full((2,), float(call))})
        assert told(outputs) == {"twice": 2 * [2.0 * call], "sum": 2 * [call * (call + 1) / 2]}
    assert len(calls) == REHEARSALS + 1
    assert (device.rehearsed, device.recorded, device.replayed) == (REHEARSALS, 1, 5)
    assert kept.tolist() == [28.0, 28.0]


def test_the_outputs_lie_where_they_lay(counted):
    execute, program, _, _ = counted
    outputs = [execute("add", program, {"x": torch.full((2,), 1.0)}) for _ in range(5)]
    assert outputs[REHEARSALS] is outputs[-1]


def test_other_shapes_and_other_names_are_other_programs(device):
    execute = Graphed(device)
    for _ in range(REHEARSALS + 1):
        for size in (2, 3):
            for name in ("double", "triple"):
                factor = {"double": 2.0, "triple": 3.0}[name]
                x = torch.full((size,), 5.0)
                made = execute(name, lambda inputs, by=factor: by * inputs["x"], {"x": x})
                assert made.tolist() == size * [5.0 * factor]
    assert device.recorded == 4


def test_what_replaces_a_tensor_is_not_seen_until_everything_is_forgotten(device):
    execute, box = Graphed(device), [torch.ones(1)]

    def program(inputs):
        return box[0] * inputs["x"]

    def now():
        return execute("scale", program, {"x": torch.ones(1)}).item()

    before = [now() for _ in range(REHEARSALS + 2)]
    box[0].fill_(2.0)
    assert (before[-1], now()) == (1.0, 2.0)  # what changes in place is seen
    box[0] = torch.full((1,), 7.0)
    assert now() == 2.0
    execute.forget()
    assert [now() for _ in range(REHEARSALS + 2)] == (REHEARSALS + 2) * [7.0]


def test_a_program_that_waits_for_a_number_goes_on_operation_by_operation_with_one_warning(
    device,
):
    execute, kept = Graphed(device), torch.zeros(1)

    def waits(inputs):
        kept.add_(1.0)
        return inputs["x"] * kept.item()

    x = {"x": torch.ones(1)}
    made = [execute("waits", waits, x).item() for _ in range(REHEARSALS)]
    with pytest.warns(RuntimeWarning, match="waits cannot be recorded.*_local_scalar_dense"):
        made.append(execute("waits", waits, x).item())
    made += [execute("waits", waits, x).item() for _ in range(2)]
    assert made == [1.0, 2.0, 3.0, 4.0, 5.0]
    for _ in range(REHEARSALS + 1):
        execute("waits too", waits, x)  # a second warning would be an error


def test_the_warning_names_what_went_wrong_first():
    class Broken:
        def rehearse(self, work):
            return work()

        def record(self, work):
            try:
                raise RuntimeError("a number was waited for")
            finally:
                raise RuntimeError("the recording was invalidated")

    execute = Graphed(Broken())
    for _ in range(REHEARSALS):
        execute("p", dict, {"x": torch.ones(1)})
    with pytest.warns(RuntimeWarning, match="Why: a number was waited for"):
        execute("p", dict, {"x": torch.ones(1)})


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        torch.nonzero,
        lambda x: torch.masked_select(x, x > 0),
        lambda x: x + torch.tensor([1.0]),
        torch.rand_like,
        lambda x: torch.rand(3),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(device, refused):
    x = torch.randn(4)
    with pytest.raises(RuntimeError):
        device.record(lambda: refused(x))
