"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DATABASE = "ablate.sqlite"
DATABASE_VARIABLE = "ABLATE_DB"

StudyFileArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study file (path/to/NAME.toml), or the name of one in ./studies or of one that "
        "came with the project.",
        show_default=False,
    ),
]
StudyNameArgument = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="Name of a study in the database.", show_default=False),
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--db",
        envvar=DATABASE_VARIABLE,
        metavar="PATH",
        help="The results database: a file or a URL.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Queue this study's failed runs again.")
]
SlotsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Worker processes side by side, one thread each; one per physical core unless given.",
        show_default=False,
    ),
]
PartialOption = Annotated[
    bool,
    typer.Option("--partial", help="Answer with the runs that are finished, and say how many."),
]
AtOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="ENV_FRAMES",
        help="Compare at this many env frames; the end unless given.",
        show_default=False,
    ),
]
NormOption = Annotated[
    str,
    typer.Option(
        metavar="TABLE",
        help="Random and human returns: wang2016, nature2015, dreamerv2-file, or the path of a "
        "CSV file with the columns game, random and human.",
    ),
]
GamesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...|atari100k|atari57",
        help="Only these games; all unless given.",
        show_default=False,
    ),
]
ArmsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...", help="Only these arms; all unless given.", show_default=False
    ),
]
MeasureOption = Annotated[
    str,
    typer.Option(
        metavar="end|auc",
        help="What scores a run: its evaluation at the end (or --at), or the mean height of its "
        "evaluation curve up to there.",
    ),
]
LevelOption = Annotated[float, typer.Option("--ci", help="Level of the intervals.")]
ResamplesOption = Annotated[
    int, typer.Option(min=1, help="Bootstrap resamples of the aggregates.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to write.", show_default=False)
]
