"""What the statistics refuse: one clear paragraph each, with the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class StatisticsError(Exception):
    """A question that the recorded runs cannot answer as it was asked."""


class IncompleteStudy(StatisticsError):
    """Runs are missing and the caller has not asked for a partial answer."""


class UnknownName(StatisticsError):
    """A game, an arm, a table, a kind or a format that does not exist here."""


class UnknownGame(UnknownName):
    """A game without reference scores in the normalisation table."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """Says which of the choices is closest to a name that was not found, else what is known."""
    known = list(choices)
    return did_you_mean(name, known, cutoff=0.5) or f"known are {listed(known)}."


def did_you_mean(name: str, choices: Iterable[str], *, cutoff: float) -> str:
    """Asks whether one of the choices was meant; empty where none is that similar (0 to 1)."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return f"did you mean {by_lower[close[0]]!r}?" if close else ""


def counted(count: int, noun: str) -> str:
    """Writes a number of things: `1 game`, `1,200 games`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Writes names in a row, at most so many, then how many are left."""
    shown = ", ".join(names[:most])
    left = len(names) - most
    return f"{shown} and {left} more" if left > 0 else shown or "none"
