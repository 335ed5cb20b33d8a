"""The cost of an update against the sizes that it depends on: one panel per setting."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from results.figures import style
from results.figures.drawn import Drawn

NAMES = {
    "batch": "batch (sequences)",
    "length": "length (agent steps)",
    "deter": "recurrent units (deter)",
    "horizon": "horizon (imagined steps)",
}


@dataclass(frozen=True)
class Point:
    """The cost at one value of one setting, the others as they are."""

    setting: str
    value: int
    world_model_seconds: float
    behaviour_seconds: float
    fraction_of_limit: float
    is_base: bool
    """Whether this is the agent that the others differ from by one setting."""

    @property
    def seconds(self) -> float:
        """Of the whole update."""
        return self.world_model_seconds + self.behaviour_seconds


def draw(points: Sequence[Point], workload: str, *, seconds: str = "seconds") -> Drawn:
    """Draws seconds per update, its two parts stacked, for each setting.

    Args:
        points: In any order; those of one setting share a panel.
        workload: What was measured, in a few words.
        seconds: What kind of seconds they are.
    """
    settings = list(dict.fromkeys(point.setting for point in points))
    with style.house_style():
        figure = Figure(figsize=(style.TWO_COLUMNS, 2.6))
        panels = figure.subplots(1, len(settings), sharey=True, squeeze=False)[0]
        for axes, setting in zip(panels, settings, strict=True):
            here = sorted((p for p in points if p.setting == setting), key=lambda p: p.value)
            _panel(axes, here, NAMES.get(setting, setting))
        panels[0].set_ylabel(f"{seconds} per update")
        panels[0].set_ylim(bottom=0)
        panels[0].legend(loc="upper left", borderaxespad=0.1)
        style.foot_note(
            figure,
            f"{workload}. Ring: the same agent in every panel; elsewhere one setting differs.\n"
            "Above each point: operations per second, as a share of what one large matrix product "
            "reaches.\n"
            "Horizontal scales are logarithmic: a cost in proportion to a setting curves upwards.",
        )
        figure.subplots_adjust(left=0.075, right=0.985, top=0.96, bottom=0.37, wspace=0.12)
    caption = (
        f"{seconds.capitalize()} of one update of world model and behaviour ({workload}) when "
        "one setting changes and the others stay as they are at the ring; the percentage is the "
        "share of the rate of a large matrix product."
    )
    numbers = pd.DataFrame([{**asdict(point), "seconds": point.seconds} for point in points])
    return Drawn("bench_sweep", "Cost of an update", caption, figure, numbers)


def _panel(axes: Axes, points: Sequence[Point], name: str) -> None:
    values = [point.value for point in points]
    model = [point.world_model_seconds for point in points]
    whole = [point.seconds for point in points]
    axes.fill_between(values, 0, model, color=style.BLUE, alpha=0.75, lw=0, label="world model")
    axes.fill_between(
        values, model, whole, color=style.ORANGE, alpha=0.75, lw=0, label="behaviour"
    )
    axes.plot(values, whole, color=style.BLACK, marker="o", lw=0.8, clip_on=False, zorder=3)
    base = [point for point in points if point.is_base]
    axes.plot(
        [point.value for point in base],
        [point.seconds for point in base],
        ls="",
        marker="o",
        markersize=5.5,
        markeredgewidth=1.2,
        markeredgecolor=style.BLACK,
        markerfacecolor="white",
        zorder=4,
    )
    for point in points:
        axes.annotate(
            f"{point.fraction_of_limit:.0%}",
            (point.value, point.seconds),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
            annotation_clip=False,
            path_effects=[withStroke(linewidth=1.6, foreground="white")],
            zorder=5,
        )
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.margins(x=0.18, y=0.18)
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_xlabel(name)
