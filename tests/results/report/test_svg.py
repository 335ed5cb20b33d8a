import re
import xml.etree.ElementTree as ET

import pytest

from results import figures
from results.report import svg
from results.statistics.options import Options

QUICK = Options(resamples=50)


@pytest.fixture
def drawn(noisy_data):
    return figures.draw("interference", noisy_data, QUICK)


def ids(text):
    return re.findall(r'\bid="([^"]+)"', text)


def references(text):
    return re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)


def test_every_id_carries_the_figures_name_and_is_used(drawn):
    text = svg.inline(drawn)
    found = ids(text)
    assert found
    assert len(set(found)) == len(found)
    assert all(one.startswith("synthetic_interference-") for one in found)
    assert set(references(text)) == set(found)


def test_nothing_but_the_picture_is_left(drawn):
    text = svg.inline(drawn)
    assert text.startswith("<svg ")
    assert "<style" not in text
    assert "metadata" not in text
    assert "<?xml" not in text


def test_a_reader_of_the_screen_hears_title_and_caption(drawn):
    root = ET.fromstring(svg.inline(drawn))
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"{drawn.title}. {drawn.caption}"


def test_the_picture_scales(drawn):
    root = ET.fromstring(svg.inline(drawn))
    assert root.get("viewBox")
    assert root.get("height") is None


def test_the_same_figure_is_the_same_text(noisy_data):
    first, second = (svg.inline(figures.draw("effects", noisy_data, QUICK)) for _ in range(2))
    assert first == second
