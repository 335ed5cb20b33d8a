"""Which arms stand for a study that has more of them than a figure can show.

A factorial of six toggles has 64 arms. Side by side they would be unreadable, and the combinations
have a figure of their own; so what compares arms shows the base, the full agent and what is one
toggle away from either.
"""

from collections.abc import Iterator
from typing import Final

from results.database.records import StudyRecord
from results.statistics.compared import Cell, items
from results.statistics.shapley import players_of

MOST: Final = 16  # arms; of more only some are shown
IN_ROWS: Final = ("aggregates", "improvement")
IN_LINES: Final = ("curves", "profiles", "efficiency")


def standing_for_all(study: StudyRecord, kind: str) -> tuple[tuple[str, ...], str]:
    """The arms that a figure shows of a study with too many, and the words for it.

    Args:
        study: The study.
        kind: The figure.

    Returns:
        No arm and no words where all are shown: there are not too many, or no base among them.
    """
    if kind not in (*IN_ROWS, *IN_LINES) or len(study.arms) <= MOST:
        return (), ""
    names = {frozenset(arm.toggles.items()): arm.name for arm in study.arms}
    wanted = list(_near(study, left_out=kind in IN_ROWS))
    shown = tuple(dict.fromkeys(names[cell] for cell in wanted if cell in names))
    if frozenset() not in names or len(shown) < 2:
        return (), ""
    what = "each toggle alone and the full agent"
    if kind in IN_ROWS:
        what = "each toggle alone, the full agent and what it is without each toggle"
    return shown, (
        f"Of {len(study.arms)} arms {len(shown)} are shown: the base, {what}, as far as there "
        "are; --arms chooses others."
    )


def _near(study: StudyRecord, *, left_out: bool) -> Iterator[Cell]:
    full = players_of(study)
    yield frozenset()
    for item in items(study):
        yield frozenset({(item.toggle, item.level)})
    yield full
    if left_out:
        for toggle in study.toggles:
            yield frozenset(one for one in full if one[0] != toggle.name)
