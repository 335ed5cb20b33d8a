"""The words that say when a question of a study counts as answered."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from results.statistics.settled import Rule, Verdict

EffectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--effect",
        metavar="TOGGLE",
        help="Settle only this effect; repeat for several. All of the study's unless given.",
        show_default=False,
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", min=3, help="Seeds between two looks.")]
LevelOption = Annotated[
    float,
    typer.Option(
        "--ci",
        help="Level of the intervals; of `claims`, what is left to 1 is the error of all tests "
        "together.",
    ),
]


def stopping_rule(
    word: str, option: str, effects: list[str] | None, batch: int, ci: float
) -> "Rule":
    """The rule that the words mean.

    Raises:
        CommandError: If they mean none.
    """
    from ablate.cli.output import CommandError
    from results.statistics.settled import Rule

    try:
        width = None if word == "claims" else float(word)
    except ValueError:
        raise CommandError(
            f"{option} wants the width of an interval in human-normalised score (0.3), or the "
            f"word claims for the permutation test, not {word!r}."
        ) from None
    try:
        return Rule(width=width, effects=tuple(effects or ()), batch=batch, ci=ci)
    except ValueError as error:
        raise CommandError(f"{option}: {error}.") from error


def stated(rule: "Rule", most: int) -> str:
    """The rule in words, with what it promises."""
    end = f"Looks after every {rule.batch} seeds, {most} at most."
    if rule.width is not None:
        return (
            f"Rule: seeds are added until the {rule.ci:.0%} interval of an effect is narrower "
            f"than {rule.width:g}. {end} Stopping by a look makes the interval's coverage "
            "approximate: it shows how large an effect is; for a claim that there is one, use "
            "`claims`, from the first look on."
        )
    return (
        "Rule: seeds are added until a group-sequential permutation test tells the two arms of "
        f"an effect apart. {end} The probability of any false claim is at most {1 - rule.ci:.2g} "
        "over all looks and effects (shared by the open effects, Holm), if the rule was fixed "
        "before the first look."
    )


def verdict_lines(found: "tuple[Verdict, ...]") -> list[str]:
    """One line per question."""
    kinds = {"add_one_in": "added to base", "leave_one_out": "left out of full"}
    return [
        f"{'settled' if one.settled else 'open   '}  {one.name}, {kinds[one.kind]}: {one.why}"
        for one in found
    ]
