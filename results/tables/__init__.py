"""Tables of a study: build one from its data, render it in any format."""

from collections.abc import Callable, Mapping
from typing import Final

from results.statistics.errors import UnknownName, nearest
from results.statistics.options import Options
from results.statistics.study_data import StudyData
from results.tables.compute import compute_table
from results.tables.contrasts import effects_table, interactions_table
from results.tables.render import FORMATS, render, rich_table
from results.tables.scores import aggregates_table, hns_table, scores_table
from results.tables.table import Table

_BUILDERS: dict[str, Callable[[StudyData, Options], Table]] = {
    "scores": scores_table,
    "hns": hns_table,
    "aggregates": aggregates_table,
    "effects": effects_table,
    "interactions": interactions_table,
    "compute": compute_table,
}
KINDS = tuple(_BUILDERS)
UNREAD: Final[Mapping[str, frozenset[str]]] = {
    "scores": frozenset({"resamples", "seed"}),
    "compute": frozenset({"at", "norm", "measure", "ci", "resamples", "seed"}),
}
"""The options that change nothing in a table; those of `Options` that are not here do."""

__all__ = ["FORMATS", "KINDS", "UNREAD", "Table", "build", "render", "rich_table"]


def build(kind: str, data: StudyData, options: Options) -> Table:
    """Makes one of KINDS from the data of a study.

    Raises:
        UnknownName: if there is no such kind, or the options name what the study has not.
        StatisticsError: if the recorded runs cannot answer; IncompleteStudy where runs are
            missing and the options do not ask for a partial answer.
    """
    if kind not in _BUILDERS:
        raise UnknownName(f"There is no table {kind!r}: {nearest(kind, KINDS)}")
    return _BUILDERS[kind](data, options)
