"""Commands that change the queue: some runs, chosen by study, arm, game, seed or id."""

from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import DATABASE, DatabaseOption, JsonOption
from ablate.cli.stopping_rule import BatchOption, EffectOption, LevelOption

if TYPE_CHECKING:
    from results.database.control import Change, Selection
    from results.statistics.settled import Rule

app = typer.Typer(no_args_is_help=True)

StudyArgument = Annotated[
    str | None,
    typer.Argument(metavar="[STUDY]", help="Only runs of this study.", show_default=False),
]
ArmOption = Annotated[
    list[str] | None,
    typer.Option("--arm", help="Only this arm; repeat for several.", show_default=False),
]
GameOption = Annotated[
    list[str] | None,
    typer.Option("--game", help="Only this game; repeat for several.", show_default=False),
]
SeedsOption = Annotated[
    list[int] | None,
    typer.Option("--seed", min=0, help="Only this seed; repeat for several.", show_default=False),
]
RunsOption = Annotated[
    list[int] | None,
    typer.Option("--run", help="Only the run of this id; repeat for several.", show_default=False),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every run of the database.")]


@app.callback()
def queue() -> None:
    """Cancel, retry, pause, resume or prioritize runs: of a study, arm, game, seed, or one by one.

    Several words choose the runs that all of them describe: `ablate queue pause my_study --arm
    full --game Pong`.
    """


@app.command()
def cancel(
    study: StudyArgument = None,
    arm: ArmOption = None,
    game: GameOption = None,
    seed: SeedsOption = None,
    run: RunsOption = None,
    everything: AllOption = False,
    settled: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTH|claims",
            help="Only queued runs of arms all of whose effects are answered, by the rule of "
            "`ablate submit --top-up`: intervals narrower than WIDTH, or a permutation test. "
            "Effects that --effect leaves out are not answered. Interactions that need those "
            "arms will have fewer seeds.",
            show_default=False,
        ),
    ] = None,
    effect: EffectOption = None,
    batch: BatchOption = 5,
    ci: LevelOption = 0.95,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Take runs out of the queue, and from their workers; what they have written is kept.

    Runs that another study asks for too stay, unless they are named with --run. With --settled,
    runs that a worker has in hand stay too.
    """
    from ablate.cli.stopping_rule import stopping_rule
    from results.database import control
    from results.database.engine import open_database

    if settled is not None:
        rule = stopping_rule(settled, "--settled", effect, batch, ci)
        words = (arm, game, seed, run, everything)
        _cancel_settled(study, rule, db, alone=not any(words), json=json)
        return
    chosen = _selection(study, arm, game, seed, run, everything=everything)
    _tell("cancelled", control.cancel(open_database(db), chosen), json=json)


@app.command()
def retry(
    study: StudyArgument = None,
    arm: ArmOption = None,
    game: GameOption = None,
    seed: SeedsOption = None,
    run: RunsOption = None,
    everything: AllOption = False,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Queue failed and cancelled runs again; they go on from their last checkpoints."""
    from results.database import control
    from results.database.engine import open_database

    chosen = _selection(study, arm, game, seed, run, everything=everything)
    _tell("queued again", control.retry(open_database(db), chosen), json=json)


@app.command()
def pause(
    study: StudyArgument = None,
    arm: ArmOption = None,
    game: GameOption = None,
    seed: SeedsOption = None,
    run: RunsOption = None,
    everything: AllOption = False,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Hold runs back; those under way are saved and handed back within seconds."""
    from results.database import control
    from results.database.engine import open_database

    chosen = _selection(study, arm, game, seed, run, everything=everything)
    _tell("paused", control.pause(open_database(db), chosen), json=json)


@app.command()
def resume(
    study: StudyArgument = None,
    arm: ArmOption = None,
    game: GameOption = None,
    seed: SeedsOption = None,
    run: RunsOption = None,
    everything: AllOption = False,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Let paused runs go on."""
    from results.database import control
    from results.database.engine import open_database

    chosen = _selection(study, arm, game, seed, run, everything=everything)
    _tell("free to go on", control.resume(open_database(db), chosen), json=json)


@app.command()
def prioritize(
    priority: Annotated[
        int,
        typer.Option(
            "--priority", "-p", min=-1000, max=1000, help="Higher ones go first; 0 is usual."
        ),
    ],
    study: StudyArgument = None,
    arm: ArmOption = None,
    game: GameOption = None,
    seed: SeedsOption = None,
    run: RunsOption = None,
    everything: AllOption = False,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Say which runs are claimed first."""
    from results.database import control
    from results.database.engine import open_database

    chosen = _selection(study, arm, game, seed, run, everything=everything)
    _tell(
        f"given priority {priority}",
        control.prioritize(open_database(db), chosen, priority),
        json=json,
    )


def _cancel_settled(study: str | None, rule: "Rule", db: str, *, alone: bool, json: bool) -> None:
    """Drops the queued runs that no open question of a study needs.

    Raises:
        CommandError: If no study is named, or runs are chosen in another way too.
    """
    from ablate.cli.output import CommandError, show
    from ablate.cli.stopping_rule import stated, verdict_lines
    from ablate.study_files import study_name
    from ablate.topping_up import look, unneeded_arms
    from results.database import control, looks
    from results.database.engine import open_database
    from results.database.records import LookPurpose, RunState
    from results.statistics.settled import verdicts
    from results.statistics.study_data import load

    if study is None or not alone:
        raise CommandError(
            "--settled goes with the name of one study, and chooses its runs itself."
        )
    engine, name = open_database(db), study_name(study)
    data = load(engine, name, curves=())
    found = verdicts(data.study, data, rule)
    if not json:
        show(stated(rule, len(data.study.seeds)), *verdict_lines(found))
    arms = unneeded_arms(data.study, found)
    change = control.Change(())
    if arms:
        chosen = control.Selection(study=name, arms=arms)
        change = control.cancel(engine, chosen, states=(RunState.QUEUED,))
    seen = look(LookPurpose.CANCEL_SETTLED, rule, found, len(change.changed))
    looks.note(engine, name, seen)
    _tell("cancelled", change, json=json)


def _selection(
    study: str | None,
    arm: list[str] | None,
    game: list[str] | None,
    seed: list[int] | None,
    run: list[int] | None,
    *,
    everything: bool,
) -> "Selection":
    """What the words choose.

    Raises:
        CommandError: If there are none, or some beside --all.
    """
    from ablate.cli.output import CommandError
    from ablate.study_files import study_name
    from results.database.control import Selection

    words = (study, arm, game, seed, run)
    if everything == any(words):
        problem = "--all goes with no other choice." if everything else "Which runs?"
        raise CommandError(
            f"{problem} Name a study, --arm, --game, --seed or --run, or say --all."
        )
    return Selection(
        study=None if study is None else study_name(study),
        arms=tuple(arm or ()),
        games=tuple(game or ()),
        seeds=tuple(seed or ()),
        runs=tuple(run or ()),
    )


def _tell(done: str, change: "Change", *, json: bool) -> None:
    from ablate.cli.output import print_json, show
    from ablate.progress import counted

    if json:
        print_json({"changed": change.changed, "left": change.left})
        return
    left = ", ".join(f"{number} {why}" for why, number in change.left.items())
    show(
        f"{counted(len(change.changed), 'run')} {done}"
        + (f"; left as they are: {left}" if left else "")
        + "."
    )
