"""Arrays from files of any library, read without running code that stands in them."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from brittle.ground import BrittleError

COLOURS = {1, 3}  # channels of a picture
WORDS = ("U", "S")  # numpy's kinds of arrays of text


def read_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays in an npz, npy, safetensors or pt file by their names; a single one without a name is called "".

    Raises:
        BrittleError: no such file, another kind of file, or one that holds more than arrays (pickled objects).
    """
    if not path.is_file():
        raise BrittleError(f"there is no file {path}")
    if path.suffix not in READERS:
        raise BrittleError(f"{path}: arrays are read from {', '.join(READERS)}")
    try:
        return READERS[path.suffix](path)
    except Exception as error:  # whatever a damaged or a foreign file makes its reader raise must be one line
        why = " ".join(str(error).split())[:200]
        raise BrittleError(f"{path}: cannot be read as arrays alone ({why}); nothing pickled is run") from None


def channels_first(images: Tensor) -> Tensor:
    """Images [N, C, H, W], of [N, H, W, C] too: where 1 or 3 channels can only be meant by the last of four lengths."""
    last = images.dim() == 4 and images.shape[3] in COLOURS and not {*images.shape[1:3]} & COLOURS
    return images.permute(0, 3, 1, 2).contiguous() if last else images


def words_in(path: Path) -> set[str]:
    """The names, in small letters, of the arrays of text in an npz file; of other files none."""
    if path.suffix != ".npz":
        return set()
    with np.load(path, allow_pickle=False) as found:
        return {name.lower() for name in found.files if found[name].dtype.kind in WORDS}


def native(array: NDArray[Any]) -> Tensor:
    """An array of numbers of any order of bytes and any strides."""
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ("C", "W")))


def _numpy(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": native(found)}
        arrays = {name: found[name] for name in found.files}
    numbers = {name: native(array) for name, array in arrays.items() if array.dtype.kind not in WORDS}
    if arrays and not numbers:
        raise ValueError("there are only words in it")
    return numbers


def _torch(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles that are refused in the next moment
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, Tensor):
        return {"": found.detach()}
    if isinstance(found, (tuple, list)):
        found = {str(place): one for place, one in enumerate(found)}
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}")
    return {str(name): one.detach() for name, one in found.items() if isinstance(one, Tensor)}


READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".npz": _numpy,
    ".npy": _numpy,
    ".safetensors": load_file,
    ".pt": _torch,
    ".pth": _torch,
}
