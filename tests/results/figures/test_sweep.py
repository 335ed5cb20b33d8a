import pytest

from results.figures.sweep import Point, draw

POINTS = [
    Point("batch", 32, 6.0, 2.0, 0.5, False),
    Point("batch", 8, 2.0, 1.0, 0.4, True),
    Point("horizon", 15, 3.0, 2.0, 0.45, True),
    Point("horizon", 30, 3.0, 4.0, 0.45, False),
]


def test_each_setting_has_a_panel_with_its_values_in_order():
    panels = draw(POINTS, "size atari, fp32, cpu").figure.axes
    assert [axes.get_xlabel() for axes in panels] == [
        "batch (sequences)",
        "horizon (imagined steps)",
    ]
    whole = panels[0].lines[0]
    assert whole.get_xdata().tolist() == [8, 32]
    assert whole.get_ydata().tolist() == [3, 8]
    assert [text.get_text() for text in panels[0].texts] == ["40%", "50%"]


def test_the_numbers_behind_it_are_all_there():
    drawn = draw(POINTS, "size atari, fp32, cpu")
    assert drawn.numbers["seconds"].tolist() == pytest.approx([8, 3, 5, 7])
    assert "size atari, fp32, cpu" in drawn.caption


def test_a_ring_marks_the_agent_that_all_panels_share():
    rings = [axes.lines[1] for axes in draw(POINTS, "size atari").figure.axes]
    assert [ring.get_xdata()[:].tolist() for ring in rings] == [[8], [15]]
    assert [ring.get_ydata()[:].tolist() for ring in rings] == [[3], [5]]


def test_the_axis_says_what_seconds_they_are():
    drawn = draw(POINTS, "size atari", seconds="processor seconds")
    assert drawn.figure.axes[0].get_ylabel() == "processor seconds per update"
    assert drawn.caption.startswith("Processor seconds of one update")
