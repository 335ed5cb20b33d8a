import matplotlib
import pytest
from matplotlib.figure import Figure

from results.figures import style


def a_figure() -> Figure:
    with style.house_style():
        figure = Figure(figsize=(2, 2))
        axes = figure.subplots()
        axes.plot([0, 1], "o-")
        axes.set_xlabel("env frames")
    return figure


def test_the_house_style_leaves_no_trace():
    before = dict(matplotlib.rcParams)
    with style.house_style():
        assert matplotlib.rcParams["font.size"] == style.RC["font.size"]
    assert dict(matplotlib.rcParams) == before


def test_the_house_style_overrides_the_users_own_settings():
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}), style.house_style():
        assert matplotlib.rcParams["axes.facecolor"] == "white"
        assert matplotlib.rcParams["font.size"] == style.RC["font.size"]


@pytest.mark.parametrize("file_format", ["svg", "pdf", "png"])
def test_the_same_figure_gives_the_same_bytes(file_format):
    first, second = (
        style.render(a_figure(), file_format, title="T", description="D − ä") for _ in range(2)
    )
    assert first == second


def test_files_carry_the_caption_and_no_date():
    text = style.render(a_figure(), "svg", title="A title", description="A caption").decode()
    assert "A title" in text
    assert "A caption" in text
    assert "dc:date" not in text


def test_colours_of_series_are_colour_blind_safe_and_differ():
    okabe_ito = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00",
                 "#CC79A7"}  # fmt: skip
    colors = [style.series_color(index) for index in range(7)]
    assert len(set(colors)) == 7
    assert set(colors) <= okabe_ito


def test_series_beyond_the_palette_differ_in_line_style():
    looks = {(style.series_color(i), style.series_line(i)) for i in range(21)}
    assert len(looks) == 21


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(0.123, 2, "+0.12"), (-0.5, 1, "−0.5"), (-0.001, 2, "0.00"), (12.0, 0, "+12")],
)
def test_numbers_have_a_sign_unless_they_round_to_zero(value, places, text):
    assert style.signed(value, places) == text


@pytest.mark.parametrize(
    ("largest", "places"), [(250, 0), (12, 1), (1.2, 2), (0.5, 2), (0.2, 3), (0.005, 4)]
)
def test_small_numbers_get_more_decimals(largest, places):
    assert style.decimals(largest) == places


def test_long_names_of_arms_break_before_a_plus_and_lose_nothing():
    name = "base+augmentation+ratio+reset+algorithm:ppo"
    broken = style.broken(name, 20)
    assert broken.replace("\n", "") == name
    assert all(line.startswith("+") for line in broken.splitlines()[1:])
    assert style.broken("base+ratio", 20) == "base+ratio"
