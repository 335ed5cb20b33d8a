"""The findings of a study as the tiles of the interference map."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from results.figures import interference_map, style
from results.figures.drawn import Drawn
from results.figures.found import UNIT, Found, in_study
from results.figures.interference_legend import Places
from results.figures.interference_map import Panel, Tile
from results.statistics.cells import MEAN, NOT_DEFINED, NOT_IN_STUDY
from results.statistics.compared import BASE, FULL, items
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT, Effect, Interaction
from results.statistics.errors import StatisticsError, counted
from results.statistics.intervals import Estimate
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.study_data import StudyData

CLUSTERED_FROM = 4  # toggles; fewer are seen at a glance in the order of the study
Pair = tuple[str, str]


def draw_interference(data: StudyData, options: Options) -> Drawn:
    """Draws the interference map of a study.

    Below the diagonal stand the interactions at the base, above it those within the full agent;
    where a study has only averaged ones, because it crosses its toggles, they stand below.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    found = Found.of(data, options)
    study = data.study
    known = items(study)
    if not known:
        raise StatisticsError(
            f"Study {study.name!r} has no toggle: there is nothing that could interfere."
        )
    places = _places(found)
    exclusive = frozenset(
        (a.name, b.name) for a, b in itertools.combinations(known, 2) if a.toggle == b.toggle
    )
    scopes = (MEAN, *found.scores.games) if len(found.scores.games) > 1 else found.scores.games
    alone = options.columns == 1 and len(scopes) > 1
    if alone:
        scopes = (MEAN,)
    panels = [_panel(found, scope, places, exclusive) for scope in scopes]
    if not any(math.isfinite(tile.estimate) for panel in panels for tile in panel.tiles()):
        raise StatisticsError(found.nothing_to_show())
    order = clustered([item.name for item in known], _closeness(panels[0]))
    has_interval = any(tile.half_width is not None for p in panels for tile in p.tiles())
    with style.house_style():
        figure = interference_map.draw(
            panels,
            order,
            places,
            unit=UNIT,
            interval=found.interval() if has_interval else "",
            note=found.foot(),
            page=style.width(options.columns),
        )
    return Drawn(
        f"{study.name}_interference",
        "Interference map",
        _caption(found, places, moved=order != [item.name for item in known])
        + (" The games alone are in the numbers, and in the figure of two columns." * alone),
        figure,
        found.numbers(),
    )


def _caption(found: Found, places: Places, *, moved: bool) -> str:
    diagonal = (
        "A added to the base, L within the full agent" if places.cut else "averaged over the rest"
    )
    above = f"; above: {places.above}" if places.above else ""
    caption = (
        f"What each toggle does (diagonal: {diagonal}) and how pairs interact (below the "
        f"diagonal: {places.below}{above}). Blue: a toggle that helps, or a pair that gives more "
        "than the sum of its effects; red: the opposite. All panels share one colour scale, on "
        "which 0 is white."
    )
    if len(found.data.study.toggles) == 2:
        caption += " With two toggles both interactions are the same four arms."
    if moved:
        caption += " Toggles that reinforce each other stand side by side (average linkage)."
    return f"{caption} {found.caption()}"


def clustered(names: Sequence[str], closeness: Mapping[Pair, float]) -> list[str]:
    """Returns the names so that pairs with a high interaction stand side by side.

    Args:
        names: In the order of the study; kept where there are few of them.
        closeness: The interaction of every pair that has one; the others count as the lowest.
    """
    pairs = list(itertools.combinations(names, 2))
    if len(names) < CLUSTERED_FROM or 2 * len(closeness) < len(pairs):
        return list(names)
    lowest, highest = min(closeness.values()), max(closeness.values())
    distances = [highest - closeness.get(pair, lowest) for pair in pairs]
    if highest - lowest <= 0:
        return list(names)
    index = {name: place for place, name in enumerate(names)}
    square = np.zeros((len(names), len(names)))
    for (one, other), distance in zip(pairs, distances, strict=True):
        square[index[one], index[other]] = square[index[other], index[one]] = distance
    tree = hierarchy.linkage(squareform(square), method="average", optimal_ordering=True)
    leaves = [int(leaf) for leaf in hierarchy.leaves_list(tree)]
    if leaves.index(0) > leaves.index(len(names) - 1):
        leaves.reverse()  # a tree can be read from either end: the study's first comes first
    return [names[leaf] for leaf in leaves]


