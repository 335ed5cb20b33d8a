"""What a table is: tidy numbers, and a layout of short texts that every format draws."""

import math
from dataclasses import dataclass

import pandas as pd

from results.statistics.intervals import Estimate

NOTHING = "-"


@dataclass(frozen=True)
class Entry:
    """One field of a layout; the best of its row or column is emphasised."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Layout:
    """A grid of texts.

    Attributes:
        header: One name per column.
        rows: The fields, row by row; the first `labels` of each are words, the rest numbers.
        labels: How many columns at the left are words.
        blocks: Indices of the rows above which a rule is drawn.
        legend: What emphasis means; empty where nothing is emphasised.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    labels: int = 1
    blocks: tuple[int, ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Table:
    """A table of one study.

    Attributes:
        kind: Which table it is, one of KINDS.
        title: One line.
        caption: How the numbers were made: protocol, frames, runs, intervals, what is missing.
        frame: The numbers, one tidy row per cell, in full precision; NaN where there is none.
        layout: The same for readers.
    """

    kind: str
    title: str
    caption: str
    frame: pd.DataFrame
    layout: Layout


def number(value: float, digits: int) -> str:
    """A number with so many decimals, a dash where there is none, and no minus zero."""
    if math.isnan(value):
        return NOTHING
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def plus_minus(estimate: Estimate, digits: int) -> str:
    """An estimate with the half-width of its interval, where it has one."""
    if math.isnan(estimate.high):
        return number(estimate.value, digits)
    half = number(estimate.high - estimate.value, digits)
    return f"{number(estimate.value, digits)} ± {half}"


def with_ends(value: float, low: float, high: float, digits: int) -> str:
    """A value with both ends of its interval, where it has one."""
    if math.isnan(low):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"
