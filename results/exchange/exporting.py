"""Exporting: what a study scored, as records and as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine

from results.database import imports
from results.database.engine import open_database
from results.database.merging import merge
from results.database.reading import load_study
from results.database.upkeep import backup
from results.exchange.errors import ExchangeError
from results.exchange.formats import Format
from results.exchange.record import Record, RecordSet
from results.figures.drawn import write_whole
from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.collecting import collect
from results.statistics.errors import IncompleteStudy, listed
from results.statistics.options import Options
from results.statistics.study_data import StudyData

KEY = ["run_id", "arm", "game", "seed"]


def stored_records(engine: Engine, data: StudyData, options: Options) -> RecordSet:
    """The whole curves of a study's finished runs, in the order of its runs.

    A point of a trained run is the mean over the episodes of an evaluation; where the final one
    lies at the place of another, it is the point.

    Raises:
        IncompleteStudy: If runs have no curve, and the options do not ask for a partial answer.
        UnknownName: If the options name an arm or a game that the study has not.
    """
    study = data.study
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    games = chosen_games(options.games, study.games, partial=options.partial)
    runs = data.runs[data.runs["arm"].isin(arms) & data.runs["game"].isin(games)]
    rows = data.evaluations if data.imported is None else data.imported.evaluations
    curves = _curves(rows)
    finished = runs[(runs["state"] == "finished") & runs["run_id"].isin(curves.keys())]
    missing = runs[~runs["run_id"].isin(finished["run_id"])]
    if len(missing) and (not options.partial or not len(finished)):
        named = [
            f"{row['arm']} on {row['game']}, seed {row['seed']} ({row['state']})"
            for row in missing.to_dict("records")
        ]
        raise IncompleteStudy(
            f"{len(missing)} of {len(runs)} runs of study {study.name!r} are not finished, or "
            f"were never evaluated: {listed(named, most=3)}. Let the study finish, or export "
            "what is there with --partial."
        )
    records = tuple(
        Record(row["arm"], row["game"], int(row["seed"]), *curves[row["run_id"]])
        for row in finished.to_dict("records")
    )
    return replace(_kind(engine, data), records=records)


def final_records(engine: Engine, data: StudyData, options: Options) -> RecordSet:
    """The score of every run where the arms are compared, one point each.

    Raises:
        IncompleteStudy: If runs are missing there, and the options do not ask for a partial
            answer.
        StatisticsError: If the options name what the study has not.
    """
    asked = options if data.imported is None else replace(options, norm=data.imported.table)
    scores = collect(data, asked)
    frame = scores.frame.dropna(subset=["mean_return"])
    records = tuple(
        Record(
            row["arm"],
            row["game"],
            int(row["seed"]),
            (int(row["env_frames"]),),
            (float(row["mean_return"]),),
        )
        for row in frame.to_dict("records")
    )
    return replace(_kind(engine, data), records=records)


def write_files(record_set: RecordSet, format: Format, output: Path) -> list[Path]:
    """Writes records in a format; a file or a whole folder appears complete or not at all.

    Raises:
        ExchangeError: If the format cannot hold them, or the place is taken.
    """
    _refuse_what_it_cannot_hold(record_set, format)
    files = format.write(record_set, output)
    if list(files) != [output]:
        _write_folder(files, output)
    else:
        write_whole(output, files[output])
    return list(files)


def write_database(engine: Engine, study: str, output: Path) -> Path:
    """Writes a new database that holds one study; it appears whole or not at all.

    Raises:
        ExchangeError: If there is a file already.
        DatabaseError: If there is no such study, or the file cannot be written.
    """
    if output.exists():
        raise ExchangeError(
            f"{output} is there already: name a file that is not. `ablate import {output} "
            "--format sqlite` merges a database into another."
        )
    load_study(engine, study)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        draft = open_database(Path(folder) / output.name, create=True)
        merge(engine, draft, study)
        backup(draft, output)
        draft.dispose()
    return output


def write_table(data: StudyData, options: Options, kind: str, format: str, output: Path) -> Path:
    """Writes one table of a study, as `results.tables` prints it.

    Raises:
        StatisticsError: If there is no such table, or the runs do not allow it.
    """
    from results import tables

    text = tables.render(tables.build(kind, data, options), format)
    write_whole(output, text.encode())
    return output


def _refuse_what_it_cannot_hold(record_set: RecordSet, format: Format) -> None:
    if record_set.normalization is not None and not format.scores:
        raise ExchangeError(
            f"The study holds scores that were normalised with the table "
            f"{record_set.normalization}, and {format.name} files hold raw returns: whoever read "
            "them would take them for those. Export it as rliable-json or sqlite."
        )
    if record_set.means and not format.means:
        raise ExchangeError(
            "The study holds means over an unknown number of runs, and "
            f"{format.name} files hold runs. Export it as wide or sqlite."
        )


def _write_folder(files: Mapping[Path, bytes], output: Path) -> None:
    """Writes the files into a new folder.

    Raises:
        ExchangeError: If the folder is there already, or the one around it is not.
    """
    if output.exists():
        raise ExchangeError(f"{output} is there already: name a folder that is not.")
    if not output.parent.is_dir():
        raise ExchangeError(f"There is no folder {output.parent}: make it first.")
    draft = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        for file, contents in files.items():
            place = draft / file.relative_to(output)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(contents)
        draft.chmod(0o755)
        draft.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _kind(engine: Engine, data: StudyData) -> RecordSet:
    """An empty set of the study's kind."""
    sources = imports.sources(engine, data.study.name)
    table = None if data.imported is None else data.imported.table
    return RecordSet((), table, any(source.means for source in sources))


def _curves(rows: pd.DataFrame) -> dict[int, tuple[tuple[int, ...], tuple[float, ...]]]:
    """Env frames and mean returns of every run that was evaluated."""
    last = rows.groupby(["run_id", "env_frames"])["final"].transform("max")
    points = (
        rows[rows["final"] == last]
        .groupby(["run_id", "env_frames"], as_index=False)
        .agg(value=("episode_return", "mean"))
    )
    curves: dict[int, list[tuple[int, float]]] = {}
    columns = (points[name].tolist() for name in ("run_id", "env_frames", "value"))
    for run_id, env_frames, value in zip(*columns, strict=True):
        curves.setdefault(run_id, []).append((env_frames, value))
    return {
        run_id: (tuple(x for x, _ in curve), tuple(y for _, y in curve))
        for run_id, curve in curves.items()
    }
