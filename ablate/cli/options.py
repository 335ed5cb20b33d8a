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
    str | None,
    typer.Option(
        metavar="N|GPU:N,...",
        help="How many runs side by side: a number of worker processes, or slots by GPU (0:3,1:2 "
        "puts three on GPU 0 and two on GPU 1), counting those of other `ablate work`s on this "
        "machine. Unless given: one per GPU, or one per physical core.",
        show_default=False,
    ),
]
SlotsPerGpuOption = Annotated[
    int, typer.Option(min=1, help="Slots of every GPU for which --slots says nothing.")
]
MinFreeOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="GB",
        help="Memory of each device that is left to others: no run is started into it.",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Save the runs in hand and stop then: 18:30, '2026-11-30 08:00', +90m, +2h, +1d.",
        show_default=False,
    ),
]
DrainOption = Annotated[
    bool,
    typer.Option(
        "--drain",
        help="Begin no new run (from --until on, if it is given); finish what has been begun.",
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
