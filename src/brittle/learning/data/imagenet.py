"""Restricted ImageNet: nine super-classes of animals, cut out of a folder of ImageNet."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brittle.ground import BrittleError

from .own import COLOUR, GREY, Pixels
from .splits import DataSet, Split, assemble

# ImageNet's class indices, first and last, in the order of the labels that the authors' models give
RANGES = {
    "dog": (151, 268),
    "cat": (281, 285),
    "frog": (30, 32),
    "turtle": (33, 37),
    "bird": (80, 100),
    "primate": (365, 382),
    "fish": (389, 397),
    "crab": (118, 121),
    "insect": (300, 319),
}
COUNT = 1000
SIDE, RESIZED = 224, 256  # the usual test transform; other sides keep its proportion
LIST = "classes.txt"
MODES = (*GREY, *COLOUR, "CMYK", "YCbCr")  # ImageNet has all kinds of JPEG

Listed = list[tuple[Path, int]]


def read_restricted(name: str, path: Path) -> DataSet:
    """Restricted ImageNet from PATH or PATH@SIDE, images [N, 3, SIDE, SIDE] (224): train from PATH/train, test from
    PATH/val.

    Both hold one folder of pictures for each of ImageNet's 1,000 classes, named by its WordNet id, in whose sorted
    order the classes are counted. Where folders are missing, PATH/classes.txt must list the 1,000 ids in that order,
    one a line. Every picture is resized (bilinear) until its shorter side is SIDE * 256 / 224, and its centre cut out.

    Raises:
        BrittleError: no such folders, no such list, an unreadable picture, or more pixels than memory.
    Source: Ilyas et al. 2019, appendix C.1; ranges and order of the classes as in their library.
    """
    root, side = _parsed(path)
    for part in (root / "train", root / "val"):
        if not part.is_dir():
            raise BrittleError(
                f"{name}: there is no folder {part}; give ImageNet's folder, which holds train/ and val/"
            )
    ids = _ids(root)
    listed = [_list(root / part, ids) for part in ("train", "val")]
    _check_memory(root, sum(map(len, listed)), side)
    order = assemble(name, tuple(RANGES), *(_numbered(part) for part in listed), shuffle=True)
    train, validation = (_filled(part, listed[0], side) for part in (order.train, order.validation))
    return DataSet(name, train, validation, _filled(order.test, listed[1], side))


def _parsed(path: Path) -> tuple[Path, int]:
    """The folder and the side of PATH or PATH@SIDE."""
    before, _, side = path.name.rpartition("@")
    if not before or not side.isdecimal():
        return path, SIDE
    if int(side) < 1:
        raise BrittleError(
            f"{path}: pictures of {side} pixels cannot be; give a side such as {path.with_name(before)}@64"
        )
    return path.with_name(before), int(side)


def _ids(root: Path) -> list[str]:
    """The 1,000 WordNet ids in the order of the class indices, and only those have folders."""
    folders = {part: _folders(root / part) for part in ("train", "val")}
    if not (root / LIST).is_file():
        for part, found in folders.items():
            if len(found) != COUNT:
                how = f"add the others, or list all {COUNT:,} WordNet ids in {root / LIST}, in sorted order, one a line"
                raise BrittleError(f"{root / part}: {len(found)} class folders, but ImageNet has {COUNT:,}; {how}")
        ids = folders["train"]
    else:
        try:
            lines = (root / LIST).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise BrittleError(f"{root / LIST}: not a text file; list one WordNet id a line") from None
        ids = [line.split()[0] for line in lines if line.strip()]  # what follows an id is its name
        if len(ids) != COUNT or len(set(ids)) != COUNT:
            raise BrittleError(
                f"{root / LIST}: {len(set(ids))} different ids in {len(ids)} lines; it must list all {COUNT:,}"
            )
    for part, found in folders.items():
        if strange := sorted(set(found) - set(ids)):
            where = root / LIST if (root / LIST).is_file() else root / "train"
            raise BrittleError(
                f"{root / part}: {strange[0]!r} is none of the classes in {where}; name folders by WordNet id"
            )
    return ids


def _folders(part: Path) -> list[str]:
    return sorted(p.name for p in part.iterdir() if p.is_dir() and not p.name.startswith("."))


def _list(part: Path, ids: list[str]) -> Listed:
    """(picture, label) of every picture of the nine super-classes, in a fixed order."""
    pictures: Listed = []
    for label, (first, last) in enumerate(RANGES.values()):
        for folder in (part / identity for identity in ids[first : last + 1]):
            inside = sorted(folder.iterdir()) if folder.is_dir() else []
            pictures += [(file, label) for file in inside if file.is_file() and not file.name.startswith(".")]
    if not pictures:
        raise BrittleError(f"{part}: there is no picture of {', '.join(RANGES)} in it; add class folders with some")
    return pictures


def _check_memory(root: Path, count: int, side: int) -> None:
    needed, free = count * 3 * side**2, _free_memory()
    if needed > free:
        fits = math.isqrt(int(0.8 * free) // (3 * count)) // 8 * 8  # what is left is for the rest of the work
        smaller = f"ask for smaller ones, restricted:{root}@{fits}, or " if fits else ""
        what = f"{count:,} pictures of {side} x {side} pixels need {_gib(needed)} of memory, {_gib(free)} are available"
        raise BrittleError(f"{root}: {what}; {smaller}use fewer pictures, or a machine with more memory")


def _free_memory() -> int:
    """Bytes that may be taken. The pages that sysconf calls available leave out the file cache, which gives way at
    once."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gib(size: int) -> str:
    return f"{size / 2**30:.2g} GiB" if size < 100 * 2**30 else f"{size / 2**30:.0f} GiB"


def _numbered(listed: Listed) -> tuple[Tensor, Tensor]:
    """The pictures' numbers in place of their pixels: the parts are drawn before any pixel takes memory."""
    numbers = torch.arange(len(listed)).view(torch.uint8).reshape(-1, 1, 1, 8)
    return numbers, torch.tensor([label for _, label in listed])


def _filled(part: Split, listed: Listed, side: int) -> Split:
    """The part with its pictures read, many at once: decoding is most of the work, and Pillow does it without Python's
    lock."""
    numbers = part.images.flatten().view(torch.int64).tolist()
    images = torch.empty(len(numbers), 3, side, side, dtype=torch.uint8)

    def fill(place: int) -> None:
        images[place] = torch.from_numpy(_read(listed[numbers[place]][0], side)).permute(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(fill, range(len(numbers))):
            pass
    return replace(part, images=images)


def _read(file: Path, side: int) -> Pixels:
    """uint8 [side, side, 3]: the middle of the resized picture."""
    from PIL import Image  # here, because only folders need it

    try:
        with Image.open(file) as picture:
            if picture.mode in MODES:
                short, shorter = round(side * RESIZED / SIDE), min(picture.size)
                width, height = (length * short // shorter for length in picture.size)
                resized = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
                left, top = round((width - side) / 2), round((height - side) / 2)
                return np.array(resized.crop((left, top, left + side, top + side)))
            problem = f"pictures of mode {picture.mode} are not read"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"not a picture that can be read ({error})"
    raise BrittleError(f"{file}: {problem}; save it as an 8-bit JPEG or PNG, or remove it")
