"""parquet: the long table of csv as a Parquet file, with its types."""

from __future__ import annotations

import io
from pathlib import Path

from results.exchange import long_table
from results.exchange.errors import ExchangeError
from results.exchange.record import COLUMNS, Reading, ReadOptions, RecordSet

PATTERNS = ("*.parquet",)


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The records of a file.

    Raises:
        ExchangeError: If the file is no such table, or what its x counts is not said.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise ExchangeError(f"{path} cannot be read as Parquet: {error}.") from error
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return long_table.reading(path, list(table.column_names), rows, options)


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """The file that holds the records."""
    import pyarrow
    from pyarrow import parquet

    kinds = (
        pyarrow.string(),
        pyarrow.string(),
        pyarrow.int64(),
        pyarrow.int64(),
        pyarrow.float64(),
    )
    columns = list(zip(*long_table.rows(record_set), strict=True)) or [()] * len(COLUMNS)
    table = pyarrow.table(
        [pyarrow.array(column, kind) for column, kind in zip(columns, kinds, strict=True)],
        names=list(COLUMNS),
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return {path: buffer.getvalue()}