def _closeness(panel: Panel) -> dict[Pair, float]:
    """The mean of the two interactions of every pair that has one."""
    values: dict[Pair, list[float]] = {}
    for group in (panel.below, panel.above):
        for pair, tile in group.items():
            if math.isfinite(tile.estimate):
                values.setdefault(pair, []).append(tile.estimate)
    return {pair: sum(found) / len(found) for pair, found in values.items()}


def _places(found: Found) -> Places:
    """What stands where, by what the study can say."""
    effects = Counter(one.kind for one in found.effects if in_study(one) and one.scope == MEAN)
    here = max(effects[ADD_ONE_IN], effects[LEAVE_ONE_OUT])
    pairs = {one.background for one in found.interactions if in_study(one)}
    asked = {
        one.background
        for one in found.interactions
        if not one.estimate.note.startswith(NOT_IN_STUDY)
    }
    return Places(
        cut=2 * here >= effects[AVERAGED],  # a screen holds a toggle alone only by chance
        lower=AVERAGED if AVERAGED in pairs and BASE not in pairs else BASE,
        upper="" if AVERAGED in pairs and FULL not in asked else FULL,
    )


def _panel(found: Found, scope: str, places: Places, exclusive: frozenset[Pair]) -> Panel:
    count = len(found.findings.cells.compared_games)
    effects = [one for one in found.effects if one.scope == scope]
    pairs = [one for one in found.interactions if one.scope == scope]

    def of_kind(kind: str) -> dict[str, Tile]:
        return {one.name: _effect_tile(one) for one in effects if one.kind == kind}

    def at(background: str) -> dict[Pair, Tile]:
        tiles = {(p.first, p.second): _pair_tile(p) for p in pairs if p.background == background}
        if background:
            tiles |= {pair: Tile(state="undefined") for pair in exclusive}
        return tiles

    return Panel(
        title=f"Mean of {counted(count, 'game')}" if scope == MEAN else scope,
        added=of_kind(ADD_ONE_IN) if places.cut else {},
        left_out=of_kind(LEAVE_ONE_OUT) if places.cut else {},
        whole={} if places.cut else of_kind(AVERAGED),
        below=at(places.lower),
        above=at(places.upper),
    )


def _effect_tile(effect: Effect) -> Tile:
    each = effect.kind != AVERAGED  # of many cells some are always at a bound
    return tile_of(
        effect.estimate,
        floor=each and bool(effect.floor),
        ceiling=each and bool(effect.ceiling),
    )


def _pair_tile(pair: Interaction) -> Tile:
    each = pair.background != AVERAGED
    return tile_of(
        pair.estimate,
        floor=each and bool(pair.floor),
        ceiling=each and bool(pair.ceiling),
        significant=pair.significant,
        crossover=bool(pair.crossover),
    )


def tile_of(
    estimate: Estimate,
    *,
    floor: bool,
    ceiling: bool = False,
    significant: bool = False,
    crossover: bool = False,
) -> Tile:
    """Turns an estimate into a tile; NaN becomes one that says why.

    What is significant is never "cannot tell", even where the seeds would mostly have missed it.
    """
    if not math.isfinite(estimate.value):
        if estimate.note.startswith(NOT_DEFINED):
            return Tile(state="undefined")
        return Tile(state="" if estimate.note.startswith(NOT_IN_STUDY) else "missing")
    return Tile(
        estimate=estimate.value,
        half_width=(estimate.high - estimate.low) / 2 if math.isfinite(estimate.low) else None,
        significant=significant,
        excludes_zero=estimate.low > 0 or estimate.high < 0,
        cannot_tell=abs(estimate.value) < estimate.mde and not significant,
        crossover=crossover,
        floor_limited=floor,
        ceiling_limited=ceiling,
    )
