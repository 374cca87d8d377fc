"""Pictures in files: as they are, or brought to one size."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from brittle.ground import BrittleError, empty_or_mapped

GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # Pillow's names, of 8 bits or less
CUT, RESIZED = 224, 256  # the usual test transform; other sides keep its proportion

AT_ONCE = 500  # pictures that are asked for before the first of them is used

Pixels = npt.NDArray[np.uint8]
Stored = Path | bytes  # a picture: its file, or what would stand in one
Result = TypeVar("Result")


def sided(path: Path) -> tuple[Path, int | None]:
    """The place and the side of PATH@SIDE; none: of PATH, which may be called so in truth.

    Raises:
        BrittleError: a side of 0.
    """
    before, _, side = path.name.rpartition("@")
    if not before or not side.isdecimal() or path.exists():
        return path, None
    if int(side) < 1:
        raise BrittleError(f"{path}: what follows the @, a side in pixels or a severity, is at least 1, not {side}")
    return path.with_name(before), int(side)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures uint8 [N, C, H, W] that are decoded when they are asked for; transparency is dropped.

    Attributes:
        stored: the file or the content of each picture that there is; places: those that are meant.
        shape: (N, C, H, W).
        side: the shorter side is resized (bilinear) to side * 256 / 224, and the middle square cut out; none: the
            pictures as they are.
    """

    stored: Sequence[Stored]
    places: tuple[int, ...]
    shape: tuple[int, ...]
    side: int | None
    hashes: dict[int, bytes] = field(default_factory=dict)  # of what was stored, as far as it was asked for
    dtype = torch.uint8
    ndim = 4

    @classmethod
    def of(cls, stored: Sequence[Stored], side: int | None = None, form: str | None = None) -> Pictures:
        """Grey if all are grey, otherwise RGB; `form` "RGB" makes all of them colour.

        Raises:
            BrittleError: an unreadable picture, or different sizes where no side is given. With a side pictures are
                looked at until one has colours.
        """
        colour, size = form == "RGB", (side, side) if side else None
        with ThreadPoolExecutor() as pool:
            for number, (coloured, own) in enumerate(_in_turn(pool, _look, stored) if not (colour and side) else ()):
                size = size or own
                if not side and own != size:
                    one, first = _called(stored, number), _called(stored, 0)
                    differ = f"{own[1]} x {own[0]} pixels, but {first} has {size[1]} x {size[0]}"
                    raise BrittleError(f"{one}: {differ}; bring all to one size: --size 224, or PATH@224")
                colour = colour or coloured
                if colour and side:
                    break
        count = len(stored)
        return cls(stored, tuple(range(count)), (count, 3 if colour else 1, *(size or (0, 0))), side)

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Sequence[int]) -> Pictures:
        """Those at these rows."""
        return replace(self, places=tuple(self.places[row] for row in rows), shape=(len(rows), *self.shape[1:]))

    def read(self) -> Tensor:
        """All of them.

        Raises:
            BrittleError: an unreadable picture, or more pixels than there is room for.
        """
        images, form = empty_or_mapped(self.shape), "RGB" if self.shape[1] == 3 else "L"

        def fill(row: int) -> None:
            place = self.places[row]
            content = _content(self.stored, place)
            if place in self.hashes and hashlib.sha256(content).digest() != self.hashes[place]:
                raise BrittleError(f"{_called(self.stored, place)}: has changed since it was looked at; begin again")
            with _opened([content], 0, _called(self.stored, place)) as picture:
                pixels = torch.from_numpy(pixels_of(picture, self.side, form))
            pixels = pixels.permute(2, 0, 1) if form == "RGB" else pixels[None]
            if pixels.shape != images.shape[1:]:
                raise BrittleError(f"{_called(self.stored, place)}: is of another size than when it was looked at")
            images[row] = pixels

        with ThreadPoolExecutor() as pool:  # decoding is most of the work, and Pillow does it without Python's lock
            for _ in _in_turn(pool, fill, range(len(self))):
                pass
        return images

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what is stored, and of how it is read."""
        import PIL  # here, because only pictures need it

        sha = hashlib.sha256(repr((self.shape, self.side, PIL.__version__)).encode())
        for digest in self.digests():
            sha.update(digest)
        return sha.hexdigest()

    def digests(self) -> list[bytes]:
        """SHA-256 of each of what is stored. What is decoded later must still be the same."""

        def one(place: int) -> bytes:
            if place not in self.hashes:
                self.hashes[place] = hashlib.sha256(_content(self.stored, place)).digest()
            return self.hashes[place]

        with ThreadPoolExecutor() as pool:
            return list(_in_turn(pool, one, self.places))


def _in_turn(pool: ThreadPoolExecutor, work: Callable[[Any], Result], items: Sequence[Any]) -> Iterator[Result]:
    """What `work` gives for each item, in their order, some hundreds at a time; whoever stops asking stops the work."""
    for start in range(0, len(items), AT_ONCE):
        yield from pool.map(work, [items[place] for place in range(start, min(start + AT_ONCE, len(items)))])


def _look(stored: Stored) -> tuple[bool, tuple[int, int]]:
    """Whether a picture has colours, and its height and width."""
    with _opened([stored], 0) as picture:
        _check_mode(picture)
        return picture.mode not in GREY, picture.size[::-1]


def _content(stored: Sequence[Stored], place: int) -> bytes:
    found = stored[place]
    try:
        return found if isinstance(found, bytes) else found.read_bytes()
    except OSError as error:
        raise BrittleError(f"{found!s}: cannot be read ({error.strerror or error})") from None


def _called(stored: Sequence[Stored], place: int) -> str:
    found = stored[place]
    return str(found) if isinstance(found, Path) else f"picture {place}"


@contextmanager
def _opened(stored: Sequence[Stored], place: int, called: str = "") -> Iterator[Any]:
    """The picture, which is decoded where it is asked for pixels."""
    from PIL import Image  # here, because only pictures need it

    found = stored[place]
    try:
        with Image.open(io.BytesIO(found) if isinstance(found, bytes) else found) as picture:
            yield picture
    except FileNotFoundError:
        raise BrittleError(f"there is no file {called or _called(stored, place)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"not a picture that can be read ({error}); save it as an 8-bit JPEG or PNG, or remove it"
        raise BrittleError(f"{called or _called(stored, place)}: {problem}") from None


def pixels_of(picture: Any, side: int | None = None, form: str | None = None) -> Pixels:
    """The pixels of a Pillow picture.

    Raises:
        ValueError: more than 8 bits, or colours that are no RGB.
    """
    from PIL import Image

    _check_mode(picture)
    picture = picture.convert(form or ("L" if picture.mode in GREY else "RGB"))
    if side is None:
        return np.array(picture)
    short, shorter = round(side * RESIZED / CUT), min(picture.size)
    width, height = (length * short // shorter for length in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return np.array(resized.crop((left, top, left + side, top + side)))


def _check_mode(picture: Any) -> None:
    if picture.mode not in GREY + COLOUR:
        raise ValueError(f"pictures of mode {picture.mode} are not read")
