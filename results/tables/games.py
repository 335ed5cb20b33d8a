"""Tables of games as proxies for a benchmark, and of the subsets that predict its median."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from results.statistics.errors import counted
from results.statistics.game_subsets import Subsets
from results.statistics.proxy_games import FORMULA, ProxyGame
from results.tables.table import Entry, Layout, Table, number


def proxies_table(study: str, found: Sequence[ProxyGame], env_frames: int) -> Table:
    """Games down, the three criteria and their fitness across."""
    rows = tuple(
        (
            Entry(one.game),
            Entry(number(one.score, 3)),
            Entry(number(one.increase, 2)),
            Entry(number(one.spread, 2)),
            Entry(number(one.fitness, 3)),
            Entry(str(one.seeds)),
            Entry(str(one.points)),
        )
        for one in found
    )
    unknown = [one.game for one in found if math.isnan(one.fitness)]
    without = (
        f" Without a fitness, for want of a second seed or of a curve: {', '.join(unknown)}."
        if unknown
        else ""
    )
    return Table(
        kind="games",
        title=f"Games as proxies: {study}, at {env_frames:,} env frames",
        caption=f"{FORMULA[0].upper()}{FORMULA[1:]}. Averaged over arms.{without}",
        frame=pd.DataFrame([asdict(one) for one in found]),
        layout=Layout(
            ("game", "score P", "increase R", "spread V", "fitness", "seeds", "points"), rows
        ),
    )


def subsets_table(study: str, found: Subsets) -> Table:
    """The best subsets with their weights and errors."""
    rows = tuple(
        (
            Entry(", ".join(one.games)),
            Entry(" + ".join(f"{w:.2f} {g}" for w, g in zip(one.weights, one.games, strict=True))),
            Entry(f"{one.error:.3f}"),
        )
        for one in found.best
    )
    return Table(
        kind="subsets",
        title=f"Games that predict the median of {counted(len(found.benchmark), 'game')}: {study}",
        caption=(
            "φ(median) = Σ w φ(score), φ(s) = log10(1 + max(0, 100 s)), without intercept, over "
            f"{len(found.methods)} arms (Atari-5, arXiv 2210.02019); {found.searched:,} subsets "
            "compared by their leave-one-out error (root mean square, log10). The best of many "
            "flatters itself: chosen anew without a fifth of the arms at a time, it predicts "
            f"those with an error of {found.honest_error:.3f} (the mean of the other arms: "
            f"{found.baseline_error:.3f}), R² = {found.honest_r2:.2f}."
        ),
        frame=pd.DataFrame(
            [
                {
                    "games": " ".join(one.games),
                    "weights": " ".join(f"{w:.6g}" for w in one.weights),
                    "loo_error": one.error,
                    "honest_error": found.honest_error,
                    "honest_r2": found.honest_r2,
                    "baseline_error": found.baseline_error,
                    "arms": len(found.methods),
                    "searched": found.searched,
                }
                for one in found.best
            ]
        ),
        layout=Layout(("games", "regression", "leave-one-out error"), rows, labels=2),
    )
