"""The layouts of the well-known data sets.

A parser takes the unpacked files of one part (path -> content; the path is for errors) and gives images uint8
[N, C, H, W] and labels int64 [N].
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brittle.ground import BrittleError

from .matlab import matlab_arrays
from .splits import Pair
from .unpacking import AGAIN


def parse_idx(contents: Mapping[str, bytes]) -> Pair:
    """One IDX file of images [N, H, W] and one of labels [N], as in the MNIST family.

    Raises:
        BrittleError: another magic number, or a length that is not what the header says.
    Source: the file format at the end of yann.lecun.com/exdb/mnist.
    """
    (images, pixels), (labels, classes) = contents.items()
    return _idx_array(images, pixels, ndim=3)[:, None], _idx_array(labels, classes, ndim=1).to(torch.int64)


def parse_cifar(contents: Mapping[str, bytes], *, label_bytes: int = 1) -> Pair:
    """Records of one behind the other: bytes of labels, the last of which counts, and planes of 32 x 32 in red, green
    and blue. CIFAR-10 has one byte of labels, CIFAR-100 a coarse and a fine one.

    Raises:
        BrittleError: a length that is no multiple of a record's.
    Source: cs.toronto.edu/~kriz/cifar.html, "Binary version".
    """
    length = label_bytes + 3 * 32 * 32
    for path, data in contents.items():
        if len(data) % length:
            raise BrittleError(f"{path}: truncated ({len(data)} bytes, no multiple of {length}); {AGAIN}")
    records = [np.frombuffer(data, np.uint8).reshape(-1, length) for data in contents.values()]
    images = np.concatenate([part[:, label_bytes:] for part in records]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([part[:, label_bytes - 1] for part in records])
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def parse_svhn(contents: Mapping[str, bytes]) -> Pair:
    """MATLAB 5 files with the arrays X uint8 [H, W, 3, N] and y [N, 1], in which 10 stands for the digit 0.

    Raises:
        BrittleError: no such file, or one without these arrays.
    Source: ufldl.stanford.edu/housenumbers, "Format 2: Cropped Digits".
    """
    arrays = [_svhn_arrays(path, data) for path, data in contents.items()]
    images = np.concatenate([x.transpose(3, 2, 0, 1) for x, _ in arrays])
    labels = np.concatenate([y.reshape(-1) for _, y in arrays]).astype(np.int64)
    return torch.from_numpy(images), torch.from_numpy(np.where(labels == 10, 0, labels))


def parse_npy(contents: Mapping[str, bytes]) -> Pair:
    """One .npy file of images uint8 [N, H, W, C] and one of labels, whole numbers [N]. Nothing pickled is run.

    Raises:
        BrittleError: no .npy file of numbers, or one of another type or shape.
    """
    (images, pixels), (labels, classes) = contents.items()
    x, y = _npy_array(images, pixels), _npy_array(labels, classes)
    _check_array(images, x, np.uint8, ("N", "H", "W", "C"))
    _check_array(labels, y, np.integer, ("N",))
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(y.astype(np.int64))


def parse_digits(_: Mapping[str, bytes]) -> Pair:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, whose 0..16 become 0..255; no files, since it brings them along."""
    from sklearn.datasets import load_digits  # here, because importing it takes a second

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def _idx_array(path: str, data: bytes, ndim: int) -> Tensor:
    magic, header = bytes([0, 0, 8, ndim]), 4 + 4 * ndim  # 8: unsigned bytes
    if data[:4] != magic:
        kind = "images" if ndim == 3 else "labels"
        raise BrittleError(f"{path}: magic number {data[:4].hex()}, but IDX {kind} begin with {magic.hex()}; {AGAIN}")
    if len(data) < header:
        raise BrittleError(f"{path}: truncated inside its header ({len(data)} bytes); {AGAIN}")
    shape = struct.unpack(f">{ndim}I", data[4:header])
    if len(data) != (promised := header + math.prod(shape)):
        problem = "truncated" if len(data) < promised else "too long"
        raise BrittleError(f"{path}: {problem} ({len(data)} bytes, its header says {promised}); {AGAIN}")
    return torch.from_numpy(np.frombuffer(data, np.uint8)[header:].reshape(shape).copy())


def _svhn_arrays(path: str, data: bytes) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    try:
        found = matlab_arrays(data)
        x, y = found["X"], found["y"]
    except (ValueError, KeyError) as error:
        raise BrittleError(f"{path}: not a whole MATLAB 5 file with the arrays X and y ({error}); {AGAIN}") from None
    _check_array(path, x, np.uint8, ("H", "W", 3, "N"))
    _check_array(path, y, np.integer, ("N", 1))
    return x, y


def _npy_array(path: str, data: bytes) -> npt.NDArray[np.generic]:
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise BrittleError(f"{path}: not a whole .npy file of numbers ({reason}); {AGAIN}") from None


def _check_array(path: str, array: npt.NDArray[np.generic], kind: type, shape: tuple[str | int, ...]) -> None:
    """A letter in `shape` stands for any length."""
    fits = array.ndim == len(shape) and all(
        isinstance(b, str) or a == b for a, b in zip(array.shape, shape, strict=False)
    )
    if not fits or not issubclass(array.dtype.type, kind):
        expected = f"{kind.__name__} [{', '.join(map(str, shape))}]"
        raise BrittleError(f"{path}: holds {array.dtype} {list(array.shape)}, not {expected}; {AGAIN}")
