"""Tables as text: for terminals, papers, pages, spreadsheets and programs."""

import html
import io
import json
import math
import re
import shutil
import sys
from collections.abc import Callable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from results.statistics.errors import UnknownName, nearest
from results.tables.table import Entry, Table

BEST_MARK = " *"


def render(table: Table, format: str, *, width: int | None = None) -> str:
    """Writes a table in one of FORMATS.

    csv and json hold the plain numbers in full precision, one row per cell; the others the
    layout for readers, caption included.

    Args:
        table: The table.
        format: One of FORMATS.
        width: Columns of the page, for `rich`; None takes those of the terminal, and outside
            of one what the table needs.

    Raises:
        UnknownName: if there is no such format.
    """
    if format == "rich":
        return _rich(table, width)
    if format not in _WRITERS:
        raise UnknownName(f"There is no table format {format!r}: {nearest(format, FORMATS)}")
    return _WRITERS[format](table)


NARROWEST_CAPTION = 72
"""Characters of a line of the title and the caption, however narrow the table is."""


def rich_table(table: Table, *, whole: bool = False) -> RichTable:
    """The table for a rich console, without title and caption; the best of a row has a star.

    Args:
        table: The table.
        whole: Never break a number or a word, however narrow the console.
    """
    drawn = RichTable(box=box.SIMPLE_HEAD)
    for column, name in enumerate(table.layout.header):
        right = column >= table.layout.labels and name != "notes"
        texts = [
            entry.text + BEST_MARK if entry.best else entry.text
            for entry in (row[column] for row in table.layout.rows)
        ]
        parts = texts if right else [word for text in texts for word in text.split()]
        drawn.add_column(
            Text(name),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right and whole,
            min_width=max(map(cell_len, [*parts, *name.split()])) if whole else None,
        )
    ends = {block - 1 for block in table.layout.blocks}
    for index, row in enumerate(table.layout.rows):
        fields = [
            Text(entry.text + BEST_MARK, style="bold") if entry.best else Text(entry.text)
            for entry in row
        ]
        drawn.add_row(*fields, end_section=index in ends)
    return drawn


def _rich(table: Table, width: int | None) -> str:
    drawn = rich_table(table, whole=width is None)
    columns = width
    if width is None:
        needed = Console(width=10_000).measure(drawn)
        width = needed.maximum
        if sys.stdout.isatty():
            width = max(needed.minimum, min(width, shutil.get_terminal_size().columns))
    text = io.StringIO()
    columns = columns if columns is not None else max(width, NARROWEST_CAPTION)
    console = Console(width=columns, file=text, color_system=None)
    console.print(Text(table.title))
    console.print(drawn, width=width)
    console.print(Text(_caption(table, "The star marks")))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _markdown(table: Table) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)

    def field(entry: Entry) -> str:
        return f"**{escape(entry.text)}**" if entry.best else escape(entry.text)

    layout = table.layout
    rules = [
        ":--" if column < layout.labels or name == "notes" else "--:"
        for column, name in enumerate(layout.header)
    ]
    lines = [
        f"**{escape(table.title)}**",
        "",
        f"| {' | '.join(escape(name) for name in layout.header)} |",
        f"| {' | '.join(rules)} |",
        *(f"| {' | '.join(field(entry) for entry in row)} |" for row in layout.rows),
        "",
        escape(_caption(table)),
    ]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
}


def _latex(table: Table) -> str:
    def escape(text: str) -> str:
        escaped = "".join(_LATEX.get(character, character) for character in text)
        return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)

    def field(entry: Entry) -> str:
        return rf"\textbf{{{escape(entry.text)}}}" if entry.best else escape(entry.text)

    layout = table.layout
    columns = "".join(
        "l" if column < layout.labels or name == "notes" else "r"
        for column, name in enumerate(layout.header)
    )
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{table.title}. {_caption(table)}')}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(escape(name) for name in layout.header) + r" \\",
        r"\midrule",
    ]
    for index, row in enumerate(layout.rows):
        if index in layout.blocks:
            lines.append(r"\midrule")
        fields = " & ".join(field(entry) for entry in row)
        # LaTeX reads a [ or * after the \\ of the row above as an argument of that
        guard = "{}" if fields.startswith(("[", "*")) else ""
        lines.append(rf"{guard}{fields} \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _html(table: Table) -> str:
    def field(column: int, name: str, entry: Entry) -> str:
        text = html.escape(entry.text)
        if entry.best:
            text = f"<strong>{text}</strong>"
        if column < table.layout.labels:
            return f'<th scope="row">{text}</th>'
        return f'<td class="note">{text}</td>' if name == "notes" else f"<td>{text}</td>"

    layout = table.layout
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in layout.header)
    lines = [
        f'<table class="{html.escape(table.kind)}">',
        f"<caption><b>{html.escape(table.title)}.</b> {html.escape(_caption(table))}</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
    ]
    for index, row in enumerate(layout.rows):
        if index in layout.blocks:
            lines += ["</tbody>", "<tbody>"]
        fields = "".join(
            field(column, name, entry)
            for column, (name, entry) in enumerate(zip(layout.header, row, strict=True))
        )
        lines.append(f"<tr>{fields}</tr>")
    lines += ["</tbody>", "</table>"]
    return "\n".join(lines) + "\n"


def _csv(table: Table) -> str:
    return str(table.frame.to_csv(index=False, lineterminator="\n"))


def _json(table: Table) -> str:
    rows = [
        {
            str(column): None if isinstance(value, float) and math.isnan(value) else value
            for column, value in row.items()
        }
        for row in table.frame.to_dict(orient="records")
    ]
    contents = {
        "kind": table.kind,
        "title": table.title,
        "caption": table.caption,
        "rows": rows,
    }
    return json.dumps(contents, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _caption(table: Table, marks: str = "Bold marks") -> str:
    legend = table.layout.legend
    return f"{table.caption} {marks} {legend}" if legend else table.caption


_WRITERS: dict[str, Callable[[Table], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
    "html": _html,
}
FORMATS = ("rich", *_WRITERS)
