"""From bytes in files to tensors: gzip, IDX (the MNIST family) and the CIFAR-10 binary layout."""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brittle.ground import BrittleError

GZIP_MAGIC = b"\x1f\x8b"
CIFAR_RECORD = 1 + 3 * 32 * 32  # one label byte, then the red, green and blue planes
AGAIN = "delete it and get it again"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzip (told by its first bytes, not by its name).

    Raises:
        BrittleError: a file that cannot be read, is empty, or is damaged gzip.
    """
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BrittleError(f"{path}: damaged gzip file ({error}); {AGAIN}") from error
    except OSError as error:
        raise BrittleError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not content:
        raise BrittleError(f"{path}: the file is empty; {AGAIN}")
    return content


def read_members(archive: Path, names: tuple[str, ...], largest: int) -> dict[str, bytes]:
    """The content of the regular files of a tar archive that have these names, whatever their folder.

    Nothing is unpacked to disk, so no member can reach a path, be a link, or be larger than `largest` bytes.

    Raises:
        BrittleError: a damaged archive, or one without all of these files.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:  # in order: going back would decompress everything again
                name = Path(member.name).name
                stream = tar.extractfile(member) if name in names and member.isreg() else None
                if stream is not None and member.size <= largest:
                    found[name] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise BrittleError(f"{archive}: damaged archive ({reason}); {AGAIN}") from error
    if missing := [name for name in names if name not in found]:
        raise BrittleError(f"{archive}: the archive does not hold {missing[0]}; {AGAIN}")
    return found


def parse_idx(data: bytes, path: str, ndim: int) -> Tensor:
    """The uint8 array of `ndim` dimensions of an IDX file: images [N, H, W] or labels [N].

    Raises:
        BrittleError: another magic number, or a length that is not what the header says.
    Source: the file format at the end of yann.lecun.com/exdb/mnist.
    """
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


def parse_cifar(data: bytes, path: str) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of one file of the CIFAR-10 binary layout.

    Raises:
        BrittleError: a length that is no multiple of 3,073 bytes.
    Source: cs.toronto.edu/~kriz/cifar.html, "Binary version".
    """
    if not data or len(data) % CIFAR_RECORD:
        raise BrittleError(f"{path}: truncated ({len(data)} bytes, no multiple of {CIFAR_RECORD}); {AGAIN}")
    records = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).copy()
    return torch.from_numpy(images), torch.from_numpy(records[:, 0].astype(np.int64))
