"""From matplotlib to inline SVG for a page: own ids, the page's colours, values to be read off by pointing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, RULE, BAR, AXIS, PAPER = "#1c2024", "#5b6570", "#e3e6ea", "#eef0f3", "#aab1b9", "#ffffff"
PALETTE = ("#1a5fb4", "#b8500c", "#1b7f5c", "#8a3fa0", "#8c6a00", "#b3265e", "#3d6e8f", "#5f5f5f")
VARIABLES = {INK: "ink", GREY: "soft", RULE: "line", BAR: "track", AXIS: "axis", PAPER: "paper"} | {
    colour: f"c{place}" for place, colour in enumerate(PALETTE)
}  # the names these colours have in page.css, where they are others in the dark
SPOT = 11  # half the side of the square around a point that can be pointed at


@dataclass(frozen=True)
class Spot:
    """A place of a figure that can be pointed at, in its units from its left and top, and what is read there."""

    left: float
    top: float
    width: float
    height: float
    text: str


def themed(colour: str) -> str:
    """The colour as CSS, which a page may change (in the dark); itself where nothing does."""
    return f"var(--{VARIABLES[colour]}, {colour})" if colour in VARIABLES else colour


def inline(figure: Figure, name: str, alt: str, readings: Iterable[Spot] = ()) -> str:
    """The figure as an SVG element for an HTML page: own ids, no global style, no metadata, a text to be read aloud."""
    buffer = StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser, not matplotlib, draws the letters
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}style", "}metadata")):
                parent.remove(child)
    for element in root.iter():
        _cleaned(element, name)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", readable(alt))
    root.extend(_readings(readings))
    return ElementTree.tostring(root, encoding="unicode").strip()


def _cleaned(element: ElementTree.Element, name: str) -> None:
    element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        key = key.removeprefix("{http://www.w3.org/1999/xlink}")
        if key == "id":
            value = f"{name}-{value}"
        elif key == "href":
            value = value.replace("#", f"#{name}-", 1)
        elif key == "style":
            value = re.sub(r"#[0-9a-f]{6}\b", lambda found: themed(found[0]), value)
        element.set(key, value.replace("url(#", f"url(#{name}-"))


def _readings(readings: Iterable[Spot]) -> list[ElementTree.Element]:
    if not (readings := list(readings)):
        return []
    group = ElementTree.Element("g", {"class": "readings"})
    for one in readings:
        places = {"x": one.left, "y": one.top, "width": one.width, "height": one.height}
        rect = ElementTree.SubElement(group, "rect", {key: f"{value:.1f}" for key, value in places.items()})
        rect.set("fill", "none")
        rect.set("pointer-events", "all")
        ElementTree.SubElement(rect, "title").text = readable(one.text)
    return [group]


def strips(axes: Axes, said: Iterable[tuple[float, str]], what: str = "") -> list[Spot]:
    """Upright strips over a panel, one around each x of which something is said; the panel's limits are final then.

    Args:
        said: x, and what is read there; several of one x are joined.
        what: comes before x in each text.
    """
    words: dict[float, list[str]] = {}
    for x, text in said:
        if np.isfinite(x):
            words.setdefault(float(f"{x:.6g}"), []).append(text)
    _settle(axes)
    box, places = axes.bbox, sorted(words)
    at = [axes.get_xaxis_transform().transform((x, 0))[0] for x in places]
    shown = [(x, pixel) for x, pixel in zip(places, at, strict=True) if box.x0 - 1 <= pixel <= box.x1 + 1]
    edges = [box.x0, *((a + b) / 2 for (_, a), (_, b) in pairwise(shown)), box.x1]
    top = axes.figure.bbox.height - box.y1
    return [
        Spot(left, top, right - left, box.height, f"{what}{x:.4g}: " + " · ".join(words[x]))
        for (x, _), (left, right) in zip(shown, pairwise(edges), strict=bool(shown))
    ]


def spots(axes: Axes, points: Sequence[tuple[float, float, str]]) -> list[Spot]:
    """Small squares around points x, y of a panel, with what is read there and at points that near; the panel's limits
    are final then."""
    _settle(axes)
    at = axes.transData.transform([(x, y) for x, y, _ in points])
    height = axes.figure.bbox.height
    near = np.abs(at[:, None] - at[None]).max(-1) < SPOT
    said = [" · ".join(text for (*_, text), close in zip(points, row, strict=True) if close) for row in near]
    return [
        Spot(across - SPOT, height - up - SPOT, 2 * SPOT, 2 * SPOT, text)
        for (across, up), text in zip(at, said, strict=True)
    ]


def _settle(axes: Axes) -> None:
    """Matplotlib puts off its choice of limits until it is asked for them."""
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())


def standing(drawn: str) -> str:
    """A drawing as a file of its own: with its namespace, its own colours and nothing to point at."""
    plain = re.sub(r'<g class="readings">.*?</g>', "", str(drawn), flags=re.DOTALL)
    plain = re.sub(r"var\(--\w+, (#[0-9a-f]{6})\)", r"\1", plain)
    return plain.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def readable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
