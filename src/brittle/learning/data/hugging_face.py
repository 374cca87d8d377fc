"""Data sets of Hugging Face's library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from brittle.ground import BrittleError, first_line, package

from .pictures import pixels_of, sided
from .splits import DataSet, Pair, assemble, only_tested

TEST, LABELS = ("test", "validation", "val"), ("label", "labels", "fine_label")


def read_hugging_face(name: str, path: Path) -> DataSet:
    """What `datasets.Dataset.save_to_disk` wrote into PATH, or else what its library knows by that name; PATH@SIDE
    resizes and cuts pictures as `folder:` does.

    The column of pictures is the one of that type; labels stand in `label`. A set without a train part can be tested
    on, not learned from.

    Raises:
        BrittleError: the library is not installed, knows no such set, or the set holds no pictures with labels.
    """
    datasets = package("datasets", name, "hub")
    place, side = sided(path)
    try:
        found: Any = datasets.load_from_disk(str(place)) if place.is_dir() else datasets.load_dataset(str(place))
    except Exception as error:
        raise BrittleError(f"{name}: cannot be read as a data set of Hugging Face ({first_line(error)})") from None
    parts = dict(found) if isinstance(found, dict) else {"test": found}
    test = next((parts[one] for one in TEST if one in parts), None)
    some = test if test is not None else next(iter(parts.values()))
    pictures = next((one for one, kind in some.features.items() if isinstance(kind, datasets.Image)), None)
    labels = next((one for one in LABELS if one in some.features), None)
    if pictures is None or labels is None:
        raise BrittleError(f"{name}: has no pictures with labels, only {', '.join(some.features)}")
    read = {part: _pair(name, rows, pictures, labels, side) for part, rows in parts.items() if part == "train"}
    tested = None if test is None else _pair(name, test, pictures, labels, side)
    known = getattr(some.features[labels], "names", None)
    count = 1 + max(int(one[1].max()) for one in (*read.values(), *([tested] if tested else [])))
    classes = tuple(known or map(str, range(count)))
    if "train" not in read:
        if tested is None:
            raise BrittleError(f"{name}: has neither a train nor a test part, only {', '.join(parts)}")
        return only_tested(name, classes, tested)
    return assemble(name, classes, read["train"], tested, shuffle=True)


def _pair(name: str, rows: Any, pictures: str, labels: str, side: int | None) -> Pair:
    try:
        arrays = [pixels_of(picture, side) for picture in rows[pictures]]
    except ValueError as error:
        raise BrittleError(f"{name}: {first_line(error)}") from None
    if len({array.shape for array in arrays}) != 1:
        raise BrittleError(f"{name}: pictures of different sizes or kinds; bring all to one: --size 224, or PATH@224")
    images = np.stack(arrays)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.from_numpy(images.copy()), torch.tensor(rows[labels], dtype=torch.int64)
