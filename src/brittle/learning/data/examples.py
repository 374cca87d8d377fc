"""Examples as a program has them: tensors, arrays, data sets and loaders of torch."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from brittle.ground import BrittleError, ByteImages, empty_or_mapped, first_line

from .arrays import channels_first, native
from .pictures import pixels_of
from .splits import Split

END = object()  # of items
WANTED = "give (images, labels), a Dataset (with a length) or a DataLoader of such pairs, or a Split"


def examples_of(data: Any) -> tuple[Tensor, Tensor]:
    """Images [n, *S] floating and labels int64 [n], in memory: what `streamed_examples_of` gives, read as a whole."""
    x, y = streamed_examples_of(data)
    return (x if isinstance(x, Tensor) else x[:]), y


def streamed_examples_of(data: Any) -> tuple[Tensor | ByteImages, Tensor]:
    """Images [n, *S] floating, those of 8 bits some at a time, and labels int64 [n]. More images than memory holds
    lie in a file meanwhile.

    Args:
        data: a pair of tensors or arrays of numpy; a `Split`; a torch `Dataset` of (image, label), where an image is a
            tensor, an array or a Pillow picture (alone, an array of three dimensions that ends in 1 or 3 is [H, W, C]);
            a `DataLoader` of batches of them; what follows image and label is left alone. Images [n, H, W, C] become
            [n, C, H, W], as `npz:PATH` reads them; those in uint8 are divided by 255; labels of any whole numbers will
            do.
    Raises:
        BrittleError: anything else, or images of different sizes.
    """
    if isinstance(data, Split):
        return _floating(data.images), data.labels
    if isinstance(data, DataLoader):
        return _filled(map(_batch, _each(data, "batch")), 0)
    if isinstance(data, Dataset) and hasattr(data, "__len__"):
        rows = (data[row] for row in range(len(data)))
        return _filled(map(_row, _each(rows, "item")), len(data))
    x, y = _pair(data)
    return _floating(x), y


def split_of(data: Any) -> Split:
    """A part of a data set: itself, or made of whatever else `streamed_examples_of` takes, where its images are of 8
    bits; classes are called by their numbers.

    Raises:
        BrittleError: anything else, or pixels between the 256 values of 8 bits.
    """
    if isinstance(data, Split):
        return data
    images, labels = streamed_examples_of(data)
    pixels = images.pixels if isinstance(images, ByteImages) else (255 * images).round()
    if isinstance(images, Tensor):
        if (
            images.min() < 0
            or images.max() > 1
            or not torch.allclose(pixels / 255, images.to(pixels), rtol=0, atol=1e-6)
        ):
            raise BrittleError("images are made of and kept in 8 bits: give uint8, or floats k / 255 for whole k")
        pixels = pixels.to(torch.uint8)
    return Split(pixels, labels, tuple(map(str, range(int(labels.max()) + 1))), "examples")


def _each(items: Iterable[Any], called: str) -> Iterator[Any]:
    """The items; one that cannot be had is told by its number."""
    left, number = iter(items), 0
    while True:
        try:
            item = next(left, END)
        except BrittleError:
            raise
        except Exception as error:  # whatever the code of a data set raises
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BrittleError(f"{called} {number} of the data cannot be had ({why}); mend the data set") from error
        if item is END:
            return
        yield item
        number += 1


def _filled(batches: Iterable[tuple[Tensor, Tensor]], expected: int) -> tuple[Tensor | ByteImages, Tensor]:
    """All batches as one; none is held twice where as many examples come as are expected."""
    images, labels, count = torch.empty(0), [], 0
    for x, y in batches:
        if count == 0:
            images = empty_or_mapped((max(expected, len(x)), *x.shape[1:]), x.dtype)
        if x.shape[1:] != images.shape[1:]:
            one, other = sorted(str(list(some.shape[1:])) for some in (x, images))
            raise BrittleError(f"images of different sizes, {one} and {other}; bring all to one size")
        if x.dtype != images.dtype:
            raise BrittleError(f"images of {images.dtype} and of {x.dtype}; bring all to one type")
        if count + len(x) > len(images):
            longer = empty_or_mapped((2 * (count + len(x)), *x.shape[1:]), x.dtype)
            longer[:count], images = images[:count], longer
        images[count : count + len(x)] = x
        labels.append(y)
        count += len(x)
    if not labels:
        raise BrittleError(f"there are no examples; {WANTED}")
    return _floating(images[:count]), torch.cat(labels)


def _floating(x: Tensor) -> Tensor | ByteImages:
    return ByteImages(x, x.device) if x.dtype == torch.uint8 else x


def _row(row: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(row, (tuple, list)) or len(row) < 2:
        raise BrittleError(f"a data set must give (image, label); {WANTED}")
    return channels_first(_image(row[0])[None]), torch.tensor([_label(row[1])])


def _batch(batch: Any) -> tuple[Tensor, Tensor]:
    """What a loader gives: a batch, or with `batch_size=None` a row alone."""
    if not isinstance(batch, (tuple, list)):
        return _pair(batch)
    alone = len(batch) > 1 and (isinstance(batch[1], int) or getattr(batch[1], "ndim", 1) == 0)
    return _row(batch) if alone else _pair(batch[:2])


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise BrittleError(f"{type(data).__name__} is no examples; {WANTED}")
    x, y = (one if isinstance(one, Tensor) else _tensor(one) for one in data)
    if x.dtype == torch.float64 and not isinstance(data[0], Tensor):  # which is what numpy takes for every number
        x = x.float()
    if not y.is_floating_point() and not y.is_complex() and y.dtype != torch.bool:
        y = y.long()
    return channels_first(x), y


def _tensor(array: Any) -> Tensor:
    """Of any array.

    Raises:
        BrittleError: words, objects.
    """
    try:
        return native(np.asarray(array))
    except (TypeError, ValueError) as error:
        raise BrittleError(f"images and labels are numbers, which {type(array).__name__} is not ({error})") from None


def _label(label: Any) -> int:
    try:
        return operator.index(np.asarray(label).item())
    except (TypeError, ValueError):
        raise BrittleError(f"the label of an image is a whole number, not {label!r}") from None


def _image(image: Any) -> Tensor:
    """[C, H, W]."""
    if isinstance(image, Tensor):
        return image
    try:
        array = image if isinstance(image, np.ndarray) else pixels_of(image)
    except (AttributeError, ValueError) as error:
        raise BrittleError(f"an image that is no tensor, array or picture of 8 bits ({error})") from None
    if array.ndim == 2:
        array = array[None]
    elif array.ndim == 3 and array.shape[-1] in (1, 3):
        array = array.transpose(2, 0, 1)
    return _image(_tensor(array))
