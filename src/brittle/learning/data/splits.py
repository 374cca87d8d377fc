"""A data set: parts of uint8 images, fixed stratified splits, and resumable batches.

Images stay uint8 on whatever device they are on, until a batch is gathered as float32 in [0, 1]. Pictures in files are
decoded when their part, or what was taken of it, is first asked for images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from brittle.ground import BrittleError, as_floats, empty_or_mapped

from .pictures import Pictures

Pair = tuple[Tensor, Tensor]  # images uint8 [N, C, H, W] and labels int64 [N]
Named = tuple[Pictures, Tensor, tuple[str, ...]]  # pictures, labels, and the name of each picture's file

HELD_OUT = ", a fifth held out"  # in the name of a test part that is not the user's own
SPLIT_SEED = 0  # one fixed seed for every split, so that a data set is the same on every machine


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Args:
        pixels: uint8 [N, C, H, W], 0..255, or pictures that will be such.
        labels: int64 [N], each an index into `classes`.
        classes: the name of every class.
        name: such as "mnist/test".
        files: the name of each image's file; () where there are none.
        rows: of each image, its row in the user's own file; () where that is its place here.
    Raises:
        BrittleError: a wrong type or shape, counts that differ, a label that is no class.
    """

    pixels: Tensor | Pictures
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    files: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise BrittleError(f"{self.name}: images must be uint8 [N, C, H, W], not {_describe(self.pixels)}")
        if 0 in self.pixels.shape[1:]:
            raise BrittleError(f"{self.name}: images of {_describe(self.pixels)} have no pixels; give some that have")
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise BrittleError(f"{self.name}: labels must be int64 [N], not {_describe(self.labels)}")
        if len(self.pixels) != len(self.labels):
            counts = f"{len(self.pixels)} images but {len(self.labels)} labels"
            raise BrittleError(f"{self.name}: {counts}; the two do not belong together, get both again")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            wrong = next(label for label in self.labels.tolist() if not 0 <= label < len(self.classes))
            span = f"0 to {len(self.classes) - 1}"
            raise BrittleError(f"{self.name}: label {wrong} is out of range; the labels of these classes are {span}")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def images(self) -> Tensor:
        """uint8 [N, C, H, W], 0..255.

        Raises:
            BrittleError: a picture that cannot be read, or more of them than there is room for.
        """
        return self.pixels if isinstance(self.pixels, Tensor) else self.pixels.read()

    def to(self, device: torch.device | str) -> Split:
        """The same part with its tensors on `device`."""
        there = replace(self, pixels=self.images.to(device), labels=self.labels.to(device))
        if isinstance(self.pixels, Pictures):
            vars(there)["digest"] = self.digest  # that of the files
        return there

    def take(self, which: Tensor | slice | int) -> Split:
        """The images at these indices or in this slice; for an int n, the first n.

        Raises:
            BrittleError: n is negative or more than there are.
        """
        if isinstance(which, int):
            if not 0 <= which <= len(self):
                raise BrittleError(f"{self.name}: cannot take {which} images, there are {len(self)}")
            which = slice(which)
        places = torch.arange(len(self))[which.cpu() if isinstance(which, Tensor) else which]
        kept = places.tolist()
        return replace(
            self,
            pixels=_taken(self.pixels, which, places),
            labels=self.labels[which],
            files=tuple(self.files[place] for place in kept) if self.files else (),
            rows=tuple(self.rows[place] for place in kept) if self.rows else (),
        )

    def x(self, indices: Tensor | slice = slice(None)) -> Tensor:
        """The images as float32 [B, C, H, W] = images / 255, on the part's device."""
        here = isinstance(self.pixels, Tensor) or (isinstance(indices, slice) and indices == slice(None))
        return as_floats(self.images[indices] if here else self.take(indices).images)

    def digests(self) -> list[bytes]:
        """SHA-256 of each image (of a picture: of its file)."""
        if isinstance(self.pixels, Pictures):
            return self.pixels.digests()
        return [hashlib.sha256(one.contiguous().numpy().data).digest() for one in self.pixels.cpu()]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the shape, the pixels (of pictures: the files) and the labels."""
        sha = hashlib.sha256(repr(tuple(self.pixels.shape)).encode())
        if isinstance(self.pixels, Pictures):
            sha.update(self.pixels.digest.encode())
        else:
            sha.update(self.pixels.cpu().contiguous().numpy().data)
        sha.update(self.labels.cpu().numpy().astype("<i8").data)
        return sha.hexdigest()


def _taken(pixels: Tensor | Pictures, which: Tensor | slice, places: Tensor) -> Tensor | Pictures:
    """Those at `places`, which `which` says in another way."""
    if isinstance(pixels, Pictures):
        return pixels.take(places.tolist())
    if isinstance(which, slice) or pixels.device.type != "cpu":
        return pixels[which]
    return torch.index_select(pixels, 0, places, out=empty_or_mapped((len(places), *pixels.shape[1:])))


@dataclass(frozen=True)
class DataSet:
    """Three parts: learn from `train`, choose by `validation`, and only report on `test`."""

    name: str
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        if self.test.pixels.shape[1:] != self.train.pixels.shape[1:]:
            train, test = (" x ".join(map(str, part.pixels.shape[1:])) for part in (self.train, self.test))
            raise BrittleError(f"{self.name}: train images are {train} but test images are {test}; make them one size")

    @property
    def held_out(self) -> str:
        """What the test part is of a user's own images where none is called so; empty where one is."""
        every = len(self.train) + len(self.validation) + len(self.test)
        return f"{len(self.test):,} of {every:,} images{HELD_OUT}" if self.test.name.endswith(HELD_OUT) else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of every image."""
        return tuple(self.train.pixels.shape[1:])

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of every class."""
        return self.train.classes


