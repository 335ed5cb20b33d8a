"""How a plan and a submission are put into words."""

from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from ablate.assembled import ResolvedModification
from ablate.cli.output import table
from ablate.devices import Device
from ablate.planner import Plan
from ablate.progress import amount, counted, duration
from results.database.records import Submission
from results.statistics.designs import design_words, two_level_design


def plan_json(plan: Plan) -> dict[str, object]:
    """A plan as plain values."""
    assembled, study = plan.assembled, plan.assembled.study
    return {
        "study": study.name,
        "question": study.question,
        "runs": len(plan.runs),
        "counts": plan.counts,
        "arms": [
            {
                "name": name,
                "identity": arm.record.identity,
                "toggles": arm.record.toggles,
                "updates": arm.updates,
            }
            for name, arm in assembled.arms.items()
        ],
        "not_defined": [
            {"name": one.name, "toggles": one.toggles, "reason": one.reason}
            for one in assembled.undefined
        ],
        "designs": study.designs,
        "two_level_designs": [
            {
                "design": design,
                "cells": len(made.matrix),
                "resolution": made.resolution,
                "columns": dict(
                    zip(ascii_uppercase, [t.name for t in study.toggles], strict=False)
                ),
                "generators": dict(made.generators),
            }
            for design in study.designs
            if (made := two_level_design(design, study.toggles)) is not None
        ],
        "toggles": [
            {
                "toggle": level.toggle,
                "level": level.level,
                "modifications": [
                    {
                        "name": one.name,
                        "settings": one.settings,
                        "first_action_env_frames": one.first_action,
                    }
                    for one in level.modifications
                ],
            }
            for level in assembled.levels
        ],
        "games": study.games,
        "seeds": study.seeds,
        "env_frames": study.env_frames,
        "prefill_frames": study.prefill_frames,
        "protocol": study.protocol,
        "evaluation": study.evaluation,
        "memory_bytes": plan.memory_bytes,
        "seconds_to_do": plan.seconds_to_do,
        "seconds_measured": plan.measured,
        "messages": assembled.messages,
    }


def plan_tables(plan: Plan, *, slots: int, devices: Sequence[Device]) -> list[Any]:
    """A plan for readers: arms, toggles, what exists, the memory and the time."""
    assembled, study = plan.assembled, plan.assembled.study
    toggles = [
        (level.label, one.name, _settings(one), f"{one.first_action:,.0f}")
        for level in assembled.levels
        for one in level.modifications
    ]
    runs = Counter(run.run.arm for run in plan.runs)
    arms: list[tuple[str, str, int | str, int]] = [
        (
            name,
            ", ".join(arm.record.toggles) or "none",
            arm.updates,
            runs[name],
        )
        for name, arm in assembled.arms.items()
    ]
    arms += [
        (one.name, ", ".join(one.toggles) or "none", "not defined", 0)
        for one in assembled.undefined
    ]
    things: list[Any] = [f"{study.name}: {study.question}"]
    if toggles:
        columns = ["toggle", "modification", "settings", "#acts not before env frame"]
        things.append(table("Toggles", columns, toggles))
    things.append(table("Arms", ["arm", "toggles on", "#updates at most", "#runs"], arms))
    words = [design_words(design, study.toggles) for design in study.designs]
    things += [f"Design {text}." for text in words if text]
    things += [f"Note: {message}." for message in assembled.messages]
    things.append(
        f"{counted(len(assembled.arms), 'arm')} x {counted(len(study.games), 'game')} x "
        f"{counted(len(study.seeds), 'seed')} = {counted(len(plan.runs), 'run')} of "
        f"{study.env_frames:,} env frames (at least {study.prefill_frames:,} of them prefill)"
    )
    things.append(f"Protocol {study.protocol}; score from {study.evaluation}")
    counts = ", ".join(f"{number} {word}" for word, number in plan.counts.items() if number)
    things.append(f"Runs: {counts}")
    things.append(_memory_text(plan, slots, devices))
    things.append(_time_text(plan, slots))
    return things


def submission_text(name: str, submission: Submission) -> str:
    """What a submission did, in one line."""
    parts = {
        "new": submission.new,
        "finished already": submission.reused_finished,
        "queued already": submission.already_queued,
        "running": submission.running,
        "queued again": submission.retried,
        "failed": submission.failed,
    }
    words = ", ".join(f"{number} {word}" for word, number in parts.items() if number)
    return f"{name}: {counted(sum(parts.values()), 'run')} submitted ({words})"


def _time_text(plan: Plan, slots: int) -> str:
    if not plan.seconds_to_do:
        return "Nothing is left to run."
    to_do = [run.measured for run in plan.runs if run.to_do]
    if all(to_do):
        basis = "from earlier runs"
    elif any(to_do):
        basis = "partly from earlier runs, partly a rough guess"
    else:
        basis = "a rough guess: nothing like it has run yet"
    busy = min(slots, len(to_do))
    time = duration(plan.seconds_to_do / busy)
    return f"Time: about {time} with {counted(busy, 'worker')} ({basis})"


def _memory_text(plan: Plan, slots: int, devices: Sequence[Device]) -> str:
    """What a run takes, and how that goes with what is free now."""
    largest = max(plan.memory_bytes.values())
    busy = min(slots, max(1, sum(run.to_do for run in plan.runs)))
    text = f"Memory: a run takes up to about {amount(largest)}"
    text += "" if busy == 1 else f", {amount(busy * largest)} with {counted(busy, 'worker')}"
    free = ", ".join(f"{amount(device.free_bytes)} on {device.name}" for device in devices)
    fitting = sum(max(0, device.free_bytes) // largest for device in devices)
    if fitting < busy:
        return f"{text}; free now: {free}, so only {counted(fitting, 'run')} at a time"
    return f"{text}; free now: {free}"


def _settings(modification: ResolvedModification) -> str:
    return ", ".join(f"{key} = {value}" for key, value in modification.settings.items()) or "none"
