"""The record of features to one self-contained HTML page: the plane of usefulness and robustness, and what units look at."""

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from .drawing import GREY, INK, PALETTE, WIDTH, drawing, inline, panel, plain
from .page import template, write_text
from .pictures import picture

VERDICTS = {  # how features are told apart: marker, colour
    "robustly useful": ("o", PALETTE[0]),
    "useful but not robust": ("^", PALETTE[1]),
    "undecided": ("x", GREY),
    "useless": (".", GREY),
}
SHOWN = 12  # features of each verdict in the page's list


def plane(features: list[dict[str, Any]], threat: str, name: str) -> str:
    """Features by rho (across) and gamma (upwards), as SVG text; those whose gamma was not measured are left out."""
    placed = [one for one in features if one["gamma"]]
    with drawing(name, height=380) as figure:
        axes = panel(figure, 60, 52, WIDTH - 20, 380 - 34)
        axes.axhline(0, color=INK, linewidth=0.8)
        told = []
        for verdict, (marker, colour) in VERDICTS.items():
            some = [one for one in placed if one["verdict"] == verdict]
            if not some:
                continue
            x, y = (np.array([one[key]["mean"] for one in some]) for key in ("rho", "gamma"))
            below, above = (np.array([abs(one["gamma"][end] - one["gamma"]["mean"]) for one in some]) for end in ("low", "high"))
            axes.errorbar(x, y, yerr=(below, above), fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.5)
            axes.plot(x, y, marker, color=colour, markersize=6, label=f"{verdict} ({len(some)})", linestyle="none")
            told.append(f"{len(some)} {verdict}")
        axes.set_xlim(0, 1.08 * max((one["rho"]["high"] for one in placed), default=1.0))
        axes.xaxis.set_major_formatter(plain())
        axes.yaxis.set_major_formatter(plain())
        axes.set_xlabel("usefulness rho = E[y f(x)]")
        axes.set_title(f"robust usefulness gamma in {threat}", loc="left", color=GREY, pad=10)
        if told:
            axes.legend(loc="upper left", frameon=False)
        return inline(figure, name, f"Features by usefulness and robust usefulness in {threat}: " + ", ".join(told) + ".")


def write_features(record: dict[str, Any], images: NDArray[Any], folder: Path) -> Path:
    """Write `features.svg` and `features.html`; the path of the page.

    Args:
        record: as the node `Score` leaves it.
        images: the test images [N, C, H, W], uint8, that its `telling` rows count in.
    """
    drawn = plane(record["features"], record["threat"], "plane")
    write_text(drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n", folder / "features.svg")
    groups = {verdict: [one for one in record["features"] if one["verdict"] == verdict] for verdict in VERDICTS}
    text = template("features.html.j2").render(
        record=record,
        plane=Markup(drawn),
        groups={verdict: (len(some), some[:SHOWN]) for verdict, some in groups.items() if some},
        pictures={index: [(row, picture(images[row])) for row in rows] for index, rows in record["telling"].items()},
    )
    return write_text(text, folder / "features.html")
