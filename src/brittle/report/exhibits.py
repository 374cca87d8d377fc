"""The drawings of a paper's exhibits: plain data in, SVG text out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from .drawing import (
    MARKS,
    WIDTH,
    End,
    accuracy_axis,
    clip,
    dash,
    drawing,
    name_ends,
    numbers,
    panel,
    percent,
    plain,
    room_for,
    step_axis,
)
from .svg import GREY, INK, PALETTE, PAPER, inline, spots, strips

Record = Mapping[str, Any]
READS = (("clean", PALETTE[0], ""), ("robust", PALETTE[1], "////"))
VERDICTS = (
    ("robustly useful", "o", PALETTE[0]),
    ("useful but not robust", "^", PALETTE[1]),
    ("undecided", "x", GREY),
    ("useless", ".", GREY),
)


def bars(rows: Sequence[Record], name: str) -> str:
    """Clean and robust accuracy side by side with 95 % intervals; a tick where a figure is printed."""
    line, left = 46, 190
    height = line * len(rows) + 64
    with drawing(name, height=height) as figure:
        axes = panel(figure, left, 40, WIDTH - 16, height - 22)
        told = []
        for k, row in enumerate(rows):
            for j, (read, colour, hatch) in enumerate(READS):
                share, y = row[read], k + 0.2 * (2 * j - 1)
                low, high = share["interval"]
                axes.barh(
                    y, share["accuracy"], 0.34, color=colour, alpha=0.85, hatch=hatch, edgecolor=PAPER, linewidth=0
                )
                axes.plot([low, high], [y, y], color=INK, linewidth=1.4)
                printed = (row["printed"] or (None, None))[j]
                if printed is not None:
                    axes.plot([printed / 100] * 2, [y - 0.2, y + 0.2], color=INK, linewidth=2.2, solid_capstyle="butt")
            told.append(f"{row['name']}: clean {row['clean']['accuracy']:.1%}, robust {row['robust']['accuracy']:.1%}")
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1))
        axes.set_yticks(range(len(rows)), [clip(row["name"], 26) for row in rows])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True)
        axes.set_title("plain: clean; hatched: robust; tick: printed", loc="left", color=GREY, x=0, pad=6)
        return inline(figure, name, "Accuracy. " + "; ".join(told) + ".")


def scatter(shown: Record, name: str) -> str:
    """Points with their names and 95 % intervals, and the least-squares line through them."""
    points, line = shown["points"], shown["line"]
    with drawing(name, height=360) as figure:
        axes = panel(figure, 62, 52, WIDTH - 16, 360 - 30)
        for k, point in enumerate(points):
            x, y = point["x"]["accuracy"], point["y"]["accuracy"]
            colour = PALETTE[k % len(PALETTE)]
            axes.plot(point["x"]["interval"], [y, y], color=colour, linewidth=1, alpha=0.6)
            axes.plot([x, x], point["y"]["interval"], color=colour, linewidth=1, alpha=0.6)
            axes.plot(x, y, MARKS[k % len(MARKS)], color=colour, markersize=7)
            axes.annotate(point["name"], (x, y), xytext=(7, 6), textcoords="offset points", color=colour)
        said = ""
        if line:
            ends = np.array(axes.get_xlim())
            axes.plot(ends, line["intercept"] + line["slope"] * ends, color=INK, linewidth=1.2, linestyle=dash(1))
            axes.set_xlim(*ends)
            rank = f"rank correlation {line['rank']:.2f} (one-sided p {line['p']:.2g})"
            said = f" Slope {line['slope']:.2f}, r {line['r']:.2f}, {rank}."
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.margins(0.12)
        axes.set_xlabel(shown["x"])
        axes.set_title(shown["y"], loc="left", color=GREY, x=-0.1, pad=10)
        at = [(one["x"]["accuracy"], one["y"]["accuracy"], one["name"]) for one in points]
        read = spots(axes, [(x, y, f"{one}: {percent(x)} across, {percent(y)} upwards") for x, y, one in at])
        told = "; ".join(f"{one} {x:.1%}, {y:.1%}" for x, y, one in at)
        return inline(figure, name, f"{shown['y']} against {shown['x']}: {told}.{said}", read)


def curves(paths: Mapping[str, Sequence[Sequence[float]]], name: str) -> str:
    """Accuracy on validation images after each epoch, one line for each training."""
    with drawing(name, height=320) as figure:
        axes = panel(figure, 60, 52, WIDTH - room_for(clip(one, 20) for one in paths), 320 - 16)
        accuracy_axis(axes)
        ends, told, read = [], [], []
        for k, (one, points) in enumerate(paths.items()):
            x, y = numbers([point[0] for point in points]), numbers([point[1] for point in points])
            colour = PALETTE[k % len(PALETTE)]
            axes.plot(x, y, color=colour, linestyle=dash(k), marker="o" if len(points) == 1 else "")
            ends.append(End(y, clip(one, 20), colour))
            told.append(f"{one} ends at {y[-1]:.1%}")
            read += [(epoch, f"{one} {percent(share)}") for epoch, share in zip(x, y, strict=True)]
        step_axis(axes, max(1, round(max(point[0] for points in paths.values() for point in points))), "epoch")
        name_ends(axes, ends)
        told_all = "Accuracy on validation images by epoch: " + "; ".join(told) + "."
        return inline(figure, name, told_all, strips(axes, read, "epoch "))


def features(shown: Mapping[str, Record], name: str) -> str:
    """Usefulness across, robust usefulness upwards, a panel for each model."""
    row = 300
    with drawing(name, height=row * len(shown)) as figure:
        told = []
        for k, (model, record) in enumerate(shown.items()):
            top = row * (len(shown) - k)
            axes = panel(figure, 60, top - row + 48, WIDTH - 16, top - 34)
            told.append(plane(axes, record["features"]))
            counts = ", ".join(f"{count} {verdict}" for verdict, count in record["counts"].items() if count)
            axes.set_title(f"{clip(model, 24)}: gamma in {record['threat']}", loc="left", color=INK, x=-0.1, pad=10)
            told[-1] = f"{model}: of all features {counts}"
        axes.set_xlabel("usefulness rho = E[y f(x)]")
        return inline(figure, name, "Features by usefulness and robust usefulness. " + "; ".join(told) + ".")


def correlations(shown: Mapping[str, Mapping[str, Sequence[float]]], name: str) -> str:
    """Worth on D across, on each made set upwards, a panel for each set; each net with a mark of its own."""
    sets = [one for one in next(iter(shown.values())) if one != "D"]
    side = 210
    with drawing(name, height=side * ((len(sets) + 1) // 2) + 30) as figure:
        told = []
        for k, one in enumerate(sets):
            left, top = 50 + (k % 2) * (WIDTH // 2), side * ((len(sets) + 1) // 2 - k // 2) + 30
            axes = panel(figure, left, top - side + 44, left + WIDTH // 2 - 66, top - 30)
            axes.axhline(0, color=INK, linewidth=0.8)
            for j, (net, rho) in enumerate(shown.items()):
                colour = PALETTE[j % len(PALETTE)]
                axes.plot(rho["D"], rho[one], MARKS[j], color=colour, markersize=2.5, alpha=0.7, linestyle="none")
                if k == 1:
                    axes.text(1, 1.12 - 0.09 * j, net, ha="right", color=colour, transform=axes.transAxes)
                told.append(f"{net} on {one}: mean {np.mean(rho[one]):.2f}")
            axes.set_title(one, loc="left", color=INK, pad=6)
            axes.xaxis.set_major_formatter(plain())
            axes.yaxis.set_major_formatter(plain())
            if k >= len(sets) - 2:
                axes.set_xlabel("E[y f] - E[y] E[f] on D")
        return inline(figure, name, "Worth of features on made sets against D. " + "; ".join(told) + ".")


def plane(axes: Any, rows: Sequence[Record]) -> str:
    """Draw features into a panel: rho across, gamma upwards with its 95 % interval, marks by verdict; how many of
    each."""
    worth = [one for one in rows if one["gamma"]]
    axes.axhline(0, color=INK, linewidth=0.8)
    told = []
    for verdict, marker, colour in VERDICTS:
        some = [one for one in worth if one["verdict"] == verdict]
        if some:
            x, y = (np.array([one[key]["mean"] for one in some]) for key in ("rho", "gamma"))
            ends = [
                np.array([abs(one["gamma"][end] - one["gamma"]["mean"]) for one in some]) for end in ("low", "high")
            ]
            axes.errorbar(x, y, yerr=ends, fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.5)
            axes.plot(x, y, marker, color=colour, markersize=6, label=f"{verdict} ({len(some)})", linestyle="none")
            told.append(f"{len(some)} {verdict}")
    axes.set_xlim(0, 1.08 * max((one["rho"]["high"] for one in worth), default=1.0))
    axes.xaxis.set_major_formatter(plain())
    axes.yaxis.set_major_formatter(plain())
    if told:
        axes.legend(loc="best", frameon=False)
    return ", ".join(told)


def directions(shown: Record, name: str) -> str:
    """Linear features by log robustness (across) and log usefulness (upwards), and two made ones."""
    points = np.array(shown["points"])
    with drawing(name, height=360) as figure:
        axes = panel(figure, 60, 52, WIDTH - 16, 360 - 34)
        axes.plot(points[:, 0], points[:, 1], "o", color=GREY, markersize=3, alpha=0.5)
        for k, (one, (x, y)) in enumerate(shown["made"].items()):
            colour = PALETTE[k]
            axes.plot(x, y, MARKS[1 + k], color=colour, markersize=9)
            offset = (8, 8 if k else -14)  # the two may lie close together
            axes.annotate(one, (x, y), xytext=offset, textcoords="offset points", color=colour, weight="bold")
        axes.xaxis.set_major_formatter(plain())
        axes.yaxis.set_major_formatter(plain())
        axes.set_xlabel("log robustness")
        axes.set_title(f"log usefulness; {shown['task']}", loc="left", color=GREY, x=-0.1, pad=10)
        told = "; ".join(f"{one} at robustness {x:.3g}, usefulness {y:.3g}" for one, (x, y) in shown["made"].items())
        return inline(figure, name, f"Singular directions by log robustness and log usefulness. {told}.")


def gaussians(shown: Record, name: str) -> str:
    """The paper's Figure 4."""
    from brittle.science import Gaussians

    from .gaussian import two_gaussians

    truth = Gaussians(np.array(shown["mu"]), np.array(shown["sigma"]))
    return two_gaussians(truth, [fit["eps"] for fit in shown["fits"]], name=name)
