"""Examples as a program has them: tensors, arrays, data sets and loaders of torch."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from brittle.ground import BrittleError

from .pictures import pixels_of
from .splits import Split

WANTED = "give (images, labels), a Dataset (with a length) or a DataLoader of such pairs, or a Split"


def examples_of(data: Any) -> tuple[Tensor, Tensor]:
    """Images [n, *S] floating and labels int64 [n], in memory.

    Args:
        data: a pair of tensors or arrays of numpy; a `Split`; a torch `Dataset` of (image, label), where an image is a
            tensor, an array or a Pillow picture (alone, an array of three dimensions that ends in 1 or 3 is [H, W, C]);
            a `DataLoader` of batches of them; what follows image and label is left alone. Images in uint8 are divided
            by 255; labels of any whole numbers will do.
    Raises:
        BrittleError: anything else, or images of different sizes.
    """
    if isinstance(data, Split):
        return data.x(), data.labels
    if isinstance(data, DataLoader):
        pairs = [_pair(batch[:2] if isinstance(batch, (tuple, list)) else batch) for batch in data]
        return _joined([x for x, _ in pairs]), _joined([y for _, y in pairs])
    if isinstance(data, Dataset) and hasattr(data, "__len__"):
        rows = [data[row] for row in range(len(data))]
        if not all(isinstance(row, (tuple, list)) and len(row) >= 2 for row in rows):
            raise BrittleError(f"a data set must give (image, label); {WANTED}")
        return _joined([_image(row[0])[None] for row in rows]), torch.tensor([_label(row[1]) for row in rows])
    return _pair(data)


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise BrittleError(f"{type(data).__name__} is no examples; {WANTED}")
    x, y = (one if isinstance(one, Tensor) else _tensor(one) for one in data)
    if x.dtype == torch.float64 and not isinstance(data[0], Tensor):  # which is what numpy takes for every number
        x = x.float()
    if x.dtype == torch.uint8:
        x = x.to(torch.float32) / 255
    if not y.is_floating_point() and not y.is_complex() and y.dtype != torch.bool:
        y = y.long()
    return x, y


def _tensor(array: Any) -> Tensor:
    """Of any order of bytes and any strides.

    Raises:
        BrittleError: words, objects.
    """
    try:
        array = np.asarray(array)
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ("C", "W")))
    except (TypeError, ValueError) as error:
        raise BrittleError(f"images and labels are numbers, which {type(array).__name__} is not ({error})") from None


def _label(label: Any) -> int:
    try:
        return operator.index(np.asarray(label).item())
    except (TypeError, ValueError):
        raise BrittleError(f"the label of an image is a whole number, not {label!r}") from None


def _image(image: Any) -> Tensor:
    """[C, H, W] floating."""
    if isinstance(image, Tensor):
        return image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image
    try:
        array = image if isinstance(image, np.ndarray) else pixels_of(image)
    except (AttributeError, ValueError) as error:
        raise BrittleError(f"an image that is no tensor, array or picture of 8 bits ({error})") from None
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape[-1] in (1, 3):
        array = array.transpose(2, 0, 1)
    return _image(_tensor(array))


def _joined(parts: list[Tensor]) -> Tensor:
    if not parts:
        raise BrittleError(f"there are no examples; {WANTED}")
    try:
        return torch.cat(parts)
    except RuntimeError:
        sizes = sorted({str(list(part.shape[1:])) for part in parts})
        raise BrittleError(f"images of different sizes, {' and '.join(sizes[:2])}; bring all to one size") from None
