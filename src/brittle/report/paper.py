"""The record of a paper to one self-contained HTML page: its tables beside ours, its figures, its claims."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from brittle.ground import BrittleError, plain_name, write_out

from . import exhibits as drawings
from . import figures
from .contact_sheet import Row, sheet
from .page import template
from .pictures import picture
from .svg import standing

Images = Mapping[str, NDArray[Any]]
DRAWN: dict[str, Callable[[Any, str], str]] = {
    "walks": figures.walks,
    "bars": drawings.bars,
    "scatter": drawings.scatter,
    "curves": drawings.curves,
    "features": drawings.features,
    "correlations": drawings.correlations,
    "directions": drawings.directions,
    "gaussians": drawings.gaussians,
}

VERDICTS = {
    "agrees": ("good", "=", "agrees"),
    "differs": ("bad", "≠", "differs"),
    "open": ("none", "–", "undecided"),
    "not trained": ("none", "∅", "not trained"),
}
CURVED = (("gradient", "gradient length"), ("eigenvalue", "top eigenvalue"), ("linearity", "linearity error"))


def write_paper(record: dict[str, Any], images: Images, folder: Path) -> Path:
    """Write `paper.json`, `paper.html`, an SVG file for each drawn exhibit and a PNG wall of made sets; the path of the
    page.

    Args:
        record: as `papers.measure_paper` gives it.
        images: those of its exhibits, [k, C, H, W], uint8 or float in [0, 1], by the exhibit's place and the image's
            role.
    Raises:
        BrittleError: a place that cannot be written.
    """
    write_out(folder / "paper.json", json.dumps(record, indent=1) + "\n")
    exhibits = [_exhibit(one, count, images) for count, one in enumerate(record["exhibits"])]
    for one in exhibits:
        if one["svg"]:
            write_out(folder / f"{one['plain']}.svg", standing(one["svg"]))
        if one["kind"] == "sets":
            write_out(folder / f"{one['plain']}.png", _wall(one))
    text = template("paper.html.j2").render(
        record=record,
        tables=[_table(record, name) for name in dict.fromkeys(figure["table"] for figure in record["figures"])],
        exhibits=exhibits,
        claims=[{**one, **rule_in_parts(one["rule"])} for one in record["claims"]],
        resolution=_resolution(record),
        verdicts=VERDICTS,
        counts=_counts(record),
        curved=CURVED,
    )
    return write_out(folder / "paper.html", text)


def _counts(record: dict[str, Any]) -> str:
    """How the claims fare, in words: "8 hold here, 1 does not, 2 are undecided"."""
    said = {"agrees": ("hold here", "holds here"), "differs": ("do not", "does not"), "open": ("are", "is")}
    parts = []
    for verdict, (many, one) in said.items():
        count = sum(claim["verdict"] == verdict for claim in record["claims"])
        parts += [f"{count} {one if count == 1 else many}{' undecided' if verdict == 'open' else ''}"] if count else []
    return ", ".join(parts)


def rule_in_parts(rule: str) -> dict[str, str]:
    """A claim's rule as the page lays it out: what agrees, what would have failed (if the rule names it), what else it
    says."""
    agrees, _, rest = rule.partition("; it fails ")
    fails, aside = [*re.split(r"[;.] ", rest, maxsplit=1), ""][:2]
    return {"agrees": agrees, "fails": fails, "aside": aside[:1].upper() + aside[1:]}


def _resolution(record: dict[str, Any]) -> str:
    """How fine a difference the figures can show, in words: the widest interval among those on fewest images."""
    shares = [figure["measured"] for figure in record["figures"] if figure["measured"]["accuracy"] is not None]
    if not shares:
        return ""
    n = min(share["n"] for share in shares)
    widest = max((share["interval"][1] - share["interval"][0]) / 2 for share in shares if share["n"] == n)
    return (
        f"Accuracies here are of {n:,} images or more; the widest interval reaches {100 * widest:.1f} points to each "
        "side, and a gap much smaller than that leaves a claim undecided unless it is measured image by image."
    )


def read_paper(folder: Path) -> tuple[dict[str, Any], Images]:
    """The record in a paper's folder, and the images of its exhibits; records of format 2 as well.

    Raises:
        BrittleError: something is missing there or damaged.
    """
    try:
        record = json.loads((folder / "paper.json").read_text())
        if "statements" in record:  # what format 2 calls claims
            record |= {"format": "brittle-paper/3", "claims": record.pop("statements")}
        with safe_open(folder / "images.safetensors", "np") as file:
            return record, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BrittleError(f"{folder} holds no whole paper ({reason}); run brittle paper again") from None


def _exhibit(one: dict[str, Any], count: int, images: Images) -> dict[str, Any]:
    """An exhibit with its drawing, or with its pictures as data URIs."""
    mine = {name.partition(".")[2]: stack for name, stack in images.items() if name.startswith(f"{count}.")}
    pictures = {name: [picture(image) for image in stack] for name, stack in mine.items()}
    name = plain_name(f"{one['part']} {one['title']}").lower()
    svg = Markup(DRAWN[one["kind"]](one["data"], f"e{count}")) if one["kind"] in DRAWN else ""
    return {**one, "plain": name, "svg": svg, "images": mine, "pictures": pictures}


def _wall(one: dict[str, Any]) -> bytes:
    """The images of made sets below those they were made of, each row once, as a PNG file."""
    rows: dict[tuple[str, bytes], Row] = {}
    for count, shown in enumerate(one["data"]):
        for k, line in enumerate(shown["lines"]):
            images = one["images"][f"{count}.{k}"]
            rows.setdefault((line["name"], images.tobytes()), (line["name"], images, line["labels"]))
    return sheet(one["title"], list(rows.values()))


def _table(record: dict[str, Any], name: str) -> dict[str, Any]:
    figures_ = [figure for figure in record["figures"] if figure["table"] == name]
    return {
        "name": name,
        "plain": plain_name(name).lower(),
        "columns": list(dict.fromkeys(figure["column"] for figure in figures_)),
        "rows": list(dict.fromkeys(figure["row"] for figure in figures_)),
        "cells": {(figure["row"], figure["column"]): figure for figure in figures_},
        "agreement": record.get("agreement", {}).get(name),
    }
