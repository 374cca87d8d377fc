"""Figures as inline SVG text and pictures as PNG data URIs: numbers in, text out, no state left in matplotlib.

Every figure is drawn 480 units wide with its text as text, so that the page can show two side by side and a phone still
reads them. Lines are told apart by colour *and* by dash, and carry their name at their end instead of in a legend.
"""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO, StringIO
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image

INK, GREY, RULE, BAR = "#1c2024", "#5b6570", "#e3e6ea", "#eef0f3"
PALETTE = ("#1a5fb4", "#b8500c", "#1b7f5c", "#8a3fa0", "#8c6a00", "#b3265e", "#3d6e8f", "#5f5f5f")
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.8)), (0, (6, 2, 1.5, 2)))
DASH_WORDS = ("solid", "dashed", "dotted", "dash-dotted")
WIDTH, TEXT, ROW = 480, 12.5, 15
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#aab1b9",
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
    "xtick.color": "#aab1b9",
    "xtick.major.pad": 6,
    "xtick.labelcolor": GREY,
    "xtick.labelsize": TEXT,
    "ytick.labelcolor": GREY,
    "ytick.labelsize": TEXT,
    "ytick.left": False,
    "ytick.major.pad": 6,
}
Record = Mapping[str, Any]


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


def colours_of(threats: Sequence[str]) -> dict[str, str]:
    """A colour for each threat, in order of first appearance, the same all over one page."""
    return {threat: PALETTE[i % len(PALETTE)] for i, threat in enumerate(dict.fromkeys(threats))}


def dash(index: int) -> Any:
    """The dash of the line at this place among its neighbours."""
    return DASHES[index % len(DASHES)]


def curves(threats: Sequence[Record], colours: Mapping[str, str], name: str) -> str:
    """Accuracy against eps, one line per threat with its 95 % band; '' if no threat has a curve.

    Where the norms differ, eps is measured in units of each threat's own eps, so that 1 is the threat itself.
    """
    shown = [threat for threat in threats if threat["curve"] and Fraction(threat["eps"]) > 0]
    if not shown:
        return ""
    relative = len({threat["norm"] for threat in shown}) > 1
    with drawing(name, height=320) as figure:
        axes = panel(figure, 46, 52, WIDTH - room_for(threat["threat"] for threat in shown), 320 - 34)
        accuracy_axis(axes)
        ends, told = [], []
        for i, threat in enumerate(shown):
            curve, colour = threat["curve"], colours[threat["threat"]]
            unit = float(Fraction(threat["eps"]))
            eps, accuracy = numbers(curve["eps"]), numbers(curve["accuracy"])
            x = eps / unit if relative else eps
            axes.fill_between(x, numbers(curve["low"]), numbers(curve["high"]), color=colour, alpha=0.14, linewidth=0)
            axes.plot(x, accuracy, color=colour, linestyle=dash(i))
            if not relative:
                mark(axes, unit, f"eps {threat['eps']}", 6 + 14 * (i % 2))
            ends.append(End(accuracy, threat["threat"], colour))
            start, stop = (f"{accuracy[k]:.1%} at eps {eps[k]:.3g}" for k in (0, -1))
            told.append(f"{threat['threat']} from {start} to {stop}")
        if relative:
            mark(axes, 1, "the audited eps")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(plain())
        axes.set_xlabel("eps, in units of each threat’s own eps" if relative else readable(f"eps ({shown[0]['norm']})"))
        name_ends(axes, ends)
        return inline(figure, name, "Accuracy against eps. " + "; ".join(told) + ".")


def breakers(threats: Sequence[Record], examples: Sequence[Record], colours: Mapping[str, str], name: str) -> str:
    """Bars: how many examples, right when clean, each attack was the first to break; '' if none was tried.

    Attacks that broke none share one row; the tables name them all.
    """
    right = [example for example in examples if example["answer"] == example["label"]]
    groups: list[tuple[str, list[tuple[str, int]]]] = []
    for threat in threats:
        by = [example["broken_by"].get(threat["threat"]) for example in right]
        attacks = dict.fromkeys([attack["name"] for attack in threat["attacks"]] + [attack for attack in by if attack])
        rows = [(attack, by.count(attack)) for attack in attacks if attack in by]
        idle = [(attack, 0) for attack in attacks if attack not in by]
        if attacks:
            groups.append(
                (
                    threat["threat"],
                    rows + (idle if len(idle) < 2 else [(f"{len(idle)} {'other ' if rows else ''}attacks", 0)]),
                )
            )
    if not right or not groups:
        return ""
    line, gap, left, end = 22, 18, 204, WIDTH - 50
    height = sum(line * (len(rows) + 1) + gap for _, rows in groups) - gap + 8
    longest = max(1, *(count for _, rows in groups for _, count in rows))
    with drawing(name, height) as figure:
        axes = panel(figure, 0, 0, WIDTH, height)
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        y, told = 4.0, []
        for threat_name, rows in groups:
            total = sum(count for _, count in rows)
            axes.text(0, y + line / 2, clip(threat_name, 29), color=colours[threat_name], weight="bold", va="center")
            axes.text(left, y + line / 2, f"{total:,} of {len(right):,} broken", color=GREY, va="center")
            y += line
            for attack, count in rows:
                axes.text(0, y + line / 2, clip(attack, 25), va="center", color=INK if count else GREY)
                axes.barh(y + line / 2, end - left, 12, left=left, color=BAR, linewidth=0)
                axes.barh(y + line / 2, (end - left) * count / longest, 12, left=left, color=colours[threat_name], linewidth=0)
                axes.text(end + 8, y + line / 2, f"{count:,}", va="center", color=INK if count else GREY)
                y += line
            y += gap
            told.append(f"{threat_name}: " + ", ".join(f"{attack} {count}" for attack, count in rows))
        return inline(figure, name, "Examples each attack was the first to break. " + "; ".join(told) + ".")


