"""In hand: the runs that a scheduler's workers train, as the workers tell of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ablate.announcing import Announcer
from ablate.progress import RunInHand, duration
from ablate.standing import run_label


class RunsInHand:
    """Keeps what the workers say of their runs, and tells the user of it.

    Args:
        tell: Tells the user.
        tally: Says how many runs have ended, of how many.

    Attributes:
        finished: How many runs were finished.
        failed: The ids of those that failed.
    """

    def __init__(self, tell: Announcer, tally: Callable[[], str]) -> None:
        self.finished = 0
        self.failed: set[int] = set()
        self._tell, self._tally = tell, tally
        self._runs: dict[int, RunInHand] = {}  # by the worker's number

    def __contains__(self, worker: int) -> bool:
        return worker in self._runs

    def all(self) -> list[RunInHand]:
        """The runs, those that were begun first before the others."""
        return list(self._runs.values())

    def drop(self, worker: int) -> RunInHand | None:
        """Takes the run of a worker that has ended out of its hand."""
        return self._runs.pop(worker, None)

    def take_in(self, worker: int, seat: str, values: Mapping[str, Any]) -> None:
        """Takes in what a worker has said of a run.

        Args:
            worker: Its number.
            seat: Where it is: device and slot.
            values: What it said.
        """
        match values["event"]:
            case "started":
                self._begin(worker, seat, values)
            case "other_code":
                self._tell.say(
                    f"{_label(values)}: trained with other source files than those that queued "
                    f"it; `ablate logs {values['run_id']} --origin` shows both"
                )
            case "progress" if worker in self._runs:
                self._runs[worker] = replace(
                    self._runs[worker],
                    fraction=min(1.0, values["env_frames"] / values["budget"]),
                    phase=f"{values['phase']}, {values['updates']} updates",
                )
            case "resumed" | "checkpoint_refused" | "not_saved" as event if worker in self._runs:
                what = _about_checkpoint(event, values)
                self._tell.say(f"{self._runs[worker].label}: {what}")
            case "finished" | "failed" | "tried_again" | "released" | "lost" as event if (
                worker in self._runs
            ):
                self._end(self._runs.pop(worker), event, values)

    def _begin(self, worker: int, seat: str, values: Mapping[str, Any]) -> None:
        label = _label(values)
        self._runs[worker] = RunInHand(
            run_id=values["run_id"],
            label=label,
            arm=values["arm"],
            game=values["game"],
            seat=seat,
        )
        again = f" (attempt {values['number']})" if values["number"] > 1 else ""
        self._tell.say(f"{label}: started{again}")

    def _end(self, run: RunInHand, event: str, values: Mapping[str, Any]) -> None:
        match event:
            case "finished":
                self.finished += 1
                what = f"finished in {duration(values['seconds'])} {self._tally()}"
            case "failed":
                self.failed.add(run.run_id)
                what = f"failed: {values['error']}"
            case "tried_again":
                what = f"will be tried again after {values['error']}"
            case "released":
                what = f"back in the queue ({values['reason']})"
            case _:
                what = "taken from its worker (cancelled, or its lease ran out)"
        self._tell.say(f"{run.label}: {what}")


def _label(values: Mapping[str, Any]) -> str:
    return run_label(values["arm"], values["game"], values["seed"])


def _about_checkpoint(event: str, values: Mapping[str, Any]) -> str:
    """What happened to a checkpoint of a run, in words."""
    place = f"{values['env_frames']:,} env frames"
    match event:
        case "resumed":
            attempts = f"attempt {values['number']} from attempt {values['parent']}"
            return f"resumed at {place} ({attempts})"
        case "checkpoint_refused":
            return f"the checkpoint at {place} is passed over: {values['reason']}"
    return (
        f"no checkpoint could be written at {place} ({values['reason']}); the run goes on, and "
        "tries again later"
    )
