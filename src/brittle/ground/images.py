"""Images of 8 bits that become floats when they are asked for, and room for more of them than memory holds."""

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brittle.errors import BrittleError

from .devices import free_memory
from .files import cache_folder
from .types import Images

SHARE, SMALL = 0.25, 1 << 26  # of the free memory, which one array may take; bytes that any array may


@dataclass(frozen=True, eq=False)
class ByteImages:
    """Images uint8 [n, *S], which are read as float32 in [0, 1], some at a time, on `device`."""

    pixels: Tensor
    device: torch.device

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any) -> Images:
        return as_floats(self.pixels[rows.to(self.pixels.device) if isinstance(rows, Tensor) else rows].to(self.device))

    @property
    def shape(self) -> torch.Size:
        return self.pixels.shape

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def dim(self) -> int:
        return self.pixels.dim()

    def to(self, place: torch.device) -> "ByteImages":
        """Read on `place`; they lie there too where they take a quarter of its free memory at most."""
        free = free_memory(place)
        near = free is None or self.pixels.numel() <= SHARE * free
        return ByteImages(self.pixels.to(place) if near else self.pixels, place)


def as_floats(pixels: Tensor) -> Images:
    """Bytes as float32 in [0, 1], the same numbers on every device: divided by a tensor, since CUDA multiplies by the
    inverse of a number."""
    return pixels.to(torch.float32) / torch.full((), 255.0, device=pixels.device)


def empty_or_mapped(shape: Sequence[int], dtype: torch.dtype = torch.uint8) -> Tensor:
    """An array on the CPU to be filled, as `torch.empty` gives it. One that would take more than a quarter of the free
    memory lies in a file without a name in the cache folder, whose pages the system lets go where memory is short.

    Raises:
        BrittleError: neither memory nor disk holds it.
    """
    count, free = math.prod(shape), free_memory(torch.device("cpu"))
    size = count * dtype.itemsize
    if free is None or size <= max(SHARE * free, SMALL) or (size <= free and not hasattr(os, "posix_fallocate")):
        return torch.empty(*shape, dtype=dtype)
    try:
        if not hasattr(os, "posix_fallocate"):
            raise OSError("this system keeps no place for files beforehand")
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache_folder(), prefix="images-") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # or a full disk would end the process at some later write
            return torch.from_file(file.name, shared=True, size=count, dtype=dtype).view(*shape)
    except OSError as error:
        what = f"images of {_gib(size)} are asked for and {_gib(free)} of memory are free"
        raise BrittleError(
            f"{what}, nor does {cache_folder()} hold them ({error}); use fewer or smaller images, or set "
            "XDG_CACHE_HOME to a folder on a larger disk"
        ) from None


def _gib(size: int) -> str:
    return f"{size / 2**30:.2g} GiB" if size < 100 * 2**30 else f"{size / 2**30:.0f} GiB"
