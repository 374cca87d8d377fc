"""CIFAR-10.1: new test images for CIFAR-10's classes. There is nothing in it to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from brittle.ground import BrittleError

from .formats import AGAIN
from .named import _cache, _own_roots
from .sources import SOURCES
from .splits import Split

COUNTS = {"v6": 2000, "v4": 2021}
FOLDERS = ("cifar10.1", ".")
HOME = "https://github.com/modestyachts/CIFAR-10.1"


def read_cifar10_1(data_dir: Path | str | None = None, version: str = "v6") -> Split:
    """The test images of CIFAR-10.1, [2000, 3, 32, 32] in version v6 and [2021, 3, 32, 32] in v4; nothing is
    downloaded.

    Args:
        data_dir: looked in first, and in its folder cifar10.1; then each folder of $BRITTLE_DATA; then the user's
            cache.
        version: "v6", whose classes are balanced, or "v4".
    Raises:
        BrittleError: an unknown version; files not found; damaged or unfit files.
    Source: Recht et al. 2018, "Do CIFAR-10 classifiers generalize to CIFAR-10?".
    """
    if version not in COUNTS:
        raise BrittleError(f"CIFAR-10.1 has no version {version!r}; choose one of {', '.join(COUNTS)}")
    names = [f"cifar10.1_{version}_{what}.npy" for what in ("data", "labels")]
    roots = [*_own_roots(Path(data_dir).expanduser() if data_dir else None), _cache()]
    places = list(dict.fromkeys(root / folder for root in roots for folder in FOLDERS))
    where = next((place for place in places if all((place / name).is_file() for name in names)), None)
    if where is None:
        looked = ", ".join(map(str, places))
        how = f"get both from the folder datasets of {HOME}, and put them into {places[0]}, or set BRITTLE_DATA"
        raise BrittleError(f"cifar10.1: no {names[0]} with {names[1]} in {looked}; {how}")
    count = COUNTS[version]
    images = _read(where / names[0], (count, 32, 32, 3), np.uint8)
    labels = _read(where / names[1], (count,), np.integer)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    return Split(
        pixels, torch.from_numpy(labels.astype(np.int64)), SOURCES["cifar10"].classes, f"cifar10.1-{version}/test"
    )


def _read(file: Path, shape: tuple[int, ...], kind: type) -> npt.NDArray[np.generic]:
    try:
        with file.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise BrittleError(f"{file}: not a whole .npy file of numbers ({reason}); {AGAIN}") from None
    if array.shape != shape or not issubclass(array.dtype.type, kind):
        raise BrittleError(
            f"{file}: holds {array.dtype} {list(array.shape)}, not {kind.__name__} {list(shape)}; {AGAIN}"
        )
    return array
