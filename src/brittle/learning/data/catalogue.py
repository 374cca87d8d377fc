"""Every data set by its name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from brittle.ground import BrittleError

from .cifar10_1 import read_cifar10_1
from .fetch import DownloadProgress
from .imagenet import RANGES, read_restricted
from .made import read_made
from .named import read_named
from .own import read_folder, read_tensors
from .sources import SOURCES
from .splits import DataSet, Pair, assemble

OWN = {"folder": read_folder, "made": read_made, "restricted": read_restricted, "tensors": read_tensors}


class Row(NamedTuple):
    """A line of the list of data sets: `shape` (C, H, W) and the number of `classes`, None where the data decide."""

    name: str
    what: str
    shape: tuple[int, ...] | None
    classes: int | None


def available() -> tuple[Row, ...]:
    """What `load` accepts."""
    named = (Row(name, source.what, source.shape, len(source.classes)) for name, source in SOURCES.items())
    return (
        Row("digits", "small handwritten digits, always at hand", (1, 8, 8), 10),
        *named,
        Row("cifar10.1", "new test images for the classes of cifar10; nothing to learn from", (3, 32, 32), 10),
        Row("folder:PATH", "pictures in PATH/train/CLASS and PATH/test/CLASS, or in PATH/CLASS", None, None),
        Row("made:PATH", "a set that brittle disentangle made, or the tensors that Ilyas et al. released", None, None),
        Row(
            "restricted:PATH",
            "nine super-classes of ImageNet in PATH/train and PATH/val; PATH@64: 64 pixels",
            None,
            len(RANGES),
        ),
        Row("tensors:PATH", "a safetensors file with images and labels", None, None),
    )


def load(
    name: str, data_dir: Path | str | None = None, *, download: bool = True, progress: DownloadProgress | None = None
) -> DataSet:
    """The data set of this name, in host memory.

    Args:
        name: one of `available`.
        data_dir: looked in first; then each folder of $BRITTLE_DATA; then the user's cache ($XDG_CACHE_HOME or
            ~/.cache, in brittle/data). A download goes into `data_dir`, or else into the cache.
        download: whether what is not found may be downloaded.
        progress: told (file name, bytes so far, bytes in all or None) during a download.
    Raises:
        BrittleError: an unknown name; data not found; damaged or unfit data.
    """
    kind, _, path = name.partition(":")
    try:
        if kind in OWN and path:
            return OWN[kind](name, Path(path).expanduser())
        if name in SOURCES:
            root = Path(data_dir).expanduser() if data_dir else None
            return read_named(name, root, download=download, progress=progress)
    except OSError as error:
        raise BrittleError(f"{name}: {error}; check the path and its permissions") from error
    if name == "digits":
        return _digits()
    if name == "cifar10.1":
        test = read_cifar10_1(data_dir)
        return DataSet(name, test.take(0), test.take(0), test)
    names = [row.name for row in available()]
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(names)}"
    raise BrittleError(f"no data set is called {name!r}; {hint}")


def _digits() -> DataSet:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, whose 0..16 become 0..255."""
    from sklearn.datasets import load_digits  # here, because importing it takes a second

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    pair: Pair = (torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))
    return assemble("digits", tuple("0123456789"), pair, None)
