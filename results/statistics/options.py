"""How the numbers of a study are asked for: the same options for every table and figure."""

from dataclasses import dataclass
from typing import Literal

Measure = Literal["end", "auc"]
MEASURES: tuple[Measure, ...] = ("end", "auc")


@dataclass(frozen=True)
class Options:
    """What to compute, and how sure to be.

    Attributes:
        at: Env frames at which the arms are compared; None is the end of the budget.
        norm: The normalisation table: its name, or the path of a CSV file.
        games: Games to keep, in this order, a word being a game, several with commas between
            them, or one of `game_sets.SETS`; None keeps the study's.
        arms: Arms to keep, in this order, a word being an arm, or several with commas between
            them; None keeps the study's.
        ci: Level of every interval, in (0, 1).
        resamples: Bootstrap resamples of the aggregates.
        seed: Seed of the bootstrap.
        partial: Answers with the runs that are there, and says how many; False refuses.
        measure: What scores a run: its evaluation at the end (or at `at`), or "auc", the mean
            height of its evaluation curve up to there.
        columns: How many columns of a two-column paper a figure spans, 1 or 2.
    """

    at: int | None = None
    norm: str = "wang2016"
    games: tuple[str, ...] | None = None
    arms: tuple[str, ...] | None = None
    ci: float = 0.95
    resamples: int = 5000
    seed: int = 0
    partial: bool = False
    measure: Measure = "end"
    columns: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.ci < 1:
            raise ValueError(f"ci is the level of an interval, between 0 and 1, not {self.ci}")
        if self.resamples < 1:
            raise ValueError(f"resamples must be at least 1, not {self.resamples}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie between 0 and 2**32 - 1, not {self.seed}")
        if self.at is not None and self.at < 1:
            raise ValueError(f"at is a number of env frames, at least 1, not {self.at}")
        if self.measure not in MEASURES:
            raise ValueError(f"a run is measured at its end or by auc, not by {self.measure!r}")
        if self.columns not in (1, 2):
            raise ValueError(f"a figure spans 1 or 2 columns, not {self.columns}")
        for name, chosen in (("games", self.games), ("arms", self.arms)):
            if chosen is not None and (not chosen or len(set(chosen)) < len(chosen)):
                raise ValueError(f"{name} must name at least one and none twice: {chosen}")
