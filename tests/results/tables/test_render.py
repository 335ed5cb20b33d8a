import dataclasses
import io
import json
from html.parser import HTMLParser

import pandas as pd
import pytest
from rich.console import Console

from results.statistics.errors import UnknownName
from results.tables.render import FORMATS, render, rich_table
from results.tables.table import Entry, Layout, Table


@pytest.fixture
def table():
    frame = pd.DataFrame(
        {"arm": ["base", "a_b"], "value": [1 / 3, float("nan")], "note": ["", "no run yet"]}
    )
    layout = Layout(
        header=("game", "base", "a_b & 5%"),
        rows=(
            (Entry("Pong"), Entry("-1.000 ± 0.1"), Entry("0.500 [0.1, 0.9]", best=True)),
            (Entry("mean | all"), Entry("-"), Entry("<b>")),
        ),
        blocks=(1,),
        legend="the best of the row.",
    )
    return Table("hns", "Scores: smoke_test", "At 5% of $x$.", frame, layout)


def test_csv_holds_the_numbers_in_full_precision(table):
    read = pd.read_csv(io.StringIO(render(table, "csv")))
    assert read["value"].tolist()[0] == 1 / 3
    assert read["value"].isna().tolist() == [False, True]


def test_json_holds_the_numbers_and_null_for_what_is_missing(table):
    read = json.loads(render(table, "json"))
    assert read["rows"] == [
        {"arm": "base", "value": 1 / 3, "note": ""},
        {"arm": "a_b", "value": None, "note": "no run yet"},
    ]
    assert (read["kind"], read["title"], read["caption"]) == (
        "hns",
        "Scores: smoke_test",
        "At 5% of $x$.",
    )


def test_markdown_escapes_what_would_break_the_table(table):
    lines = render(table, "markdown").splitlines()
    assert lines[2] == r"| game | base | a\_b & 5% |"
    assert lines[3] == "| :-- | --: | --: |"
    assert lines[4] == r"| Pong | -1.000 ± 0.1 | **0.500 \[0.1, 0.9\]** |"
    assert lines[5] == r"| mean \| all | - | \<b\> |"
    assert lines[-1] == "At 5% of $x$. Bold marks the best of the row."


def test_latex_is_a_booktabs_table_with_everything_escaped(table):
    text = render(table, "latex")
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lrr}"):
        assert rule in text
    assert r"game & base & a\_b \& 5\% \\" in text
    assert r"Pong & $-$1.000 $\pm$ 0.1 & \textbf{0.500 [0.1, 0.9]} \\" in text
    assert r"\textless{}b\textgreater{}" in text
    assert r"At 5\% of \$x\$." in text
    assert text.isascii()
    assert text.count(r"\midrule") == 2  # below the header, and between the blocks


def test_html_is_a_whole_table_with_everything_escaped(table):
    text = render(table, "html")
    assert "<strong>0.500 [0.1, 0.9]</strong>" in text
    assert "&lt;b&gt;" in text
    assert '<th scope="row">Pong</th>' in text
    opened = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balance().feed(text)
    assert not opened
    assert text.count("<tbody>") == 2


def test_a_terminal_shows_every_field_and_stars_the_best(table):
    text = render(table, "rich")
    assert "0.500 [0.1, 0.9] *" in text  # brackets are no markup
    assert "The star marks the best of the row." in " ".join(text.split())
    assert "Scores: smoke_test" in text


def test_a_narrow_terminal_folds_and_loses_nothing(table):
    text = render(table, "rich", width=30)
    assert max(len(line) for line in text.splitlines()) <= 30
    letters = "".join(text.split())
    for word in ("Pong", "smoke_test", "±", "0.9]"):
        assert word in letters


def test_a_colour_terminal_shows_the_best_in_bold(table):
    console = Console(force_terminal=True, color_system="standard", width=100, file=io.StringIO())
    console.print(rich_table(table))
    assert "\x1b[1m0.500 [0.1, 0.9] *" in console.file.getvalue()


def test_without_a_best_there_is_no_legend(table):
    plain = Table("hns", "t", "c.", table.frame, Layout(("game",), ((Entry("Pong"),),)))
    for format in ("rich", "markdown", "latex", "html"):
        assert "marks" not in render(plain, format)


def test_an_unknown_format_is_refused_with_the_nearest(table):
    with pytest.raises(UnknownName, match="did you mean 'markdown'"):
        render(table, "markdwn")


def test_every_format_is_written(table):
    assert FORMATS == ("rich", "markdown", "latex", "csv", "json", "html")
    assert all(render(table, format).endswith("\n") for format in FORMATS)


@pytest.mark.parametrize("columns", [300, 70, 20])
def test_a_terminal_that_is_too_narrow_wraps_words_and_breaks_no_number(
    columns, table, monkeypatch
):
    words = "seeds equal " * 4
    numbers = ("-0.099 [-0.129, -0.069]", "1.000 ± 0.1")
    layout = Layout(
        ("game", "base", "full", "notes"),
        ((Entry("mean of games"), Entry(numbers[0], best=True), Entry(numbers[1]), Entry(words)),),
    )
    wide = dataclasses.replace(table, layout=layout)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    body = render(wide, "rich").split("At 5%")[0].splitlines()
    row = next(line for line in body if numbers[0] in line)
    assert f"{numbers[0]} *" in row
    assert numbers[1] in row
    assert ("mean of games" in row) == (columns > 100)
    if columns > 60:
        assert max(map(len, body)) <= columns
    assert max(map(len, body)) <= 120


def test_a_row_of_latex_that_begins_with_a_bracket_is_no_argument_of_the_row_above(table):
    rows = (*table.layout.rows, (Entry("[ours]"), Entry("1"), Entry("2")))
    layout = dataclasses.replace(table.layout, rows=rows)
    text = render(dataclasses.replace(table, layout=layout), "latex")
    assert "\n{}[ours] & 1 & 2 \\\\\n" in text
    assert "\\\\\n[" not in text
