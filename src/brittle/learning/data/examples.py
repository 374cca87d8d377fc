"""Examples as a program has them: tensors, arrays, data sets and loaders of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from brittle.ground import BrittleError

from .pictures import pixels_of
from .splits import Split

WANTED = "give (images, labels), a Dataset or a DataLoader of such pairs, or a Split"


def examples_of(data: Any) -> tuple[Tensor, Tensor]:
    """Images [n, *S] floating and labels int64 [n], in memory.

    Args:
        data: a pair of tensors or arrays of numpy; a `Split`; a torch `Dataset` of (image, label), where an image is a
            tensor, an array or a Pillow picture (alone, an array of three dimensions that ends in 1 or 3 is [H, W, C]);
            a `DataLoader` of batches of them. Images in uint8 are divided by 255; labels of any whole numbers will do.
    Raises:
        BrittleError: anything else, or images of different sizes.
    """
    if isinstance(data, Split):
        return data.x(), data.labels
    if isinstance(data, DataLoader):
        pairs = [_pair(batch) for batch in data]
        return _joined([x for x, _ in pairs]), _joined([y for _, y in pairs])
    if isinstance(data, Dataset):
        rows = [data[row] for row in range(len(data))]  # type: ignore[arg-type]
        if not all(isinstance(row, (tuple, list)) and len(row) >= 2 for row in rows):
            raise BrittleError(f"a data set must give (image, label); {WANTED}")
        return _joined([_image(row[0])[None] for row in rows]), torch.tensor([int(row[1]) for row in rows])
    return _pair(data)


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise BrittleError(f"{type(data).__name__} is no examples; {WANTED}")
    x, y = (torch.from_numpy(one) if isinstance(one, np.ndarray) else one for one in data)
    if isinstance(x, Tensor) and x.dtype == torch.uint8:
        x = x.to(torch.float32) / 255
    if isinstance(y, Tensor) and not y.is_floating_point() and not y.is_complex() and y.dtype != torch.bool:
        y = y.long()
    return x, y


def _image(image: Any) -> Tensor:
    """[C, H, W] floating."""
    if isinstance(image, Tensor):
        return image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image
    array = image if isinstance(image, np.ndarray) else pixels_of(image)
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape[-1] in (1, 3):
        array = array.transpose(2, 0, 1)
    return _image(torch.from_numpy(array.copy()))


def _joined(parts: list[Tensor]) -> Tensor:
    if not parts:
        raise BrittleError(f"there are no examples; {WANTED}")
    try:
        return torch.cat(parts)
    except RuntimeError:
        sizes = sorted({str(list(part.shape[1:])) for part in parts})
        raise BrittleError(f"images of different sizes, {' and '.join(sizes[:2])}; bring all to one size") from None
