"""Rows of a query as a pandas frame whose columns have their types even when it is empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOMENT = "datetime64[ns, UTC]"
WHOLE = "int64"
WHOLE_OR_MISSING = "Int64"
REAL = "float64"
FLAG = "bool"
TEXT = "object"


def frame(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A frame with exactly these columns, of these types, in this order."""
    import pandas as pd  # half a second, which `ablate --help` need not wait for

    table = pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(columns))
    for name, kind in columns.items():
        if kind == MOMENT:
            table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601")
    return table.astype(dict(columns))
