"""A folder of runs to one page on which their models can be compared: a table for each data set, sortable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from brittle.ground import BrittleError, write_out

from .comparison import doubt_of, one_question
from .drawing import MARKS, WIDTH, End, clip, drawing, name_ends, panel, percent, room_for
from .page import template, told_apart
from .reading import Audited, Record, read_run
from .svg import GREY, PALETTE, inline, spots

NAMED = 8  # points of the figure that are named in it; of more, the names are read off by pointing


def write_index(folder: Path, path: Path | None = None) -> tuple[Path, list[str]]:
    """Write the page that compares all audits below a folder; its path, and a line for each that was left out.

    Args:
        path: of the page; by default `index.html` in the folder.
    Raises:
        BrittleError: no audit there that can be read, or a place that cannot be written.
    """
    path = path or folder / "index.html"
    found, left_out = gather(folder)
    if not found:
        raise BrittleError("; ".join([f"{folder} holds no audit that can be read", *left_out[:3]]))
    names = dict.fromkeys(audited.record["data"]["name"] for _, audited in found)
    groups = [
        _group(name, f"d{place}", [(run, one) for run, one in found if one.record["data"]["name"] == name], path)
        for place, name in enumerate(names)
    ]
    text = template("index.html.j2").render(folder=folder.resolve().name, groups=groups, left_out=left_out)
    return write_out(path, text), left_out


def gather(folder: Path) -> tuple[list[tuple[Path, Audited]], list[str]]:
    """The audits anywhere below a folder, by path, and a line for each folder in it that gives none."""
    found, left_out = [], []
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError as error:
        raise BrittleError(f"{folder}: cannot be read ({error.strerror or error})") from None
    for child in children:
        records = sorted(child.rglob("audit.json"))
        for record in records:
            try:
                found.append((record.parent, read_run(record.parent)))
            except BrittleError as error:
                left_out.append(f"left out: {error}")
        if not records:
            what = "a paper; its page is paper.html" if (child / "paper.json").exists() else "no audit.json in it"
            left_out.append(f"left out: {child}: {what}")
    return found, left_out


def _group(name: str, ident: str, runs: Sequence[tuple[Path, Audited]], page: Path) -> dict[str, Any]:
    records = [audited.record for _, audited in runs]
    rows = [_row(run, audited.record, page) | {"doubt": doubt_of(audited.record, records)} for run, audited in runs]
    alike = one_question(records)
    if alike:  # the most robust first; those whose figures tell less behind all others
        rows.sort(key=lambda row: (row["doubt"] != "", -(row["union"]["accuracy"] or 0)))
    return {
        "name": name,
        "threats": list(dict.fromkeys(threat["threat"] for record in records for threat in record["threats"])),
        "rows": rows,
        "sorted": alike and not any(row["doubt"] for row in rows),
        "same": len({record["data"]["digest"] for record in records}) == 1,
        "alike": alike,
        "figure": Markup(against(_named(runs), ident)) if alike and len(records) > 1 else "",
    }


def _named(runs: Sequence[tuple[Path, Audited]]) -> list[Record]:
    """The records, each with a name of its own."""
    return [one.record for one in told_apart([replace(audited, folder=run.name) for run, audited in runs])]


def _row(run: Path, record: Record, page: Path) -> dict[str, Any]:
    near = next((place / "report.html" for place in (run, run.parent) if (place / "report.html").exists()), None)
    return {
        **record,
        "folder": run.name,
        "link": quote(os.path.relpath(near.resolve(), page.parent.resolve())) if near else None,
        "robust": {threat["threat"]: threat["robust"] for threat in record["threats"]},
    }


def against(records: Sequence[Record], name: str) -> str:
    """Clean accuracy across, union upwards, a point for each model, as SVG text; '' if nothing was measured."""
    shown = [one for one in records if None not in (one["clean"]["accuracy"], one["union"]["accuracy"])]
    if not shown:
        return ""
    with drawing(name, height=330) as figure:
        names = [clip(record["model"]["name"], 20) for record in shown]
        axes = panel(figure, 54, 52, WIDTH - (room_for(names) if len(shown) <= NAMED else 20), 330 - 34)
        ends, told, read = [], [], []
        for k, record in enumerate(shown):
            x, y = record["clean"]["accuracy"], record["union"]["accuracy"]
            colour = PALETTE[k % len(PALETTE)]
            axes.plot([x, x], record["union"]["interval"], color=colour, linewidth=1, alpha=0.6)
            axes.plot(record["clean"]["interval"], [y, y], color=colour, linewidth=1, alpha=0.6)
            axes.plot(x, y, MARKS[k % len(MARKS)], color=colour, markersize=7, clip_on=False)
            ends.append(End(np.array([y]), names[k], colour))
            told.append(f"{clip(record['model']['name'], 40)}: clean {percent(x)}, union {percent(y)}")
            read.append((x, y, told[-1]))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
        axes.margins(0.1)
        axes.set_xlabel("clean accuracy")
        readings = spots(axes, read)
        if len(shown) <= NAMED:
            name_ends(axes, ends)
        axes.set_title("union: right under every attack", loc="left", color=GREY, x=-0.1, pad=10)
        return inline(figure, name, "Union against clean accuracy. " + "; ".join(told) + ".", readings)
