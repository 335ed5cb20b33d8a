"""Commands before the work: what studies and modifications there are, and what one would run."""

from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import (
    DATABASE,
    DatabaseOption,
    JsonOption,
    RetryOption,
    StudyFileArgument,
)
from ablate.cli.stopping_rule import BatchOption, EffectOption, LevelOption

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ablate.assembled import AssembledStudy
    from results.statistics.settled import Rule


def studies(json: JsonOption = False) -> None:
    """List the study files that can be run."""
    from ablate.cli.output import print_json, show, table
    from ablate.grid import cells
    from ablate.study_files import listed_studies

    found = listed_studies()
    if json:
        print_json(
            [
                {
                    "name": listed.name,
                    "place": listed.place,
                    "question": listed.file.study.question if listed.file else None,
                    "runs": len(cells(listed.file.study)) if listed.file else None,
                    "problem": listed.problem,
                }
                for listed in found
            ]
        )
        return
    rows = [
        (
            listed.name,
            listed.place,
            len(cells(listed.file.study)) if listed.file else "-",
            listed.file.study.question if listed.file else listed.problem,
        )
        for listed in found
    ]
    show(table(None, ["study", "place", "#runs", "question"], rows))


def mods(
    name: Annotated[
        str | None, typer.Argument(help="Only this one, with its settings.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the modifications that a toggle can switch on."""
    from dataclasses import asdict, astuple

    from ablate.catalogue import described, find_modification
    from ablate.cli.output import print_json, show, table

    found = described() if name is None else (find_modification(name),)
    if json:
        print_json([asdict(one) for one in found])
        return
    columns = ["modification", "family", "seam", "what it does", "source"]
    rows = [(one.name, one.family, one.seam, one.summary, one.paper) for one in found]
    show(table(None, columns, rows))
    settings = [(one.name, *astuple(field)) for one in found for field in one.settings]
    show(table("Settings", ["modification", "setting", "type", "default"], settings))


def plan(
    study: StudyFileArgument, db: DatabaseOption = DATABASE, json: JsonOption = False
) -> None:
    """Show what a study would run and how long it may take.

    The database is only read, and what it holds already is not run again. Every arm's agent is
    put together, so a study that cannot run is refused here. What comes of that is kept for a
    day in the user's folder of caches (or where ABLATE_CACHE says), which may be deleted.
    """
    from ablate.cli.output import print_json, show
    from ablate.cli.plan_text import plan_json, plan_tables
    from ablate.cli.power import planned as detectable
    from ablate.devices import ThisMachine, make_slots
    from ablate.kept import assembled_before
    from ablate.planner import existing_database, make_plan
    from ablate.study_files import find_study

    engine = existing_database(db)
    planned = make_plan(assembled_before(find_study(study)), engine)
    words, values = detectable(planned.assembled.study, engine)
    if json:
        print_json(plan_json(planned) | {"detectable": values})
    else:
        devices = ThisMachine().look()
        slots = make_slots(None, 1, devices).total
        tables = plan_tables(planned, slots=slots, devices=devices)
        show(*tables, *([words] if words else []))


def submit(
    study: StudyFileArgument,
    db: DatabaseOption = DATABASE,
    retry_failed: RetryOption = False,
    top_up: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTH|claims",
            help="Queue only the seeds that questions still need: the next batch of those arms "
            "whose effects are open. WIDTH: until the intervals are narrower than this "
            "(coverage is then approximate); claims: until a group-sequential permutation test "
            "tells the arms apart (exact level). The study file's seeds are the maximum.",
            show_default=False,
        ),
    ] = None,
    effect: EffectOption = None,
    batch: BatchOption = 5,
    ci: LevelOption = 0.95,
    json: JsonOption = False,
) -> None:
    """Put a study's runs into the queue.

    Runs that the database has already, whichever study asked for them, are shared. With
    --top-up, submit again whenever the queue is empty, with the same words: each time the runs
    that are there are looked at, and what is open gets its next seeds.
    """
    from dataclasses import asdict

    from ablate import planner
    from ablate.cli.hints import command, retry
    from ablate.cli.output import print_json, show
    from ablate.cli.plan_text import submission_text
    from ablate.cli.stopping_rule import stopping_rule
    from ablate.kept import assembled_now
    from ablate.study_files import find_study
    from results.database.engine import open_database

    assembled = assembled_now(find_study(study))
    engine = open_database(db, create=True)
    if top_up is not None:
        rule = stopping_rule(top_up, "--top-up", effect, batch, ci)
        _top_up(assembled, engine, rule, study, db, retry_failed=retry_failed, json=json)
        return
    submission = planner.submit(assembled, engine, retry_failed=retry_failed)
    name = assembled.study.name
    if json:
        print_json({"study": name, "runs": len(assembled.runs), **asdict(submission)})
    else:
        show(*(f"Note: {message}." for message in assembled.messages))
        show(submission_text(name, submission))
        if submission.new + submission.already_queued + submission.retried:
            show(f"Work on it: {command('work', study, db)}")
        elif submission.failed:
            show(retry(study, db))
        elif not submission.running:
            show(f"Nothing is left to run. See what came out: {command('report', study, db)}")


def _top_up(
    assembled: "AssembledStudy",
    engine: "Engine",
    rule: "Rule",
    study: str,
    db: str,
    *,
    retry_failed: bool,
    json: bool,
) -> None:
    """Submits what the open questions need next, and says why."""
    from dataclasses import asdict, replace

    from ablate import planner
    from ablate.cli.hints import command, retry
    from ablate.cli.output import print_json, show
    from ablate.cli.plan_text import submission_text
    from ablate.cli.stopping_rule import stated, verdict_lines
    from ablate.progress import counted
    from ablate.topping_up import look, top_up
    from results.database import looks
    from results.database.records import LookPurpose

    needed = top_up(assembled, engine, rule)
    submission = None
    if needed.runs:
        chosen = replace(assembled, runs=needed.runs)
        submission = planner.submit(chosen, engine, retry_failed=retry_failed)
    name = assembled.study.name
    if submission is not None or not needed.waiting:
        changed = 0 if submission is None else submission.new + submission.retried
        looks.note(engine, name, look(LookPurpose.TOP_UP, rule, needed.verdicts, changed))
    if json:
        print_json(
            {
                "study": name,
                "rule": asdict(rule),
                "verdicts": [asdict(verdict) for verdict in needed.verdicts],
                "runs": len(needed.runs),
                "waiting": needed.waiting,
                "failed": needed.failed,
                "seeds": needed.seeds,
                "most": needed.most,
                "submission": None if submission is None else asdict(submission),
            }
        )
        return
    show(stated(rule, needed.most), *verdict_lines(needed.verdicts))
    if submission is not None:
        show(f"{submission_text(name, submission)}, up to {needed.seeds} seeds")
        show(f"Work on it: {command('work', study, db)}")
    elif needed.waiting:
        show(f"The next look waits for {counted(needed.waiting, 'run')}: nothing was queued.")
    elif needed.open:
        show(f"The maximum of {needed.most} seeds is reached: what is open stays open.")
    else:
        show("Every question is settled: nothing was queued.")
    show(*looks.in_words(looks.looks_at(engine, name)))
    if needed.failed:
        show(f"{counted(needed.failed, 'run')} failed. {retry(study, db)}")


def diff(
    left: Annotated[
        str, typer.Argument(help="A run id, or an arm as STUDY/ARM.", show_default=False)
    ],
    right: Annotated[
        str, typer.Argument(help="A run id, or an arm as STUDY/ARM.", show_default=False)
    ],
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Show what makes two runs, or two arms, different."""
    from dataclasses import asdict

    from ablate.cli.output import print_json, show, table
    from ablate.comparison import compare
    from results.database.engine import open_database

    found = compare(open_database(db), left, right)
    if json:
        print_json([asdict(difference) for difference in found])
    elif not found:
        show(f"{left} and {right} are the same: nothing that decides a result differs.")
    else:
        rows = [
            (
                one.path,
                "-" if one.left is None else one.left,
                "-" if one.right is None else one.right,
            )
            for one in found
        ]
        show(table(None, ["what", left, right], rows))
