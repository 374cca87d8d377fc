"""A contact sheet: what the images of a made set look like beside those they were made of."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .svg import GREY, INK

Row = tuple[str, NDArray[Any], Sequence[str]]  # what the row shows, images [k, C, H, W] uint8, a caption for each


def sheet(title: str, rows: Sequence[Row]) -> bytes:
    """A PNG of rows of images, each with its caption; images in one column belong together."""
    count, height, width = len(rows[0][1]), *rows[0][1].shape[2:]
    figure = Figure(figsize=(1.0 * count + 1.5, (1.0 * height / width + 0.32) * len(rows) + 0.5), dpi=100)
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (name, images, captions) in zip(grid, rows, strict=True):
        for k, axes in enumerate(line):
            image = np.moveaxis(images[k], 0, -1) if images.shape[1] == 3 else images[k].mean(0)
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(captions[k], fontsize=8, pad=2, color=INK)
            for side in axes.spines.values():
                side.set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, color=GREY)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.subplots_adjust(
        left=1.4 / figure.get_figwidth(), right=0.99, top=1 - 0.55 / figure.get_figheight(), bottom=0.01
    )
    held = BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()
