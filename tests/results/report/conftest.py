"""Studies as a report meets them: with agents, with failures, unfinished."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from results.statistics.study_data import StudyData

TRACEBACK = (
    'Traceback (most recent call last):\n  File "worker.py", line 3, in <module>\n'
    "RuntimeError: <b>out of memory</b>\n"
)


def with_agents(data: StudyData) -> StudyData:
    """Gives every arm an agent whose settings follow from its toggles."""
    arms = []
    for arm in data.study.arms:
        agent = {
            "config": {
                "env_frames_per_update": 4.0 if "ratio" in arm.toggles else 16.0,
                "lr": 1e-4,
            },
            "views": [{"name": "random_shift", "pad": 3}] if "augmentation" in arm.toggles else [],
        }
        arms.append(dataclasses.replace(arm, agent=json.dumps(agent)))
    return dataclasses.replace(data, study=dataclasses.replace(data.study, arms=tuple(arms)))


@pytest.fixture
def finished_data(noisy_data) -> StudyData:
    """A finished study."""
    return with_agents(noisy_data)


@pytest.fixture
def unfinished_data(make_data: Callable[..., StudyData], make_study, additive_score) -> StudyData:
    """One run has failed, one runs, one waits."""
    missing = [("full", "Pong", 0), ("full", "Pong", 1), ("base", "Assault", 2)]
    score = additive_score({"augmentation": 0.2, "ratio": 0.5}, noise=0.2)
    data = with_agents(make_data(make_study(), score, missing=missing))
    runs = data.runs.copy()
    first, second, _ = runs.index[runs["state"] == "queued"]
    runs.loc[first, ["state", "error", "attempts"]] = ["failed", TRACEBACK, 2]
    runs.loc[second, ["state", "attempts"]] = ["running", 1]
    return dataclasses.replace(data, runs=runs)
