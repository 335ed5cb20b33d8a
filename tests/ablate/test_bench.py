import json
from dataclasses import replace

import pytest

from ablate import bench
from ablate.bench import BenchError, side_by_side, summary, sweep
from agents.benchmark import Cost, Workload

COST = Cost("cpu", 2.0, 1.5, 0.5, 4.0, 0.5, 8.0, 4.0, 16.0, 0.25, 100, 1e-3, 900.0, 1.0)


def test_runs_side_by_side_are_measured_in_processes_of_their_own() -> None:
    costs = side_by_side(Workload(size="micro", rounds=1), 2)
    assert len(costs) == 2
    assert all(cost.seconds_per_update > 0 for cost in costs)


def test_what_runs_do_together_is_the_sum_of_their_rates_on_the_wall() -> None:
    slower = replace(COST, seconds_per_update=4.0, wall_seconds_per_update=8.0)
    found = summary([COST, slower])
    assert found["runs"] == 2
    assert found["seconds_per_update"] == 3.0
    assert found["updates_per_second_together"] == 1 / 4 + 1 / 8
    assert found["peak_memory_bytes_together"] == 200
    assert found["clock"] == "cpu"


def test_a_sweep_changes_one_setting_at_a_time_and_measures_the_base_once(monkeypatch) -> None:
    asked: list[dict[str, int]] = []

    def measured(workload: Workload, runs: int) -> list[Cost]:
        asked.append(workload.settings)
        return [COST]

    monkeypatch.setattr(bench, "side_by_side", measured)
    points = list(sweep(Workload(size="atari", settings={"length": 20})))
    assert asked.count({"length": 20}) == 1
    assert len(asked) == len(points) - 3 == 13
    values = {
        name: [p.value for p in points if p.setting == name]
        for name in ("batch", "length", "deter", "horizon")
    }
    assert values == {
        "batch": [4, 8, 16, 32],
        "length": [5, 10, 20, 40],
        "deter": [150, 300, 600, 1200],
        "horizon": [4, 8, 15, 30],
    }
    assert {"length": 20, "deter": 150} in asked
    assert [(p.setting, p.value) for p in points if p.is_base] == [
        ("batch", 16),
        ("length", 20),
        ("deter", 600),
        ("horizon", 15),
    ]


def test_a_measurement_that_dies_is_an_error(monkeypatch) -> None:
    with pytest.raises(BenchError, match="ended before it had a result"):
        side_by_side(Workload(size="nothing of the kind"), 1)


def test_the_command_tells_the_numbers_that_were_promised(ablate, monkeypatch) -> None:
    monkeypatch.setattr(bench, "side_by_side", lambda workload, runs: [COST] * runs)
    result = ablate("bench", "--size", "micro", "--batch", "2", "--precision", "bf16", "--json")
    told = json.loads(result.output)
    assert told["settings"] == {"batch": 2}
    assert (told["size"], told["precision"], told["device"]) == ("micro", "bf16", "cpu")
    assert {name: told[name] for name in ("seconds_per_update", "peak_memory_bytes")} == {
        "seconds_per_update": 2,
        "peak_memory_bytes": 100,
    }
    promised = {"updates_per_second", "flop_per_update", "limit_flop_per_second"}
    promised |= {"fraction_of_limit", "seconds_per_policy_step", "env_steps_per_second"}
    assert promised <= told.keys()
    words = ablate("bench", "--runs", "2").output
    assert "updates per second of the processor" in words
    assert "all runs, updates per second of the wall" in words
    assert "25%" in words


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--size", "tinny"), "--size tinny is not known; nearest: tiny"),
        (("--precision", "fp16"), "--precision fp16 is not known"),
        (("--device", "gpu"), "--device gpu is not known"),
        (("--sweep", "--runs", "2"), "leave out --runs"),
        (("--output", "figure"), "add --sweep"),
    ],
)
def test_what_cannot_be_measured_is_refused(ablate, options, problem) -> None:
    result = ablate("bench", *options)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_a_sweep_is_drawn(ablate, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(bench, "side_by_side", lambda workload, runs: [COST])
    result = ablate("bench", "--size", "micro", "--sweep", "--output", str(tmp_path / "cost"))
    assert result.exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"cost.{ending}" for ending in ("svg", "pdf", "png", "csv")
    }
