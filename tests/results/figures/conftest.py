"""What several tests ask of a figure."""

from collections.abc import Callable

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def words(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


def _labels_beyond_the_scale(figure: Figure) -> set[Text]:
    """Labels that matplotlib keeps and does not draw."""
    labels = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    labels |= {tick.label1, tick.label2}
    return labels


def cut_words(figure: Figure) -> list[str]:
    """Texts that do not lie wholly on the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    page = figure.bbox
    cut = []
    unseen = _labels_beyond_the_scale(figure)
    for text in figure.findobj(Text):
        if text in unseen or not text.get_visible() or not text.get_text().strip():
            continue
        box = text.get_window_extent(renderer)
        inside = (
            box.x0 >= page.x0 - 1
            and box.y0 >= page.y0 - 1
            and box.x1 <= page.x1 + 1
            and box.y1 <= page.y1 + 1
        )
        if not inside:
            cut.append(text.get_text())
    return cut


@pytest.fixture
def words_of() -> Callable[[Figure], list[str]]:
    """Every text of a figure."""
    return words


@pytest.fixture
def cut_words_of() -> Callable[[Figure], list[str]]:
    """Every text of a figure that the edge of the page cuts."""
    return cut_words


@pytest.fixture
def named() -> Callable[[Figure, str], list]:
    """The artists of a figure that carry a name (gid)."""
    return lambda figure, name: figure.findobj(lambda artist: artist.get_gid() == name)
