"""Pictures in files: as they are, or brought to one size; and how much memory many of them take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brittle.ground import BrittleError, free_memory

GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's names, of 8 bits or less
CUT, RESIZED = 224, 256  # the usual test transform; other sides keep its proportion

Pixels = npt.NDArray[np.uint8]


def sided(path: Path) -> tuple[Path, int | None]:
    """The place and the side of PATH@SIDE; none: of PATH.

    Raises:
        BrittleError: a side of 0.
    """
    before, _, side = path.name.rpartition("@")
    if not before or not side.isdecimal():
        return path, None
    if int(side) < 1:
        raise BrittleError(
            f"{path}: pictures of {side} pixels cannot be; give a side such as {path.with_name(before)}@64"
        )
    return path.with_name(before), int(side)


def read_pictures(files: Sequence[Path], side: int | None = None, form: str | None = None) -> Tensor:
    """uint8 [N, C, H, W], grey if all are grey, otherwise RGB; transparency is dropped.

    Args:
        side: the shorter side is resized (bilinear) to side * 256 / 224, and the middle square cut out; none: the
            pictures as they are.
        form: "RGB" makes all of them colour.
    Raises:
        BrittleError: an unreadable picture; different sizes where no side is given.
    """
    with ThreadPoolExecutor() as pool:  # decoding is most of the work, and Pillow does it without Python's lock
        looks = [(form == "RGB", (side, side))] if form and side else list(pool.map(_look, files))
        colour, size = any(coloured for coloured, _ in looks), (side, side) if side else looks[0][1]
        for file, (_, own) in zip(files, looks, strict=False):
            if not side and own != size:
                raise BrittleError(
                    f"{file}: {own[1]} x {own[0]} pixels, but {files[0]} has {size[1]} x {size[0]}; bring all to one "
                    "size: --size 224, or PATH@224"
                )
        images = torch.empty(len(files), 3 if colour else 1, *size, dtype=torch.uint8)

        def fill(place: int) -> None:
            pixels = torch.from_numpy(read_picture(files[place], side, "RGB" if colour else "L"))
            images[place] = pixels.permute(2, 0, 1) if colour else pixels

        for _ in pool.map(fill, range(len(files))):
            pass
    return images


def _look(file: Path) -> tuple[bool, tuple[int, int]]:
    """Whether a picture has colours, and its height and width."""
    with _opened(file) as picture:
        return picture.mode not in GREY, picture.size[::-1]


def read_picture(file: Path, side: int | None, form: str) -> Pixels:
    """uint8 [H, W] of a picture in grey ("L"), [H, W, 3] in colour ("RGB")."""
    with _opened(file) as picture:
        return pixels_of(picture, side, form)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The picture in a file, which is decoded where it is asked for pixels."""
    from PIL import Image  # here, because only pictures need it

    try:
        with Image.open(file) as picture:
            yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"not a picture that can be read ({error}); save it as an 8-bit JPEG or PNG, or remove it"
        raise BrittleError(f"{file}: {problem}") from None


def pixels_of(picture: Any, side: int | None = None, form: str | None = None) -> Pixels:
    """The pixels of a Pillow picture.

    Raises:
        ValueError: more than 8 bits, or colours that are no RGB.
    """
    from PIL import Image

    if picture.mode not in GREY + COLOUR:
        raise ValueError(f"pictures of mode {picture.mode} are not read")
    picture = picture.convert(form or ("L" if picture.mode in GREY else "RGB"))
    if side is None:
        return np.array(picture)
    short, shorter = round(side * RESIZED / CUT), min(picture.size)
    width, height = (length * short // shorter for length in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return np.array(resized.crop((left, top, left + side, top + side)))


def check_memory(asked: str, count: int, side: int) -> None:
    """Raise `BrittleError` if so many coloured pictures do not fit into memory; `asked` is the data set without a
    side."""
    needed, free = count * 3 * side**2, free_memory(torch.device("cpu"))
    if free is not None and needed > free:
        fits = math.isqrt(int(0.8 * free) // (3 * count)) // 8 * 8  # what is left is for the rest of the work
        smaller = f"ask for smaller ones, {asked}@{fits}, or " if fits else ""
        what = f"{count:,} pictures of {side} x {side} pixels need {_gib(needed)} of memory, {_gib(free)} are available"
        place = asked.partition(":")[2]
        raise BrittleError(f"{place}: {what}; {smaller}use fewer pictures, or a machine with more memory")


def _gib(size: int) -> str:
    return f"{size / 2**30:.2g} GiB" if size < 100 * 2**30 else f"{size / 2**30:.0f} GiB"