def gradients(paths: Sequence[Record], colours: Mapping[str, str], name: str) -> str:
    """The mean gradient norm at each step of an attack, one line per path; '' if nothing was measured."""
    shown = [path for path in paths if np.isfinite(numbers(path["mean_norm"])).any()]
    if not shown:
        return ""
    norms = [numbers(path["mean_norm"]) for path in shown]
    positive = np.concatenate(norms)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    spread = bool(positive.size) and positive.max() / positive.min() >= 100
    ways = list(dict.fromkeys(path["path"] for path in shown))
    with drawing(name, height=300) as figure:
        axes = panel(figure, 54, 52, WIDTH - room_for(clip(path["threat"], 20) for path in shown), 300 - 30)
        ends: dict[str, End] = {}
        told = []
        for i, (path, norm) in enumerate(zip(shown, norms, strict=True)):
            colour = colours.get(path["threat"], INK)
            height = np.where(norm > 0, norm, np.nan) if spread else norm
            line = dash(ways.index(path["path"]) if len(ways) > 1 else i)
            steps = np.arange(1, len(norm) + 1)
            axes.plot(steps, height, color=colour, linestyle=line, marker=dot(norm), clip_on=False)
            if np.isfinite(height).any():
                ends.setdefault(path["threat"], End(height, clip(path["threat"], 20), colour))
            told.append(f"{path['threat']} {path['path']} from {norm[0]:.3g} to {norm[-1]:.3g}")
        if spread:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(numticks=6))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(bottom=0, top=1.1 * positive.max() if positive.size else 1)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(plain())
        step_axis(axes, max(map(len, norms)), "step" if len(ways) > 1 else f"step of {clip(ways[0], 40)}")
        words = [f"{word} {clip(way, 14)}" for word, way in zip(DASH_WORDS, ways, strict=False)] if len(ways) > 1 else []
        axes.set_title(", ".join(["mean gradient norm (L2)", *words]), loc="left", color=GREY, x=-0.115, pad=10)
        name_ends(axes, list(ends.values()))
        return inline(figure, name, "Mean gradient norm along the path. " + "; ".join(told) + ".")


def training(history: Sequence[Record], name: str) -> str:
    """Clean and robust accuracy above the loss, epoch by epoch; '' without a history."""
    if not history:
        return ""
    epochs = numbers([row["epoch"] for row in history])
    with drawing(name, height=330) as figure:
        above, below = panel(figure, 54, 150, WIDTH - 70, 330 - 30), panel(figure, 54, 52, WIDTH - 70, 124)
        accuracy_axis(above)
        ends, told = [], []
        for i, (key, colour) in enumerate((("clean", INK), ("robust", PALETTE[0]))):
            height = numbers([row.get(key) for row in history])
            finite = height[np.isfinite(height)]
            if finite.size:
                above.plot(epochs, height, color=colour, linestyle=dash(i), marker=dot(height), clip_on=False)
                ends.append(End(height, key, colour))
                told.append(f"{key} accuracy ends at {finite[-1]:.1%}")
        loss = numbers([row.get("loss") for row in history])
        finite = loss[np.isfinite(loss)]
        below.plot(epochs, loss, color=PALETTE[1], marker=dot(loss), clip_on=False)
        below.set_ylim(0, 1.15 * max(finite.max(), 1e-9) if finite.size else 1)
        below.yaxis.set_major_locator(MaxNLocator(2))
        below.yaxis.set_major_formatter(plain())
        if finite.size:
            name_ends(below, [End(loss, "loss", PALETTE[1])])
            told.append(f"loss ends at {finite[-1]:.3g}")
        step_axis(above, int(epochs.max()), "")
        step_axis(below, int(epochs.max()), "epoch")
        above.tick_params(labelbottom=False)
        name_ends(above, ends)
        return inline(figure, name, "Training, by epoch: " + "; ".join(told) + ".")


def picture(image: NDArray[Any]) -> str:
    """The PNG data URI of one image [C, H, W], uint8 or float in [0, 1]; channels other than 1 or 3 as their mean."""
    values = image.astype(np.float64) / 255 if image.dtype == np.uint8 else image.astype(np.float64)
    if values.shape[0] not in (1, 3):
        values = values.mean(axis=0, keepdims=True)
    bytes_ = np.rint(255 * np.nan_to_num(values).clip(0, 1)).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(bytes_[0] if len(bytes_) == 1 else np.moveaxis(bytes_, 0, -1)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def difference(clean: NDArray[Any], adversarial: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """`adversarial - clean` around mid grey, multiplied until its largest entry is black or white, and the factor."""
    delta = adversarial.astype(np.float64) - clean.astype(np.float64) / 255
    largest = float(np.abs(np.nan_to_num(delta)).max(initial=0))
    factor = 0.5 / largest if largest > 0 else 1.0
    return 0.5 + factor * delta, factor


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


def inline(figure: Figure, name: str, alt: str) -> str:
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
        element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            key = key.removeprefix("{http://www.w3.org/1999/xlink}")
            if key == "id":
                value = f"{name}-{value}"
            elif key == "href":
                value = value.replace("#", f"#{name}-", 1)
            element.set(key, value.replace("url(#", f"url(#{name}-"))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", readable(alt))
    return ElementTree.tostring(root, encoding="unicode").strip()


def dot(values: NDArray[np.float64]) -> str:
    """A marker where the points are so few that a line alone would hide them."""
    return "o" if len(values) <= 8 else ""


def clip(text: str, length: int) -> str:
    """The text, cut at `length` characters."""
    text = readable(text)
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def readable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """The values as floats, with NaN where nothing was measured."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
