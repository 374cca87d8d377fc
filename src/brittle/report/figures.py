"""The figures of the pages as inline SVG text: numbers in, text out.

Lines are told apart by colour *and* by dash, and carry their name at their end instead of in a legend.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from .drawing import (
    DASH_WORDS,
    WIDTH,
    End,
    accuracy_axis,
    clip,
    dash,
    dot,
    drawing,
    mark,
    name_ends,
    numbers,
    panel,
    percent,
    plain,
    room_for,
    step_axis,
)
from .svg import BAR, GREY, INK, PALETTE, inline, readable, strips

Record = Mapping[str, Any]
MOST_EPOCHS = 1_000_000  # what is larger was no epoch


def colours_of(threats: Sequence[str]) -> dict[str, str]:
    """A colour for each threat, in order of first appearance, the same all over one page."""
    return {threat: PALETTE[i % len(PALETTE)] for i, threat in enumerate(dict.fromkeys(threats))}


def curves(threats: Sequence[Record], colours: Mapping[str, str], name: str) -> str:
    """Accuracy against eps up to the largest audited eps of each norm, a line for each with its 95 % band; '' if no
    threat has a curve.

    Where the norms differ, eps is measured in units of the largest audited one, so that 1 is the threat itself.
    """
    drawable = (threat for threat in threats if threat["curve"] and threat["curve"]["radius"])
    found = [threat for threat in drawable if np.isfinite(numbers(threat["curve"]["accuracy"])).any()]
    largest = {norm_of(threat): threat for threat in sorted(found, key=lambda one: float(one["curve"]["radius"]))}
    shown = [threat for threat in found if largest[norm_of(threat)] is threat]
    if not shown:
        return ""
    norm, relative = norm_of(shown[0]), len(shown) > 1
    with drawing(name, height=320) as figure:
        axes = panel(figure, 46, 52, WIDTH - room_for(threat["threat"] for threat in shown), 320 - 34)
        accuracy_axis(axes)
        ends, told, read = [], [], []
        for i, threat in enumerate(shown):
            curve, colour = threat["curve"], colours[threat["threat"]]
            unit = float(curve["radius"])
            attacked = numbers(curve["eps"]) <= unit * (1 + 1e-9)  # older records go further
            lines = (numbers(curve[key])[attacked] for key in ("eps", "accuracy", "low", "high"))
            eps, accuracy, low, high = lines
            x = eps / unit if relative else eps
            axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
            axes.plot(x, accuracy, color=colour, linestyle=dash(i))
            for k, own in enumerate(found if not relative else ()):
                mark(
                    axes,
                    float(own["curve"]["radius"]),
                    readable(f"eps {own['threat'].partition(':')[2]}"),
                    6 + 14 * (k % 2),
                )
            ends.append(End(accuracy, threat["threat"], colour))
            start, stop = (f"{accuracy[k]:.1%} at eps {eps[k]:.3g}" for k in (0, -1))
            told.append(f"{threat['threat']} from {start} to {stop}")
            for at, own, share, *ends_ in zip(x, eps, accuracy, low, high, strict=True):
                where = f"{norm_of(threat)} {own:.3g}" if relative else norm_of(threat)
                read.append((at, f"{where} {percent(share)} [{', '.join(map(percent, ends_))}]"))
        if relative:
            mark(axes, 1, "the audited eps")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(plain())
        axes.set_xlabel("eps, in units of each threat’s own eps" if relative else readable(f"eps ({norm})"))
        name_ends(axes, ends)
        readings = strips(axes, read, "eps × " if relative else "eps ")
        return inline(figure, name, "Accuracy against eps. " + "; ".join(told) + ".", readings)


def norm_of(threat: Record) -> str:
    """The kind of a threat, without its size."""
    return str(threat["threat"]).partition(":")[0]


def breakers(threats: Sequence[Record], examples: Sequence[Record], colours: Mapping[str, str], name: str) -> str:
    """Bars: how many examples, right when clean, each attack was the first to break; '' if none was tried.

    Attacks that broke none share one row; the tables name them all.
    """
    right = [example for example in examples if example["answer"] == example["label"]]
    groups: list[tuple[str, list[tuple[str, int]]]] = []
    for threat in threats:
        by = Counter(example["broken_by"].get(threat["threat"]) for example in right)
        attacks = dict.fromkeys([attack["name"] for attack in threat["attacks"]] + [attack for attack in by if attack])
        rows = [(attack, by[attack]) for attack in attacks if by[attack]]
        idle = [attack for attack in attacks if not by[attack]]
        if len(idle) > 1:
            idle = [f"{len(idle)} {'other ' if rows else ''}attacks"]
        if attacks:
            groups.append((threat["threat"], rows + [(attack, 0) for attack in idle]))
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
                axes.barh(
                    y + line / 2, (end - left) * count / longest, 12, left=left, color=colours[threat_name], linewidth=0
                )
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
    spread = bool(positive.size) and positive.max() >= 100 * positive.min()
    ways = list(dict.fromkeys(path["path"] for path in shown))
    with drawing(name, height=300) as figure:
        axes = panel(figure, 54, 52, WIDTH - room_for(clip(path["threat"], 20) for path in shown), 300 - 30)
        ends: dict[str, End] = {}
        told, read = [], []
        for i, (path, norm) in enumerate(zip(shown, norms, strict=True)):
            colour = colours.get(path["threat"], INK)
            height = np.where(norm > 0, norm, np.nan) if spread else norm
            line = dash(ways.index(path["path"]) if len(ways) > 1 else i)
            steps = np.arange(1, len(norm) + 1)
            axes.plot(steps, height, color=colour, linestyle=line, marker=dot(norm), clip_on=False)
            if np.isfinite(height).any():
                ends.setdefault(path["threat"], End(height, clip(path["threat"], 20), colour))
            told.append(f"{path['threat']} {path['path']} from {norm[0]:.3g} to {norm[-1]:.3g}")
            read += [(k, f"{path['threat']} {path['path']} {one:.3g}") for k, one in enumerate(norm, 1)]
        if spread:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(numticks=6))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            axes.set_ylim(bottom=0, top=1.1 * positive.max() if positive.size else 1)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(plain())
        step_axis(axes, max(map(len, norms)), "step" if len(ways) > 1 else f"step of {clip(ways[0], 40)}")
        words = (
            [f"{word} {clip(way, 14)}" for word, way in zip(DASH_WORDS, ways, strict=False)] if len(ways) > 1 else []
        )
        axes.set_title(", ".join(["mean gradient norm (L2)", *words]), loc="left", color=GREY, x=-0.115, pad=10)
        name_ends(axes, list(ends.values()))
        told_all = "Mean gradient norm along the path. " + "; ".join(told) + "."
        return inline(figure, name, told_all, strips(axes, read, "step "))


def walks(paths: Mapping[str, Sequence[Record]], name: str) -> str:
    """Mean gradient length at each step of several attacks, with bands of 95 %, on a logarithmic axis."""
    with drawing(name, height=320) as figure:
        axes = panel(figure, 60, 46, WIDTH - room_for(clip(one, 20) for one in paths), 320 - 16)
        ends, told, read = [], [], []
        for i, (one, points) in enumerate(paths.items()):
            colour, steps = PALETTE[i % len(PALETTE)], np.arange(1, len(points) + 1)
            mean, low, high = (numbers([_of(point, k) for point in points]) for k in range(3))
            axes.plot(steps, np.where(mean > 0, mean, np.nan), color=colour, linestyle=dash(i), marker=dot(mean))
            axes.fill_between(steps, np.where(low > 0, low, np.nan), high, color=colour, alpha=0.14, linewidth=0)
            if (mean > 0).any():
                ends.append(End(np.where(mean > 0, mean, np.nan), clip(one, 20), colour))
            told.append(f"{one} from {mean[0]:.3g} to {mean[-1]:.3g}")
            read += [
                (k, f"{one} {value:.3g} [{down:.3g}, {up:.3g}]")
                for k, (value, down, up) in enumerate(zip(mean, low, high, strict=True), 1)
            ]
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(plain())
        step_axis(axes, max(map(len, paths.values())), "step")
        name_ends(axes, ends)
        told_all = "Mean gradient length along the path. " + "; ".join(told) + "."
        return inline(figure, name, told_all, strips(axes, read, "step "))


def _of(point: Record, k: int) -> float:
    return float((point["mean"], *point["interval"])[k])


def training(history: Sequence[Record], name: str) -> str:
    """Clean and robust accuracy above the loss, epoch by epoch; '' without a history.

    A history comes with a checkpoint from anywhere: rows without an epoch are left out, values that are no numbers too.
    """
    rows = [
        row for row, epoch in zip(history, numbers([row.get("epoch") for row in history]), strict=True) if epoch > 0
    ]
    lines = [(key, numbers([row.get(key) for row in rows])) for key in ("clean", "robust", "loss")]
    *accuracies, (_, loss) = lines
    if not any(np.isfinite(line).any() for _, line in lines):
        return ""
    epochs = numbers([row["epoch"] for row in rows])
    with drawing(name, height=330) as figure:
        above, below = panel(figure, 54, 150, WIDTH - 70, 330 - 30), panel(figure, 54, 52, WIDTH - 70, 124)
        accuracy_axis(above)
        ends, told, read = [], [], []
        for i, ((key, height), colour) in enumerate(zip(accuracies, (INK, PALETTE[0]), strict=True)):
            if (finite := height[np.isfinite(height)]).size:
                above.plot(epochs, height, color=colour, linestyle=dash(i), marker=dot(height), clip_on=False)
                ends.append(End(height, key, colour))
                told.append(f"{key} accuracy ends at {finite[-1]:.1%}")
                read += [
                    (at, f"{key} {percent(one)}") for at, one in zip(epochs, height, strict=True) if np.isfinite(one)
                ]
        finite = loss[np.isfinite(loss)]
        below.plot(epochs, loss, color=PALETTE[1], marker=dot(loss), clip_on=False)
        below.set_ylim(min(0, 1.15 * finite.min(initial=0)), 1.15 * max(finite.max(initial=0), 1e-9))
        below.yaxis.set_major_locator(MaxNLocator(2))
        below.yaxis.set_major_formatter(plain())
        if finite.size:
            name_ends(below, [End(loss, "loss", PALETTE[1])])
            told.append(f"loss ends at {finite[-1]:.3g}")
            read += [(at, f"loss {one:.3g}") for at, one in zip(epochs, loss, strict=True) if np.isfinite(one)]
        step_axis(above, math.ceil(epochs.max()), "")
        step_axis(below, math.ceil(epochs.max()), "epoch")
        above.tick_params(labelbottom=False)
        name_ends(above, ends)
        readings = [replace(one, height=300 - 24) for one in strips(above, read, "epoch ")]  # over both panels
        return inline(figure, name, "Training, by epoch: " + "; ".join(told) + ".", readings)
