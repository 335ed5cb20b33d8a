"""The program `ablate`: its commands, and what happens when one of them fails."""

import gc
import sys
import traceback
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ablate.cli import bench, db, exchange, games, plan, power, queue, show, watch, work

FAILED = 2
"""Exit code of a command that could not do what it was asked."""

ALLOCATIONS_PER_COLLECTION = 100_000
"""Python's 700 collect all the while during imports: a fifth of the time of `ablate plan`."""


class Commands(TyperGroup):
    """The group of all commands; turns every error into one paragraph."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accepts `--debug` anywhere on the line."""
        if "--debug" in args:
            args = ["--debug", *(word for word in args if word != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; an error becomes a paragraph on standard error and exit code 2."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(work.INTERRUPTED) from error
        except Exception as error:
            if hasattr(error, "format_message"):  # about the command line: typer words those
                raise
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(f"Error: {explanation(error)}", err=True)
            raise typer.Exit(FAILED) from error


def explanation(error: Exception) -> str:
    """One paragraph about what went wrong."""
    from ablate.cli.output import CommandError
    from ablate.devices import SlotsError
    from ablate.scheduler import SchedulerError
    from ablate.stopping import TimeError
    from ablate.study import StudyError
    from results.database.errors import DatabaseError
    from results.exchange.errors import ExchangeError
    from results.statistics.errors import StatisticsError

    ours = StudyError | DatabaseError | StatisticsError | ExchangeError
    if isinstance(error, ours | SchedulerError | CommandError | SlotsError | TimeError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}."
    return (
        f"{type(error).__name__}: {error}. This is a fault in ablate itself: please report it, "
        "with what the same command prints under --debug."
    )


app = typer.Typer(
    name="ablate",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("studies")(plan.studies)
app.command("mods")(plan.mods)
app.command("plan")(plan.plan)
app.command("submit")(plan.submit)
app.command("work")(work.work)
app.command("run")(work.run)
app.command("status")(show.status)
app.command("logs")(watch.logs)
app.command("table")(show.table)
app.command("plot")(show.plot)
app.command("report")(show.report)
app.command("power")(power.power)
app.command("games")(games.games)
app.command("diff")(plan.diff)
app.command("import")(exchange.import_)
app.command("export")(exchange.export)
app.command("doctor")(watch.doctor)
app.add_typer(queue.app, name="queue")
app.command("bench")(bench.bench)
app.add_typer(db.app, name="db")


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Ablation studies of a model-based agent: say what to switch, run it, read the answer.

    A study file names toggles, games and seeds. `ablate plan` shows what it would run, `ablate
    run` runs it and writes a report, `ablate status` says where it stands.
    """


def run() -> None:
    """Runs the program with the arguments of the command line.

    A character that the terminal's encoding lacks is printed as a question mark.
    """
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="ablate" if not sys.argv[0].endswith("__main__.py") else "python -m ablate")