def only_tested(name: str, classes: tuple[str, ...], test: Pair | Named) -> DataSet:
    """A data set that can be tested on, not learned from, in one fixed random order.

    Raises:
        BrittleError: as for `Split`; no images.
    """
    tested = Split(test[0], test[1], classes, f"{name}/test", *test[2:])
    if not len(tested):
        raise BrittleError(f"{tested.name}: there are no images in it; add some")
    nothing = tested.take(0)
    train, validation = (replace(nothing, name=f"{name}/{part}") for part in ("train", "validation"))
    return DataSet(name, train, validation, _shuffled(_numbered(tested)))


def assemble(
    name: str,
    classes: tuple[str, ...],
    train: Pair | Named,
    test: Pair | Named | None,
    *,
    shuffle: bool = False,
) -> DataSet:
    """The data set made of these images: validation (10 %, at most 5,000) comes out of train, never out of test.

    Without a test part, 20 % of the images become one. Both splits are stratified, and the same on every machine. Of a
    user's own data the name says so, and each image is held out or not by its own content: it stays where it is when
    others come, so that no net is tried on what it has learned from.
    `shuffle` brings every part into one fixed random order: where images lie sorted by class, the first n would be an
    unfair sample.

    Raises:
        BrittleError: as for `Split`; no images; too few images of some class to split.
    """
    known = _numbered(Split(train[0], train[1], classes, f"{name}/train", *train[2:]))
    if len(classes) < 2 or not len(known):
        what = f"{len(known)} images of {len(classes)} classes"
        raise BrittleError(f"{known.name}: {what} cannot be learned from; give images of at least two classes")
    if test is None:
        own = ":" in name  # what is known under a name has it in its description, and does not grow
        rest, held_out = _by_content(known, 0.2) if own else _stratified(known, len(known) // 5)
        said = HELD_OUT if own else ""
        known, tested = known.take(rest), replace(known.take(held_out), name=f"{name}/test{said}")
    else:
        tested = _numbered(Split(test[0], test[1], classes, f"{name}/test", *test[2:]))
    if not len(tested):
        raise BrittleError(f"{tested.name}: there are no images in it; add some, or give no test part")
    rest, held_out = _stratified(known, min(5000, len(known) // 10))
    validation = replace(known.take(held_out), name=f"{name}/validation")
    parts = (known.take(rest), validation, tested)
    if shuffle:
        return DataSet(name, *(_shuffled(part) for part in parts))
    return DataSet(name, *(replace(part, rows=()) for part in parts))


def _numbered(part: Split) -> Split:
    """The part, each image with its row in the user's own file, or in that of the images to learn from."""
    return replace(part, rows=tuple(range(len(part))))


def _shuffled(part: Split) -> Split:
    return part.take(torch.randperm(len(part), generator=torch.Generator().manual_seed(SPLIT_SEED)))


def _by_content(part: Split, share: float) -> tuple[Tensor, Tensor]:
    """Indices of (the rest, about that share of held-out images), both in order: an image is held out by its digest,
    except that each class keeps one on either side."""
    counts = torch.bincount(part.labels).tolist()
    if 1 in counts:
        rare = f"class {part.classes[counts.index(1)]!r} has too few images to hold some out"
        raise BrittleError(f"{part.name}: {rare}; give every class at least 5, or a test part")
    draws = torch.tensor([int.from_bytes(digest[:4]) / 2**32 for digest in part.digests()], dtype=torch.float64)
    held_out = draws < share
    for label in (label for label, count in enumerate(counts) if count):
        of = (part.labels == label).nonzero().squeeze(1)
        first, *_, last = of[draws[of].argsort(stable=True)].tolist()
        held_out[first], held_out[last] = True, False
    return (~held_out).nonzero().squeeze(1), held_out.nonzero().squeeze(1)


def _stratified(part: Split, size: int) -> tuple[Tensor, Tensor]:
    """Indices of (the rest, `size` held-out images), both in order, classes in proportion; where a class has one image,
    that is not held out."""
    from sklearn.model_selection import train_test_split  # here, because importing it takes a second

    labels = part.labels.numpy()
    counts = np.bincount(labels)
    several, single = (np.flatnonzero(which) for which in (counts[labels] > 1, counts[labels] == 1))
    if not len(several):
        return torch.from_numpy(single), torch.empty(0, dtype=torch.int64)
    size = max(size, int((counts > 1).sum()))
    rest, held_out = train_test_split(several, test_size=size, stratify=labels[several], random_state=SPLIT_SEED)
    return torch.from_numpy(np.sort(np.concatenate([rest, single]))), torch.from_numpy(np.sort(held_out))


def batches(count: int, size: int, *, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """Indices int64 [<= size] of every batch of one epoch over `count` images, shuffled; the last may be smaller.

    Random: a permutation keyed by (seed, epoch) alone, so a resumed run sees the same step k of epoch e.

    Raises:
        BrittleError: a size below 1, or a negative count, seed or epoch.
    """
    if size < 1 or min(count, seed, epoch) < 0:
        values = f"count {count}, size {size}, seed {seed}, epoch {epoch}"
        raise BrittleError(f"batches need a size of at least 1 and nothing negative, not {values}")
    key = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0])
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(key))
    return tuple(shuffled[start : start + size] for start in range(0, count, size))


def _describe(tensor: Tensor | Pictures) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
