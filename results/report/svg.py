"""Figures as SVG elements that stand side by side in one HTML page."""

import re
import xml.etree.ElementTree as ET

from results.figures import style
from results.figures.drawn import Drawn

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline(drawn: Drawn) -> str:
    """Returns a figure as an `<svg>` element whose ids no other figure of the page has.

    matplotlib gives every figure the ids figure_1, axes_1, ... and every glyph its name, which a
    browser would look up in the first SVG of the page. Ids that something refers to get the
    figure's name in front, all others go; so do the metadata and the style sheet, which would
    apply to the whole page.
    """
    text = style.render(
        drawn.figure, "svg", title=drawn.title, description=drawn.caption, salt=drawn.name
    ).decode()
    root = ET.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    used = set(_references(root))
    for element in root.iter():
        _rename(element, used, drawn.name)
    root.set("role", "img")
    root.set("aria-label", f"{drawn.title}. {drawn.caption}")
    del root.attrib["height"]  # the page's style sheet sets the width
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _references(root: ET.Element) -> list[str]:
    """Lists the ids that elements refer to, by link or by url(#...)."""
    found = []
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.endswith("href") and value.startswith("#"):
                found.append(value[1:])
            found += _REFERENCE.findall(value)
    return found


def _rename(element: ET.Element, used: set[str], prefix: str) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id":
            if value in used:
                element.set(key, f"{prefix}-{value}")
            else:
                del element.attrib[key]
        elif key.endswith("href") and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))
