"""Tables of what seeds can see, and of the seeds that an effect needs."""

import math

import pandas as pd

from results.statistics.study_power import Asked, StudyPower
from results.tables.table import Entry, Layout, Table, number


def detectable_table(found: StudyPower, asked: Asked) -> Table:
    """The smallest effect that each number of seeds finds: seeds down, questions across."""
    wide = found.detectable.pivot(index="seeds", columns="question", values="detectable")
    names = [one.name for one in found.questions]
    rows = tuple(
        (
            Entry(f"{seeds} (this study)" if seeds == found.own_seeds else str(seeds)),
            *(Entry(number(float(wide.loc[seeds, name]), 2)) for name in names),
        )
        for seeds in wide.index
    )
    paired = found.detectable["detectable_paired"].notna().any()
    return Table(
        kind="detectable",
        title=f"What seeds can see: {found.study}",
        caption=f"{_about(found, asked)}"
        + (
            f" Runs of one seed correlate with rho = {found.spread.rho:.2f}: the CSV and JSON "
            "hold what pairing them would give."
            if paired
            else ""
        ),
        frame=found.detectable,
        layout=Layout(("seeds", *names), rows),
    )


def needed_table(found: StudyPower, asked: Asked) -> Table:
    """The seeds that each effect needs: effects down, questions across."""
    names = [one.name for one in found.questions]
    limits = math.isfinite(found.spread.low)
    by_effect = found.needed.set_index(["effect", "question"])
    rows = tuple(
        (
            Entry(f"{effect:g}"),
            *(Entry(_seeds(by_effect.loc[(effect, name)], limits=limits)) for name in names),
        )
        for effect in dict.fromkeys(found.needed["effect"])
    )
    return Table(
        kind="needed",
        title=f"How many seeds an effect needs: {found.study}",
        caption="Seeds per arm and game; in brackets at both limits of the standard deviation."
        if limits
        else "Seeds per arm and game.",
        frame=found.needed,
        layout=Layout(("true effect (HNS)", *names), rows),
    )


def _about(found: StudyPower, asked: Asked) -> str:
    spread = found.spread
    limits = (
        f" [{spread.low:.3f}, {spread.high:.3f}] ({spread.df} degrees of freedom)"
        if math.isfinite(spread.low)
        else ""
    )
    return (
        f"The smallest true effect, in human-normalised score, that is found with "
        f"{100 * asked.power:g}% power by a two-sided test at {100 * asked.alpha:g}%: noncentral "
        "t with the interval's own degrees of freedom. Standard deviation between seeds: "
        f"{spread.sd:.3f}{limits}, from {spread.source}."
    )


def _seeds(row: "pd.Series[int]", *, limits: bool) -> str:
    def text(name: str) -> str:
        return "> 10,000" if row.isna()[name] else f"{row[name]:,}"

    if not limits:
        return text("seeds")
    return f"{text('seeds')} [{text('seeds_low')}, {text('seeds_high')}]"
