"""Budget: how many env_frames the runs of a study see, written out or scaled with the updates."""

from collections.abc import Iterator
from typing import Literal

from ablate.study import LARGEST_NUMBER, SCALED, StudyFile, check_budget
from agents.config import AgentConfig, Budget, scaled_budget

Key = Literal["env_frames", "prefill_frames"]

LARGEST_RATIO = LARGEST_NUMBER / 1_000_000
"""The env_frames_per_update up to which a scaled budget is a number that can be stored."""


def resolve_budget(file: StudyFile, config: AgentConfig) -> tuple[Budget, tuple[str, ...]]:
    """The budget of every run, and what the user should know about it.

    A budget that is "scaled" follows from the base agent, so that all arms of a study see the
    same number of frames.

    Args:
        file: The study.
        config: The base agent.

    Raises:
        StudyError: If the budget is scaled with a ratio that gives none, or if it leaves no frame
            to train in.
    """
    env_frames = _frames(file, "env_frames", config)
    prefill_frames = _frames(file, "prefill_frames", config)
    check_budget(file.path, env_frames, prefill_frames)
    budget = Budget(env_frames=env_frames, prefill_frames=prefill_frames)
    return budget, tuple(_messages(file, budget, config))


def _frames(file: StudyFile, key: Key, config: AgentConfig) -> int:
    written = file.study.env_frames if key == "env_frames" else file.study.prefill_frames
    if isinstance(written, int):
        return written
    ratio = config.env_frames_per_update
    if ratio > LARGEST_RATIO:
        problem = f"cannot be scaled with env_frames_per_update = {ratio:g};"
        raise file.error(key, f"{problem} write a number of env frames.")
    scaled = scaled_budget(ratio)
    return scaled.env_frames if key == "env_frames" else scaled.prefill_frames


def _messages(file: StudyFile, budget: Budget, config: AgentConfig) -> Iterator[str]:
    ratio = f"scaled with env_frames_per_update = {config.env_frames_per_update:g}"
    if file.study.env_frames == SCALED:
        yield f"env_frames = {budget.env_frames:,}, {ratio}"
    if file.study.prefill_frames == SCALED:
        yield f"prefill_frames = {budget.prefill_frames:,}, {ratio}"
