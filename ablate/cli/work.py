"""Commands that work: fill this machine with workers."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import (
    DATABASE,
    DatabaseOption,
    DrainOption,
    MinFreeOption,
    OutputOption,
    RetryOption,
    SlotsOption,
    SlotsPerGpuOption,
    StudyFileArgument,
    UntilOption,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ablate.scheduler import Outcome

UNFINISHED = 1
"""Exit code when the work is done but runs have failed, or, of `run`, are not finished."""

STOPPED = 128
"""Exit code, to which the number of the signal is added: 130 after Ctrl-C, as shells have it."""

INTERRUPTED = STOPPED + signal.SIGINT


def work(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Work on this study only; on whatever is queued unless given.",
            show_default=False,
        ),
    ] = None,
    slots: SlotsOption = None,
    slots_per_gpu: SlotsPerGpuOption = 1,
    min_free: MinFreeOption = 1.0,
    until: UntilOption = None,
    drain: DrainOption = False,
    db: DatabaseOption = DATABASE,
) -> None:
    """Work on queued runs until none is left.

    Start it in as many terminals as you like: every run is worked on once, and no slot is taken
    twice. Ctrl-C saves the runs in hand and hands them back to the queue; a second one does not
    wait until they are saved. SIGTERM and a closed terminal are like Ctrl-C; where only the output
    is closed (a pipe whose reader ends, say), the work goes on without a word.
    """
    from ablate.cli.hints import command
    from ablate.study_files import study_name
    from results.database.engine import open_database

    name = None if study is None else study_name(study)
    engine = open_database(db)
    staffing = Staffing(slots, slots_per_gpu, min_free, until, drain)
    outcome = _schedule(engine, db, name, staffing)
    with_failures = _with_failures(engine) if study is None else [study]
    code = _conclude(outcome, name, with_failures, command("work", study, db), db)
    if code:
        raise typer.Exit(code)


def run(
    study: StudyFileArgument,
    slots: SlotsOption = None,
    slots_per_gpu: SlotsPerGpuOption = 1,
    min_free: MinFreeOption = 1.0,
    db: DatabaseOption = DATABASE,
    retry_failed: RetryOption = False,
    output: OutputOption = None,
) -> None:
    """Submit a study, work on it, write its report.

    Runs that are finished are not run again, so the same command goes on after an interruption,
    and does nothing but write the report once everything is there.
    """
    from ablate import planner
    from ablate.cli.hints import command
    from ablate.cli.output import check_folder, show
    from ablate.cli.plan_text import submission_text
    from ablate.cli.show import write_report
    from ablate.kept import assembled_now
    from ablate.standing import Standing
    from ablate.study_files import find_study
    from results.database.engine import open_database
    from results.statistics.options import Options

    check_folder(output)
    assembled = assembled_now(find_study(study))
    name = assembled.study.name
    engine = open_database(db, create=True)
    submission = planner.submit(assembled, engine, retry_failed=retry_failed)
    show(*(f"Note: {message}." for message in assembled.messages))
    counts: Mapping[str, int] = Standing.read(engine, name).counts
    code = 0
    if counts["finished"] == len(assembled.runs):
        show(f"Nothing to compute: all runs of {name} are finished ({counts['finished']}).")
    else:
        show(submission_text(name, submission))
        outcome = _schedule(engine, db, name, Staffing(slots, slots_per_gpu, min_free))
        code = _conclude(outcome, name, [study], command("run", study, db), db)
        counts = outcome.counts
    everything = counts["finished"] == len(assembled.runs)
    if code < STOPPED and counts["finished"]:
        path = write_report(engine, name, output, Options(partial=not everything))
        show(f"Report: {path}")
    elif code < STOPPED:
        show(f"There is no report: no run of {name} is finished.")
    if code or not everything:
        raise typer.Exit(code or UNFINISHED)


@dataclass(frozen=True)
class Staffing:
    """What the command line says about workers."""

    slots: str | None
    slots_per_gpu: int
    min_free_gb: float
    until: str | None = None
    drain: bool = False


def _schedule(engine: "Engine", db: str, study: str | None, staffing: Staffing) -> "Outcome":
    from ablate.cli.output import Screen
    from ablate.devices import ThisMachine, crowded, make_slots
    from ablate.placement import Placement
    from ablate.progress import counted, display_for
    from ablate.provenance import code_here
    from ablate.scheduler import Scheduler
    from ablate.stopping import StopPlan, parse_until
    from results.database.provenance import queued_with_other_code

    others = queued_with_other_code(engine, study, code_here().sources_sha256)
    if others:
        typer.echo(
            f"Warning: {counted(others, 'unfinished run')} came into the queue with other source "
            "files than these: such a run is refused if its agent has changed, and trained with "
            "these files otherwise. `ablate logs RUN --sources DIR` unpacks those that queued it.",
            err=True,
        )
    now = datetime.now().astimezone()
    until = None if staffing.until is None else parse_until(staffing.until, now).timestamp()
    devices = ThisMachine()
    slots = make_slots(staffing.slots, staffing.slots_per_gpu, devices.look())
    if crowd := crowded(slots):
        typer.echo(f"Note: {crowd}", err=True)
    placement = Placement(engine, devices, slots, round(staffing.min_free_gb * 1e9))
    return Scheduler(
        engine,
        database=db,
        study=study,
        placement=placement,
        display=display_for(Screen(highlight=False)),
        plan=StopPlan(until, staffing.drain),
    ).run()


def _with_failures(engine: "Engine") -> list[str]:
    """The studies that have failed runs."""
    from results.database import reading

    studies = reading.studies(engine)
    return [str(name) for name in studies[studies["failed"] > 0]["name"]]


def _conclude(
    outcome: "Outcome", study: str | None, retried: Sequence[str], go_on: str, db: str
) -> int:
    """Says how the work ended to whoever still reads, and returns the exit code that says it.

    Args:
        outcome: How it ended.
        study: Name of the study; None for all.
        retried: Studies, as they were typed, whose failed runs can be tried again.
        go_on: The command that goes on after an interruption.
        db: The database.
    """
    from ablate.cli.hints import command, retry
    from ablate.cli.output import show, though_nobody_reads
    from ablate.progress import counted, duration

    counts = outcome.counts
    held = f" ({outcome.paused} of them paused)" if outcome.paused else ""
    with though_nobody_reads():
        show(
            f"{study or 'all studies'}: {counted(outcome.finished_here, 'run')} finished here in "
            f"{duration(outcome.seconds)}; {counts['finished']} finished in all, "
            f"{counts['queued'] + counts['running']} left{held}, {counts['failed']} failed"
        )
        for failure in outcome.earlier_failures:
            typer.echo(f"failed: {failure.run}: {failure.error}", err=True)
        if counts["failed"]:
            for one in retried:
                typer.echo(retry(one, db), err=True)
        if outcome.paused:
            which = ["--all"] if study is None else []
            resume = command("queue resume", study, db, *which)
            typer.echo(f"Let paused runs go on: {resume}", err=True)
        if outcome.stopped_by is not None:
            typer.echo(f"Stopped. Go on with: {go_on}", err=True)
    if outcome.stopped_by is not None:
        return STOPPED + outcome.stopped_by
    return UNFINISHED if counts["failed"] else 0
