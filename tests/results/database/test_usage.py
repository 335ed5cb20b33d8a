from __future__ import annotations

from datetime import timedelta

import pytest

from results.database.attempts import AttemptWriter
from results.database.processes import ProcessRecord
from results.database.queue import claim, register_worker
from results.database.usage import Stretch, Usage, costs, usage

HOUR = 3600.0
GPU = ("box", "cuda:0")


def test_a_run_alone_on_a_gpu_costs_its_time():
    assert costs([Stretch(1, GPU, True, 0, 2 * HOUR)]) == {1: Usage(gpu_hours=2.0)}


def test_runs_that_share_a_gpu_share_its_time():
    found = costs(
        [
            Stretch(1, GPU, True, 0, 3 * HOUR),
            Stretch(2, GPU, True, 1 * HOUR, 3 * HOUR),
            Stretch(3, GPU, True, 2 * HOUR, 3 * HOUR),
        ]
    )
    assert found[1].gpu_hours == pytest.approx(1 + 1 / 2 + 1 / 3)
    assert found[2].gpu_hours == pytest.approx(1 / 2 + 1 / 3)
    assert found[3].gpu_hours == pytest.approx(1 / 3)
    assert sum(one.gpu_hours for one in found.values()) == pytest.approx(3.0)


def test_a_pause_between_two_attempts_costs_nothing():
    found = costs([Stretch(1, GPU, True, 0, HOUR), Stretch(1, GPU, True, 5 * HOUR, 6 * HOUR)])
    assert found == {1: Usage(gpu_hours=2.0)}


def test_runs_on_other_devices_and_on_the_cpu_share_nothing():
    found = costs(
        [
            Stretch(1, GPU, True, 0, HOUR),
            Stretch(2, ("box", "cuda:1"), True, 0, HOUR),
            Stretch(3, ("box", "cpu"), False, 0, HOUR),
            Stretch(4, ("box", "cpu"), False, 0, HOUR),
        ]
    )
    assert found[1] == found[2] == Usage(gpu_hours=1.0)
    assert found[3] == found[4] == Usage(cpu_hours=1.0)


def test_an_attempt_on_a_clock_that_was_set_back_costs_nothing():
    stretches = [Stretch(1, GPU, True, HOUR, 0), Stretch(2, ("b", "cpu"), False, HOUR, 0)]
    assert costs(stretches).get(1, Usage()) == Usage()
    assert costs(stretches)[2] == Usage()


def test_every_arm_of_a_study_has_its_cost_lost_tries_included(engine, submitted, clock):
    process = ProcessRecord(host="box", machine="m", pid=7, started_at=1.0)
    for device in ("cuda:0", "cpu"):
        worker = register_worker(engine, device=device, slot=0, process=process, clock=clock)
        writer = AttemptWriter(engine, claim(engine, worker, clock=clock), clock=clock)
        clock.now += timedelta(hours=2)
        writer.release("stopped")
    found = usage(engine, "smoke")
    assert found.keys() == {"base", "base+ratio", "full"}
    assert found["base"] == Usage(gpu_hours=2.0, cpu_hours=2.0)
    assert found["full"] == Usage()
