"""`ablate power`: what a study's seeds can see, and how many an effect needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli.asking import asks
from ablate.cli.options import DATABASE, DatabaseOption, JsonOption, StudyNameArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from results.database.records import StudyRecord
    from results.statistics.options import Options
    from results.statistics.power import Spread


@asks
def power(
    study: StudyNameArgument,
    options: "Options",
    effect: Annotated[
        list[float] | None,
        typer.Option(
            min=0.001,
            help="A true effect, in human-normalised score, to find; repeat for several. 0.1, "
            "0.25, 0.5 and 1 unless given.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option(
            min=2,
            max=10_000,
            help="A number of seeds; repeat for several. 2 to 30 unless given.",
            show_default=False,
        ),
    ] = None,
    sd: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            help="Standard deviation between seeds, in human-normalised score, instead of the "
            "one that the study's runs show.",
            show_default=False,
        ),
    ] = None,
    power: Annotated[
        float, typer.Option(min=0.1, max=0.999, help="Probability of finding the effect.")
    ] = 0.8,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the plot; STUDY_figures unless given.",
            show_default=False,
        ),
    ] = None,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Show what effect a study's seeds can see, and how many seeds an effect needs.

    The spread between seeds is that of the study's own runs: a pilot, or imported ones.
    """
    from ablate.cli.output import CommandError, check_folder, print_json
    from ablate.study_files import study_name
    from results.database.engine import open_database
    from results.figures import save
    from results.figures.power import draw_power
    from results.statistics.power import questions, stated_spread
    from results.statistics.study_data import load
    from results.statistics.study_power import SEEDS, TARGETS, Asked, pilot_spread, study_power
    from results.tables import render
    from results.tables.power import detectable_table, needed_table

    check_folder(output)
    name = study_name(study)
    data = load(open_database(db), name)
    if not questions(data.study):
        raise CommandError(
            f"Study {name} has no two arms that differ by one toggle, so there is no effect to "
            "see. Its designs need base and add_one_in, or full and leave_one_out, at least."
        )
    asked = Asked(
        alpha=1 - options.ci,
        power=power,
        seeds=tuple(seeds) if seeds else SEEDS,
        targets=tuple(effect) if effect else TARGETS,
    )
    spread = pilot_spread(data, options) if sd is None else stated_spread(sd, "--sd")
    found = study_power(data.study, spread, asked)
    drawn = draw_power(found, asked)
    folder = output if output is not None else Path(f"{name}_figures")
    files = save(drawn, folder / drawn.name)
    if json:
        print_json(
            {
                "study": name,
                "spread": _plain(spread),
                "alpha": asked.alpha,
                "power": asked.power,
                "detectable": _rows(found.detectable),
                "seeds_needed": _rows(found.needed),
                "files": [str(path) for path in files],
            }
        )
        return
    for table in (detectable_table(found, asked), needed_table(found, asked)):
        typer.echo(render(table, "rich").rstrip("\n"))
        typer.echo("")
    for path in files:
        typer.echo(str(path))


def planned(study: "StudyRecord", engine: "Engine | None") -> tuple[str, dict[str, Any]]:
    """What a study will be able to see, before it is run: in words and as plain values.

    The spread is that of the recorded study with the same games, protocol and budget whose runs
    tell most about it, else that of published curves.
    """
    from results.database.lookup import begun_alike
    from results.statistics.power import published_spread, questions

    every = questions(study)
    if not every:
        return "", {}
    if len(study.seeds) < 2:
        return "Detectable: nothing, with one seed there is no interval.", {"seeds": 1}
    spread = published_spread(study.games)
    if engine is not None and (begun := begun_alike(engine, study.protocol, study.env_frames)):
        spread = _recorded(study, engine, begun) or spread
    if spread is None:
        return (
            "Detectable: not known, because no study in the database has two finished seeds on "
            f"these games under this protocol and budget, and there are no published spreads for "
            f"{', '.join(study.games)}. Run a pilot, then `ablate power`.",
            {"seeds": len(study.seeds)},
        )
    found = {one.name: one.detectable(spread.sd, len(study.seeds), alpha=0.05) for one in every}
    words = "; ".join(f"{name} {value:.2f}" for name, value in found.items())
    return (
        f"Detectable with {len(study.seeds)} seeds (true HNS, 80% power, 95% intervals): {words}. "
        f"Smaller ones will mostly be missed. Spread between seeds: {spread.sd:.2f}, from "
        f"{spread.source}.",
        {"seeds": len(study.seeds), "spread": _plain(spread), "detectable": found},
    )


def _recorded(study: "StudyRecord", engine: "Engine", names: "Sequence[str]") -> "Spread | None":
    """The best known spread of the runs of those of these studies that have the same games."""
    from results.database import reading
    from results.statistics.errors import StatisticsError
    from results.statistics.options import Options
    from results.statistics.study_data import load
    from results.statistics.study_power import pilot_spread

    best = None
    for name in names:
        if set(reading.load_study(engine, name).games) != set(study.games):
            continue
        try:
            spread = pilot_spread(load(engine, name, curves=()), Options(partial=True))
        except StatisticsError:
            continue
        if best is None or spread.df > best.df:
            best = spread
    return best


def _plain(spread: "Spread") -> dict[str, Any]:
    """With None for what is not known: JSON has no NaN."""
    import math
    from dataclasses import asdict

    return {
        key: None if isinstance(one, float) and math.isnan(one) else one
        for key, one in asdict(spread).items()
    }


def _rows(frame: Any) -> list[dict[str, Any]]:
    """Likewise."""
    import pandas as pd

    return [
        {str(key): None if pd.isna(one) else one for key, one in row.items()}
        for row in frame.to_dict(orient="records")
    ]
