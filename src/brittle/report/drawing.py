"""What every figure is drawn with: one style, panels, axes, names at line ends.

A figure is 480 units wide with its text as text, so that the page can show two side by side and a phone still reads
them. No state is left in matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from .svg import AXIS, GREY, INK, RULE, readable

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.8)), (0, (6, 2, 1.5, 2)))
MARKS = "os^Dv<>P*X"
DASH_WORDS = ("solid", "dashed", "dotted", "dash-dotted")
LARGEST = 1e30  # what a figure can show
WIDTH, TEXT, ROW = 480, 12.5, 15
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": AXIS,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": GREY,
    "axes.labelpad": 6,
    "axes.labelsize": TEXT,
    "axes.spines.left": False,
    "axes.titlesize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.size": TEXT,
    "grid.color": RULE,
    "grid.linewidth": 1,
    "lines.linewidth": 2,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": AXIS,
    "xtick.major.pad": 6,
    "xtick.labelcolor": GREY,
    "xtick.labelsize": TEXT,
    "ytick.labelcolor": GREY,
    "ytick.labelsize": TEXT,
    "ytick.left": False,
    "ytick.major.pad": 6,
}


@dataclass(frozen=True)
class End:
    """The name written at the right end of a line, in the line's colour.

    Attributes:
        line: the line's heights; the name stands at the last finite one.
    """

    line: NDArray[np.float64]
    text: str
    colour: str

    @property
    def y(self) -> float:
        """The height of the line's end."""
        return float(self.line[np.isfinite(self.line)][-1])

    @property
    def middle(self) -> float:
        """The height of the line as a whole, by which names are ordered that would stand at the same place."""
        return float(np.nanmean(self.line))


@contextmanager
def drawing(name: str, height: float) -> Iterator[Figure]:
    """An empty figure of this height, whatever the user's matplotlib settings are."""
    with style.context(["default", STYLE | {"svg.hashsalt": name}]):
        yield Figure(figsize=(WIDTH / 72, height / 72), dpi=72, facecolor="none")


def panel(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes whose edges lie at these distances from the figure's left and bottom edge."""
    width, height = 72 * figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, (right - left) / width, (top - bottom) / height))
    axes.patch.set_visible(False)
    return axes


def percent(share: float) -> str:
    """A share as "87.1 %"; a dash where nothing was measured."""
    return f"{100 * float(share):.1f} %" if math.isfinite(share) else "–"


def accuracy_axis(axes: Axes) -> None:
    """0 to 100 %, with the gridlines at quarters."""
    axes.set_ylim(0, 1)
    axes.margins(x=0)
    axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def step_axis(axes: Axes, last: int, label: str) -> None:
    """Whole steps from 1 to `last`; a single one in the middle."""
    axes.set_xlim((1, last) if last > 1 else (0.5, 1.5))
    axes.xaxis.set_major_locator(FixedLocator(sorted({1, *steps_between(1, last), last})))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.set_xlabel(label)


def plain() -> FuncFormatter:
    """Ticks as 0, 0.25, 1e-05."""
    return FuncFormatter(lambda value, _: f"{value:.4g}")


def steps_between(first: int, last: int) -> list[int]:
    """Round numbers for the ticks between the first and the last, not too near to the last."""
    pace = max(1, 10 ** math.floor(math.log10(max(last, 1))) // 2)
    pace = next(p for p in (pace, 2 * pace, 5 * pace, 10 * pace) if last / p <= 6)
    return [tick for tick in range(pace, last, pace) if tick > first and last - tick >= 0.6 * pace]


def mark(axes: Axes, x: float, text: str, above: float = 6) -> None:
    """A dotted upright line at x, named this far above its top."""
    axes.axvline(x, color=GREY, linewidth=1, linestyle=(0, (1, 2)), zorder=0)
    axes.annotate(
        text,
        (x, 1),
        xytext=(0, above),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        color=GREY,
    )


def room_for(texts: Iterable[str]) -> float:
    """The width that the longest of these names needs at the right of a line, on a phone too."""
    return 14 + 9.2 * max(map(len, texts))


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """The names at the lines' right ends, moved apart until they can be read; call it once the limits are final."""
    if not ends:
        return
    box = axes.get_window_extent()
    heights = [float(axes.transData.transform((0, end.y))[1]) - box.y0 for end in ends]
    order = sorted(range(len(ends)), key=lambda i: (round(heights[i] / ROW), ends[i].middle))
    for i, y in zip(order, apart([heights[i] for i in order], ROW, box.height), strict=True):
        end = ends[i]
        axes.annotate(
            readable(end.text),
            (1, y / box.height),
            xytext=(8, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=end.colour,
            weight="bold",
        )


def apart(wanted: Sequence[float], gap: float, top: float) -> list[float]:
    """Rising places near to the wanted ones, at least `gap` apart, between 0 and `top` if there is room."""
    placed: list[float] = []
    for y in wanted:
        placed.append(max(y, placed[-1] + gap if placed else 0.0))
    ceiling = max(top, gap * (len(placed) - 1))
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - gap
    return placed


def dash(index: int) -> Any:
    """The dash of the line at this place among its neighbours."""
    return DASHES[index % len(DASHES)]


def dot(values: NDArray[np.float64]) -> str:
    """A marker where the points are so few that a line alone would hide them."""
    return "o" if len(values) <= 8 else ""


def clip(text: str, length: int) -> str:
    """The text, cut at `length` characters."""
    text = readable(text)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    """The values as floats; NaN for what is no number, or none that can be drawn: there nothing was measured."""
    fit = (value if isinstance(value, int | float) and abs(value) < LARGEST else math.nan for value in values)
    return np.array(list(fit), dtype=np.float64)
