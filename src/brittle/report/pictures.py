"""Images as PNG data URIs, and what an attack changed in them."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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
