"""What is fast on which device, decided here and nowhere else."""

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from brittle.errors import BrittleError

from .text import first_line


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; `auto` is the first of CUDA, Apple's MPS and the CPU that works here. Of several
    (`8xcuda`) it is the first.

    Raises:
        BrittleError: the device is unknown or absent, or there are not so many.
    """
    count = device_count(name)
    name = name.removeprefix(f"{count}x")
    if count > 1 and name == "cuda" and count > torch.cuda.device_count():
        raise BrittleError(f"{count} CUDA devices are asked for, and {torch.cuda.device_count()} are here")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        place = torch.zeros(1, device=name)
        place.item()  # of a device without memory (meta) nothing can be read
        return place.device
    except (RuntimeError, AssertionError) as error:
        raise BrittleError(f"device {name!r} cannot be used here ({first_line(error)}); try --device cpu") from None


def device_count(name: str) -> int:
    """How many devices a name asks for: `8xcuda` eight, any other name one."""
    count, times, _ = name.partition("x")
    return int(count) if times and count.isdecimal() else 1


@functools.cache
def fast_dtype(kind: str) -> torch.dtype:
    """The dtype in which a gradient on a device of this kind is cheapest: bfloat16 where the hardware multiplies it.

    Processors without such instructions (AMX, AVX512-BF16) emulate bfloat16 at less than half the speed of float32.
    """
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if kind == "cpu":
        native = (
            getattr(torch.cpu, "_is_amx_tile_supported", None),
            getattr(torch.cpu, "_is_avx512_bf16_supported", None),
        )
        return torch.bfloat16 if any(asked() for asked in native if asked) else torch.float32
    return torch.float32


@contextmanager
def full_float32() -> Iterator[None]:
    """cuDNN's convolutions in float32 as it is written, not in TF32 (10 bits of mantissa), which is its default."""
    before = torch.backends.cudnn.allow_tf32
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        if torch.cuda.is_available():
            torch.backends.cudnn.allow_tf32 = before


@functools.cache
def keep_freed_memory() -> bool:
    """Make glibc keep the memory that a gradient frees, for the next gradient to use; true if it agreed.

    By default glibc gives large blocks back to the kernel at once, and each step pays for faulting the same pages in
    again, the more the larger its batch.
    Set `BRITTLE_MALLOC=0` to leave the allocator alone.
    """
    if not sys.platform.startswith("linux") or os.environ.get("BRITTLE_MALLOC") == "0":
        return False
    trim_threshold, mmap_threshold = -1, -3  # names of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(mmap_threshold, 1 << 30) and mallopt(trim_threshold, (1 << 31) - 1))
