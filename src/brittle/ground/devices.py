"""What is fast on which device, decided here and nowhere else."""

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from brittle.errors import BrittleError

from .text import first_line

Part = TypeVar("Part")
CONTAINER = Path("/sys/fs/cgroup")


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; `auto` is the first of CUDA, Apple's MPS and the CPU that works here. Of several
    (`8xcuda`) it is the first.

    Raises:
        BrittleError: the device is unknown or absent, or there are not so many.
    """
    count, asked = device_count(name), name
    name = name.removeprefix(f"{count}x")
    if count < 1 or (count > 1 and name not in ("cuda", "cpu")):
        raise BrittleError(f"several devices are written 8xcuda, not {asked!r}")
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


def bit_key(place: torch.device) -> str:
    """What decides the bits of a computation beside its declaration: work begun under another name is begun again."""
    return f"{torch.__version__}-{place.type}-{fast_dtype(place.type)}".replace("torch.", "")


def free_memory(place: torch.device) -> int | None:
    """Bytes that may be taken on a device; none where that cannot be told."""
    if place.type == "cuda" and torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        free, _ = torch.cuda.mem_get_info(place)
        return free + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    if place.type != "cpu":
        return None
    if not hasattr(os, "sysconf"):
        return None
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, StopIteration):  # what sysconf calls available leaves out the file cache, which gives way
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):  # the limit of a container; "max" where there is none
        most, used = (int((CONTAINER / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = 0
        with suppress(OSError, StopIteration):  # files that give way, which count as used
            said = (CONTAINER / "memory.stat").read_text().splitlines()
            cached = next(int(line.split()[1]) for line in said if line.startswith("inactive_file "))
        free = min(free, max(most - used + cached, 0))
    return free


class OutOfMemory(BrittleError):
    """The device's memory is too small for so many images at once."""


def in_parts(work: Callable[[slice], Part], count: int, size: int) -> list[Part]:
    """What `work` gives for slices of at most `size` of `count` examples, in their order; where the device's memory
    runs out, the size is halved from there on.

    Raises:
        BrittleError: memory is too small for one example.
    """
    parts, start = [], 0
    while start < count:
        which = slice(start, min(start + size, count))
        try:
            parts.append(work(which))
        except (OutOfMemory, torch.OutOfMemoryError):
            if which.stop - start == 1:
                raise BrittleError(
                    "one image alone does not fit into the device's memory beside the model; try --device cpu"
                ) from None
            size = (which.stop - start + 1) // 2
            continue
        start = which.stop
    return parts


@contextmanager
def full_float32() -> Iterator[None]:
    """CUDA's convolutions and matrix products in float32 as it is written, not in TF32 (10 bits of mantissa), which is
    cuDNN's default."""
    switches, name, off = _float32_switches() if torch.cuda.is_available() else ((), "", None)
    before = [getattr(switch, name) for switch in switches]
    for switch in switches:
        setattr(switch, name, off)
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            setattr(switch, name, value)


def _float32_switches() -> tuple[tuple[Any, ...], str, Any]:
    """What holds the setting, its name, and its value without TF32; torch refuses the old names once the new ones are
    in use."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):  # torch 2.9
        return (backends.cudnn.conv, backends.cuda.matmul), "fp32_precision", "ieee"
    return (backends.cudnn, backends.cuda.matmul), "allow_tf32", False


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
