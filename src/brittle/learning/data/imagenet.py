"""Restricted ImageNet: nine super-classes of animals, cut out of a folder of ImageNet."""

from __future__ import annotations

from pathlib import Path

import torch

from brittle.ground import BrittleError

from .pictures import CUT, Pictures, sided
from .splits import DataSet, Named, assemble

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
LIST = "classes.txt"

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
    root, side = sided(path)
    side = side or CUT
    for part in (root / "train", root / "val"):
        if not part.is_dir():
            raise BrittleError(
                f"{name}: there is no folder {part}; give ImageNet's folder, which holds train/ and val/"
            )
    ids = _ids(root)
    train, test = (_pictures(root, _list(root / part, ids), side) for part in ("train", "val"))
    return assemble(name, tuple(RANGES), train, test, shuffle=True)


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


def _pictures(root: Path, listed: Listed, side: int) -> Named:
    files = [file for file, _ in listed]
    labels = torch.tensor([label for _, label in listed])
    return Pictures.of(files, side, "RGB"), labels, tuple(str(file.relative_to(root)) for file in files)
