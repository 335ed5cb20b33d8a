"""The options that say how numbers are asked for, declared once for every command with any."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from ablate.cli.bars import computing_bar
from ablate.cli.options import (
    ArmsOption,
    AtOption,
    GamesOption,
    LevelOption,
    MeasureOption,
    NormOption,
    PartialOption,
    ResamplesOption,
    SeedOption,
)

if TYPE_CHECKING:
    from results.statistics.options import Options


def _declared(
    at: AtOption = None,
    norm: NormOption = "wang2016",
    games: GamesOption = None,
    arms: ArmsOption = None,
    measure: MeasureOption = "end",
    ci: LevelOption = 0.95,
    resamples: ResamplesOption = 5000,
    seed: SeedOption = 0,
    partial: PartialOption = False,
) -> None: ...


_SHARED: Final = inspect.signature(_declared).parameters
NAMES: Final = tuple(_SHARED)
"""The shared options, as parameters."""


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the shared options as one value, `options`, and a bar while it bootstraps.

    Args:
        command: Has a parameter `options`, and no parameter of the name of a shared one.

    Returns:
        The command as typer takes it: with the shared options in the place of `options`.
    """
    own = [one for one in inspect.signature(command).parameters.values() if one.name != "options"]
    shared = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in _SHARED.values()]
    parameters = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *shared]

    @functools.wraps(command)
    def asking(**words: Any) -> None:
        asked = {name: words.pop(name) for name in NAMES}
        with computing_bar():
            command(**words, options=options_of(**asked))

    asking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    asking.__annotations__ = {one.name: one.annotation for one in parameters}
    return asking


def options_of(**words: Any) -> "Options":
    """The options that the words of a command line mean.

    Raises:
        CommandError: If one of them is out of its bounds.
    """
    from ablate.cli.output import CommandError
    from results.statistics.options import Options

    for name in ("games", "arms"):
        words[name] = tuple(words[name]) if words[name] else None
    try:
        return Options(**words)
    except ValueError as error:
        raise CommandError(f"{error}.") from error


def refuse_unread(
    context: typer.Context, kinds: Sequence[str], unread: Mapping[str, frozenset[str]]
) -> None:
    """Refuses a shared option that changes nothing in any of the tables or figures asked for.

    Args:
        context: The command line.
        kinds: What is asked for; at least one.
        unread: By kind, the options that change nothing in it.

    Raises:
        CommandError: If the command line has such an option.
    """
    from ablate.cli.output import CommandError

    idle = frozenset.intersection(*(unread.get(kind, frozenset()) for kind in kinds))
    for name in given(context, tuple(sorted(idle))):
        raise CommandError(
            f"--{name} changes nothing in {' or '.join(kinds)}: leave it out. (Bootstraps alone "
            "have resamples and a seed; curves and costs are no scores.)"
        )


def given(context: typer.Context, names: tuple[str, ...]) -> list[str]:
    """Which of these parameters stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
