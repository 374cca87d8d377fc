"""Arrays of numbers in MATLAB 5 files, read in plain Python: scipy's reader ends the process on some damaged files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

HEADER, LITTLE_ENDIAN = 128, b"\x00\x01IM"  # version 1.0, and the order of bytes
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
MATRIX, COMPRESSED = 14, 15


def matlab_arrays(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Name -> array of every plain array of numbers; what else is in the file is left out.

    Raises:
        ValueError: another kind of file, or a damaged one.
    Source: MathWorks, "MAT-File Format", level 5.
    """
    if data[HEADER - 4 : HEADER] != LITTLE_ENDIAN:
        raise ValueError("its header is another one")
    found = {}
    for kind, content in _elements(data[HEADER:]):
        if kind == COMPRESSED:
            ((kind, content),) = _elements(_unpacked(content))
        parts = tuple(_elements(content)) if kind == MATRIX else ()
        if len(parts) == 4 and parts[3][0] in NUMBERS:  # flags, lengths, name, numbers
            (_, lengths), (_, name), (number, values) = parts[1:]
            shape = np.frombuffer(lengths, "<i4").tolist()
            found[name.decode("ascii")] = np.frombuffer(values, NUMBERS[number]).reshape(shape, order="F")
    return found


def _unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each element; contents are padded to 8 bytes, and short ones stand inside of their tag."""
    at = 0
    while at < len(data):
        if len(data) < at + 8:
            raise ValueError("truncated")
        kind, size = struct.unpack_from("<II", data, at)
        start, following = at + 8, at + 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if kind >> 16:
            kind, size, start, following = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if len(data) < start + size:
            raise ValueError("truncated")
        yield kind, data[start : start + size]
        at = following
