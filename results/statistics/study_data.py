"""Everything recorded about one study, read once, as frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from sqlalchemy import Engine

from results.database import imports, reading
from results.database.imports import ImportedScores
from results.database.looks import looks_at
from results.database.records import (
    ImportSourceRecord,
    LookRecord,
    NormalizationRow,
    StudyRecord,
)

CURVES = ("episode_return",)  # what the figures draw


@dataclass(frozen=True)
class StudyData:
    """One study and its runs, as the statistics, tables and figures take it.

    Attributes:
        study: The study as it was submitted.
        runs: One row per run: run_id, arm, game, seed, state and how it went.
        evaluations: One row per test episode: run_id, arm, game, seed, env_frames, final,
            episode, episode_return, length, policy, truncated.
        curves: Per metric, the points: run_id, arm, game, seed, env_frames, value.
        declared: By game, the returns that a task which is not in the tables declares of itself.
        imported: The scores of a study that was imported as scores; it has no returns at all.
        sources: The files that its runs were imported from.
        looks: When its results decided how many seeds it gets; none where that was fixed before.
        memory: What was computed from these frames, so that a page of many tables and figures
            computes it once; a copy with other frames starts with an empty one.
    """

    study: StudyRecord
    runs: pd.DataFrame
    evaluations: pd.DataFrame
    curves: Mapping[str, pd.DataFrame]
    declared: Mapping[str, NormalizationRow] = field(default_factory=dict)
    imported: ImportedScores | None = None
    sources: tuple[ImportSourceRecord, ...] = ()
    looks: tuple[LookRecord, ...] = ()
    memory: dict[object, object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def means(self) -> bool:
        """Whether each of its "runs" is a mean over an unknown number of runs."""
        return any(source.means for source in self.sources)


def load(engine: Engine, name: str, *, curves: Sequence[str] = CURVES) -> StudyData:
    """Reads a study from the database.

    Args:
        engine: An open results database.
        name: The study's name.
        curves: Metrics whose points are read; those that no run has written are left out.

    Raises:
        DatabaseError: if there is no such study.
    """
    study = reading.load_study(engine, name)
    written = set(reading.metrics(engine, name))
    return StudyData(
        study=study,
        runs=reading.runs(engine, name),
        evaluations=imports.evaluations(engine, name),
        curves={
            metric: reading.curve(engine, name, metric) for metric in curves if metric in written
        },
        declared={
            game: row
            for game, row in reading.declared_returns(engine).items()
            if game in study.games
        },
        imported=imports.scores(engine, name),
        sources=imports.sources(engine, name),
        looks=looks_at(engine, name),
    )
