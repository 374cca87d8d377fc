"""Made data sets on disk: one folder with `set.safetensors`, or the two tensors that Ilyas et al. released."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
from msgspec import Struct
from torch import Tensor

from brittle.ground import BrittleError

from ..checkpoints import load_tensors, save_tensors
from .files import read_files
from .released import read_released
from .splits import SPLIT_SEED, DataSet, Split, assemble
from .well_known import CIFAR10

FORMAT = "brittle-set/1"
FILE = "set.safetensors"
TENSORS = ("images", "labels", "test_images", "test_labels")


class MadeHeader(Struct):
    """What the header of a made set says of it, beside its provenance."""

    set: str
    data: str
    classes: list[str]


def write_made(folder: Path, tensors: dict[str, Tensor], test: Split, header: dict[str, object]) -> None:
    """Write a made set, whole or not at all: its images and labels, the real test images beside them, where it is from.

    Args:
        tensors: `images` uint8 [N, C, H, W], `labels` int64 [N], and whatever else is known per example.
        test: the test part of the data that the set was made of.
        header: `set` (such as "D_R"), `data` (the name of those data), provenance.
    """
    held = tensors | {"test_images": test.images, "test_labels": test.labels}
    save_tensors(folder / FILE, held, {"format": FORMAT, "classes": list(test.classes), **header})


def read_made(name: str, path: Path) -> DataSet:
    """The made set in a folder: learned from made images, tested on the real ones.

    It is named after its source, as in "cifar10 (D_R)", whose statistics and augmentation it takes over. A folder with
    tensors as the authors released them is tested on CIFAR-10's test images if they are called `CIFAR_ims` and
    `CIFAR_lab`, else on a fifth of its own, which its name then says.

    Raises:
        BrittleError: no made set there, or a damaged one.
    """
    if path.is_dir() and not (path / FILE).exists() and any(path.glob("*_ims")):
        return _released(name, path)
    tensors, header = load_tensors(path / FILE if path.is_dir() else path)
    if header.get("format") != FORMAT:
        raise BrittleError(f"{path} holds {header.get('format', 'something')!r}, not a made set ({FORMAT})")
    try:
        said = msgspec.convert(header, MadeHeader)
        images, labels, test_images, test_labels = (tensors[name] for name in TENSORS)
    except (msgspec.ValidationError, KeyError) as error:
        raise BrittleError(f"{path} is no whole made set ({error}); make it again") from None
    base = real_name(said.data)
    remark = said.data[len(base) :].strip(" ()")
    title = f"{base} ({said.set}{', ' + remark if remark else ''})"
    whole = Split(images, labels, tuple(said.classes), f"{title}/train")
    test = Split(test_images, test_labels, whole.classes, f"{said.data}/test")
    if len(whole) < 2:
        raise BrittleError(f"{path}: a set of {len(whole)} images cannot be learned from; make more")
    # by chance and not by class: what a model mistakes for what need not hold two of each
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(SPLIT_SEED))
    held_out = min(5000, max(1, len(whole) // 10))
    validation = replace(whole.take(order[:held_out].sort().values), name=f"{title}/validation")
    return DataSet(title, whole.take(order[held_out:].sort().values), validation, test)


def real_name(name: str) -> str:
    """Of the real images in "cifar10 (D_R)" or "folder:PATH (D_R)"; a path may hold what looks like a remark."""
    return re.sub(r" \((D_|released)[^()]*\)$", "", name) if ":" in name else name.partition(" (")[0]


def _released(name: str, path: Path) -> DataSet:
    images, labels = read_released(name, path)
    if not (path / "CIFAR_ims").exists():
        classes = tuple(map(str, range(int(labels.max()) + 1)))
        return assemble(f"{name} (released, tested on itself)", classes, (images, labels), None)
    test = read_files(CIFAR10).test
    return assemble("cifar10 (released)", test.classes, (images, labels), (test.images, test.labels))
