"""The record of features to one self-contained HTML page: the plane of usefulness and robustness, and what units look
at."""

from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray

from brittle.ground import write_out

from . import exhibits
from .drawing import WIDTH, drawing, panel
from .page import template
from .pictures import picture
from .svg import GREY, inline, standing

SHOWN = 12  # features of each verdict in the page's list


def plane(features: list[dict[str, Any]], threat: str, name: str) -> str:
    """Features by rho (across) and gamma (upwards), as SVG text; those whose gamma was not measured are left out."""
    with drawing(name, height=380) as figure:
        axes = panel(figure, 60, 52, WIDTH - 20, 380 - 34)
        told = exhibits.plane(axes, features)
        axes.set_xlabel("usefulness rho = E[y f(x)]")
        axes.set_title(f"robust usefulness gamma in {threat}", loc="left", color=GREY, pad=10)
        return inline(figure, name, f"Features by usefulness and robust usefulness in {threat}: {told}.")


def write_features(record: dict[str, Any], images: NDArray[Any], folder: Path) -> Path:
    """Write `features.svg` and `features.html`; the path of the page.

    Args:
        record: as the node `Score` leaves it.
        images: the test images [N, C, H, W], uint8, that its `telling` rows count in.
    """
    drawn = plane(record["features"], record["threat"], "plane")
    write_out(folder / "features.svg", standing(drawn))
    groups = {
        verdict: [one for one in record["features"] if one["verdict"] == verdict] for verdict, *_ in exhibits.VERDICTS
    }
    text = template("features.html.j2").render(
        record=record,
        plane=Markup(drawn),
        measured=sum(one["gamma"] is not None for one in record["features"]),
        groups={
            verdict: (len(some), sum(one["gamma"] is None for one in some), some[:SHOWN])
            for verdict, some in groups.items()
            if some
        },
        pictures={index: [(row, picture(images[row])) for row in rows] for index, rows in record["telling"].items()},
    )
    return write_out(folder / "features.html", text)
