"""`ablate games`: which games can stand for a benchmark."""

from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.asking import asks
from ablate.cli.options import (
    DATABASE,
    DatabaseOption,
    JsonOption,
    OutputOption,
    StudyNameArgument,
)

if TYPE_CHECKING:
    from results.statistics.options import Options


@asks
def games(
    study: StudyNameArgument,
    options: "Options",
    subset: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10,
            metavar="K",
            help="Also search the K games whose scores best predict the median of all of them, "
            "over the arms (methods) of the study.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="rich, markdown, latex, csv, json or html.")
    ] = "rich",
    json: JsonOption = False,
    output: OutputOption = None,
    db: DatabaseOption = DATABASE,
) -> None:
    """Rank games as proxies for a benchmark, from recorded or imported curves.

    A good proxy has a reasonable score at the horizon (--at), a curve that rises with env frames,
    and little spread over seeds.
    """
    from ablate.cli.output import CommandError, check_folder, print_json
    from ablate.study_files import study_name
    from results.database.engine import open_database
    from results.figures.drawn import write_whole
    from results.statistics.collecting import collect
    from results.statistics.game_subsets import best_subsets
    from results.statistics.proxy_games import proxy_games
    from results.statistics.study_data import load
    from results.tables import FORMATS, render
    from results.tables.games import proxies_table, subsets_table

    if format not in FORMATS:
        raise CommandError(f"There is no format {format!r}: choose {', '.join(FORMATS)}.")
    check_folder(output)
    name = study_name(study)
    data = load(open_database(db), name, curves=())
    scores = collect(data, options)
    tables = [proxies_table(name, proxy_games(data, options), scores.env_frames)]
    if subset is not None:
        tables.append(subsets_table(name, best_subsets(scores, subset)))
    if json:
        import json as parser

        print_json({table.kind: parser.loads(render(table, "json")) for table in tables})
        return
    text = "\n".join(render(table, format).rstrip("\n") + "\n" for table in tables)
    if output is None:
        typer.echo(text.rstrip("\n"))
    else:
        write_whole(output, text.encode())
        typer.echo(str(output))
