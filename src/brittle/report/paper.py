"""The record of a paper to one self-contained HTML page: its tables beside ours, its figures, its sentences."""

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from brittle.ground import BrittleError

from . import figures, pictures
from .page import template, write_text

VERDICTS = {"agrees": ("good", "=", "agrees"), "differs": ("bad", "≠", "differs"), "open": ("none", "–", "not compared")}
CURVED = (("gradient", "gradient length"), ("eigenvalue", "top eigenvalue"), ("linearity", "linearity error"))


def write_paper(record: dict[str, Any], clean: NDArray[Any], adversarial: NDArray[Any], folder: Path) -> Path:
    """Write `paper.json`, `paper.html` and `walks.svg`; the path of the page.

    Args:
        record: as `papers.measured` gives it, with `wall`.
        clean, adversarial: the images of the wall [k, C, H, W], uint8 and float.
    Raises:
        BrittleError: a place that cannot be written.
    """
    drawn = figures.walks(record["walks"], "walks")
    write_text(json.dumps(record, indent=1) + "\n", folder / "paper.json")
    write_text(drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n", folder / "walks.svg")
    pairs = [_pair(one, a, b) for one, a, b in zip(record["wall"], clean, adversarial, strict=True)]
    text = template("paper.html.j2").render(
        record=record,
        tables=[_table(record, name) for name in dict.fromkeys(figure["table"] for figure in record["figures"])],
        verdicts=VERDICTS,
        curved=CURVED,
        wall=pairs,
        walks=Markup(drawn),
    )
    return write_text(text, folder / "paper.html")


def read_paper(folder: Path) -> tuple[dict[str, Any], NDArray[Any], NDArray[Any]]:
    """The record in a paper's folder, and the images of its wall.

    Raises:
        BrittleError: something is missing there or damaged.
    """
    try:
        record = json.loads((folder / "paper.json").read_text())
        with safe_open(folder / "wall.safetensors", "np") as file:
            return record, file.get_tensor("clean"), file.get_tensor("adversarial")
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BrittleError(f"{folder} holds no whole paper ({reason}); run brittle paper again") from None


def _table(record: dict[str, Any], name: str) -> dict[str, Any]:
    figures_ = [figure for figure in record["figures"] if figure["table"] == name]
    counts = [sum(figure["verdict"] == verdict for figure in figures_) for verdict in ("agrees", "differs")]
    return {
        "name": name,
        "plain": name.lower().replace(" ", "-"),
        "columns": list(dict.fromkeys(figure["column"] for figure in figures_)),
        "rows": list(dict.fromkeys(figure["row"] for figure in figures_)),
        "cells": {(figure["row"], figure["column"]): figure for figure in figures_},
        "certainties": list(dict.fromkeys(figure["certainty"] for figure in figures_)),
        "agrees": counts[0],
        "compared": sum(counts),
    }


def _pair(shown: dict[str, Any], clean: NDArray[Any], adversarial: NDArray[Any]) -> dict[str, Any]:
    return {**shown, "clean": pictures.picture(clean), "adversarial": pictures.picture(adversarial)}
