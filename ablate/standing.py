"""Standing: where the runs of a study are, and how long the rest will take."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from ablate.progress import RunInHand
from results.database import queue, reading
from results.database.lookup import study_names
from results.database.records import RunState


@dataclass(frozen=True)
class Failure:
    """A run that failed, and the last line of its traceback."""

    run_id: int
    run: str
    error: str


@dataclass(frozen=True)
class Standing:
    """The runs of a study, or of all studies, each once, at one moment.

    Attributes:
        runs: As `reading.runs` gives them.
        lost: Runs whose worker is gone, by their ids, and why; nobody has queued them again yet.
    """

    runs: pd.DataFrame
    lost: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, engine: Engine, study: str | None) -> "Standing":
        """Asks the database.

        Args:
            engine: The database.
            study: Name of the study; None for all of them.

        Raises:
            DatabaseError: If there is no such study.
        """
        if study is not None:
            return cls(reading.runs(engine, study), queue.lost_runs(engine))
        frames = [reading.runs(engine, name) for name in study_names(engine)]
        if not frames:
            return cls(pd.DataFrame(columns=["run_id", "arm", "game", "state", "seconds"]))
        return cls(pd.concat(frames).drop_duplicates("run_id"), queue.lost_runs(engine))

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each of the five states."""
        found = self.runs["state"].value_counts()
        return {state.value: int(found.get(state.value, 0)) for state in RunState}

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failed runs."""
        failed = self.runs[self.runs["state"] == RunState.FAILED.value]
        return tuple(
            Failure(
                row["run_id"],
                run_label(row["arm"], row["game"], row["seed"]),
                last_line(row["error"]),
            )
            for row in failed.to_dict("records")
        )

    @property
    def holders(self) -> str:
        """The processes that hold running runs."""
        running = self.runs[self.runs["state"] == RunState.RUNNING.value]
        return ", ".join(
            f"process {pid} on {host}"
            for host, pid in running[["host", "pid"]].drop_duplicates().itertuples(index=False)
        )

    def seconds_left(self, in_hand: Sequence[RunInHand], slots: int) -> float | None:
        """What the queued runs and those in hand should still take, or None if unknown.

        A run should take what the finished runs of its arm on its game took on average; else
        those of its arm, else all.
        """
        finished = self.runs[self.runs["state"] == RunState.FINISHED.value].dropna(
            subset=["seconds"]
        )
        if finished.empty or slots < 1:
            return None
        overall = float(finished["seconds"].mean())
        by_arm: dict[Any, float] = finished.groupby("arm")["seconds"].mean().to_dict()
        by_cell: dict[Any, float] = finished.groupby(["arm", "game"])["seconds"].mean().to_dict()

        def expected(arm: str, game: str) -> float:
            return by_cell.get((arm, game), by_arm.get(arm, overall))

        queued = self.runs[self.runs["state"] == RunState.QUEUED.value]
        cells = Counter(zip(queued["arm"], queued["game"], strict=True))
        waiting = sum(expected(arm, game) * number for (arm, game), number in cells.items())
        begun = [expected(run.arm, run.game) * (1 - run.fraction) for run in in_hand]
        return max(max(begun, default=0.0), (waiting + sum(begun)) / slots)

    @property
    def under_way(self) -> list[RunInHand]:
        """The runs that living workers have in hand, whoever's they are."""
        running = self.runs[self.runs["state"] == RunState.RUNNING.value]
        return [
            RunInHand(
                run_id=row["run_id"],
                label=run_label(row["arm"], row["game"], row["seed"]),
                arm=row["arm"],
                game=row["game"],
                seat=f"{row['device']} on {row['host']}:{row['pid']}",
                fraction=min(1.0, row["env_frames"] / row["planned_env_frames"]),
            )
            for row in running.to_dict("records")
            if row["run_id"] not in self.lost
        ]

    @property
    def workers_gone(self) -> dict[int, str]:
        """Those of its running runs whose worker is gone, and why."""
        running = self.runs[self.runs["state"] == RunState.RUNNING.value]
        return {run_id: self.lost[run_id] for run_id in running["run_id"] if run_id in self.lost}


def worked_on(engine: Engine, studies: pd.DataFrame) -> dict[str, Standing]:
    """The standing of each study that has runs in hand.

    Args:
        engine: The database.
        studies: As `reading.studies` gives them.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    names = studies[studies[RunState.RUNNING.value] > 0]["name"]
    return {name: Standing.read(engine, name) for name in map(str, names)}


def run_label(arm: object, game: object, seed: object) -> str:
    """A run, as lines of output name it."""
    return f"{arm} · {game} · seed {seed}"


def last_line(text: object) -> str:
    """The last line of a traceback, without the error's module: what went wrong."""
    lines = str(text).strip().splitlines()
    return re.sub(r"^(?:\w+\.)+(?=[A-Z]\w*(?::|$))", "", lines[-1]) if lines else ""
