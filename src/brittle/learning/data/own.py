"""A user's own tensors: a safetensors file, or arrays of numpy."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from brittle.ground import BrittleError

from .arrays import channels_first, read_arrays, words_in
from .folders import MOST_CLASSES, TEST
from .pictures import sided
from .splits import DataSet, Pair, assemble, only_tested

EXACT = 0.1  # of the step between two of 256 values: what float16 is off by, and less
SEVERITIES = 5  # of a corruption, one after the other in a file
IMAGES, LABELS = ("images", "image", "x", "data"), ("labels", "label", "y", "targets")  # names of arrays


def read_tensors(name: str, path: Path) -> DataSet:
    """The data set in a safetensors file.

    Keys: `images` [N, C, H, W], uint8 or float in [0, 1] (rounded to 8 bits), and `labels` int64 [N]; optionally
    `test_images` and `test_labels`, otherwise 20 % are held out. The metadata may name the `classes` (a JSON list).

    Raises:
        BrittleError: no such file, not safetensors, a missing key, a wrong type, values outside of [0, 1] or NaN.
    """
    if not path.is_file():
        raise BrittleError(f"{name}: there is no file {path}; give a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        hint = "write one with safetensors.torch.save_file"
        raise BrittleError(f"{path}: not a safetensors file ({error}); {hint}") from error
    train = _pair(path, tensors, "")
    test = _pair(path, tensors, "test_") if tensors.keys() & {"test_images", "test_labels"} else None
    return assemble(name, _named_classes(path, metadata, train, test), train, test, shuffle=True)


def _pair(path: Path, tensors: dict[str, Tensor], prefix: str) -> Pair:
    for key in (f"{prefix}images", f"{prefix}labels"):
        if key not in tensors:
            raise BrittleError(f"{path}: no {key!r} in it, only {sorted(tensors)}; save both images and labels")
    return _to_bytes(path, f"{prefix}images", tensors[f"{prefix}images"]), tensors[f"{prefix}labels"]


def _to_bytes(path: Path, key: str, images: Tensor) -> Tensor:
    """The images in 8 bits; whatever is neither float nor uint8 is left for `Split` to refuse."""
    if not images.is_floating_point():
        return images
    images = images.to(torch.float32)
    if images.isnan().any():
        raise BrittleError(f"{path}: {key} has NaN in it; pixels must be in [0, 1]")
    if images.numel() and not 0 <= float(images.min()) <= float(images.max()) <= 1:
        span = f"{float(images.min()):g} to {float(images.max()):g}"
        raise BrittleError(f"{path}: {key} goes from {span}, but floats must be in [0, 1]; scale them, or save uint8")
    scaled = images * 255
    if images.numel() and (off := float((scaled - scaled.round()).abs().max())) > EXACT:
        warnings.warn(
            f"{key} of {path} are rounded to 8 bits, which changes a pixel by up to {off / 255:.4f}: what was made of "
            "the floats themselves is not made of these images",
            stacklevel=2,
        )
    return scaled.round().to(torch.uint8)


def _named_classes(path: Path, metadata: dict[str, str], train: Pair, test: Pair | None) -> tuple[str, ...]:
    if "classes" not in metadata:
        labels = torch.cat([train[1], *([test[1]] if test else [])])
        fit = labels.dtype == torch.int64 and labels.numel() > 0  # what is not fit is for `Split` to refuse
        return tuple(map(str, range(min(int(labels.max()) + 1, MOST_CLASSES) if fit else 0)))
    try:
        classes = json.loads(metadata["classes"])
    except json.JSONDecodeError:
        classes = None
    if not isinstance(classes, list):
        raise BrittleError(f"{path}: the metadata 'classes' must be a JSON list of names, not {metadata['classes']!r}")
    return tuple(map(str, classes))


def read_npz(name: str, path: Path) -> DataSet:
    """Arrays of numpy: PATH.npz, or a folder of npy files, or IMAGES.npy with labels.npy beside it.

    Images are [N, H, W], [N, H, W, C] or [N, C, H, W], uint8 or float in [0, 1]; labels [N] are numbers of classes, or
    [N, C] with a 1 at the class. They are called images and labels, or x and y, alone or with train or test before or
    behind (`x_test`, `train_labels`). A part called test (or else val), or the only one there is, can be tested on;
    without a train part nothing can be learned. PATH.npy@K takes the k-th fifth: severity K of CIFAR-10-C.

    Raises:
        BrittleError: no such file, no images or labels in it, or arrays that are neither.
    """
    place, severity = sided(path)
    arrays = _arrays_at(name, place)
    train = _found(place, arrays, "train")
    test = next(filter(None, (_found(place, arrays, part) for part in ("test", "", *TEST))), None)
    there = [part for part in (train, test) if part]
    words = {name for name in words_in(place) for kind in LABELS if kind in name.split("_")} if not there else ()
    if words:
        raise BrittleError(f"{place}: {min(words)} is text; labels are numbers of classes, 0, 1, 2, ...")
    if not there:
        raise BrittleError(f"{place}: no images and labels in it, only {', '.join(sorted(arrays))}; call them x and y")
    if severity is not None and test:
        test = _of_severity(place, severity, *test)
    classes = tuple(map(str, range(min(max(int(labels.max()) for _, labels in there) + 1, MOST_CLASSES))))
    if train is None and test is not None:
        return only_tested(name, classes, test)
    return assemble(name, classes, train or there[0], test, shuffle=True)


def _of_severity(place: Path, severity: int, images: Tensor, labels: Tensor) -> Pair:
    """The k-th fifth of the images of all five severities."""
    rows, rest = divmod(len(images), SEVERITIES)
    if not 1 <= severity <= SEVERITIES or rest or len(labels) != len(images):
        raise BrittleError(
            f"{place}@{severity}: severities go from 1 to {SEVERITIES}, of as many images each; here are {len(images)} "
            f"images and {len(labels)} labels"
        )
    chosen = slice((severity - 1) * rows, severity * rows)
    return images[chosen], labels[chosen]


def _arrays_at(name: str, place: Path) -> dict[str, Tensor]:
    """Names to arrays; those of a folder are called as their files."""
    if place.is_dir():
        return {file.stem: read_arrays(file)[""] for file in sorted(place.glob("*.npy"))}
    found = read_arrays(place)
    if set(found) == {""}:
        beside = place.with_name("labels.npy")
        if not beside.is_file():
            raise BrittleError(f"{name}: {place} holds images alone; put labels.npy beside it")
        return {"images": found[""], "labels": read_arrays(beside)[""]}
    return found


def _found(place: Path, arrays: dict[str, Tensor], part: str) -> Pair | None:
    """Images and labels of a part, if they are there."""
    by_name = {name.lower(): array for name, array in arrays.items()}

    def one(names: tuple[str, ...]) -> tuple[str, Tensor] | None:
        said = (text for name in names for text in ((f"{name}_{part}", f"{part}_{name}") if part else (name,)))
        return next(((text, by_name[text]) for text in said if text in by_name), None)

    images, labels = one(IMAGES), one(LABELS)
    if images is None or labels is None:
        return None
    return _to_bytes(place, images[0], _channels_first(place, *images)), _numbers(place, *labels)


def _channels_first(place: Path, name: str, images: Tensor) -> Tensor:
    """[N, C, H, W]."""
    if images.dim() == 3:
        return images[:, None]
    if images.dim() != 4:
        raise BrittleError(
            f"{place}: {name} {list(images.shape)} are no images [N, H, W], [N, H, W, C] or [N, C, H, W]"
        )
    return channels_first(images)


def _numbers(place: Path, name: str, labels: Tensor) -> Tensor:
    """int64 [N]."""
    if not labels.is_floating_point() and not labels.is_complex():
        labels = labels.long()
    if (
        labels.dim() == 2
        and labels.shape[1] > 1
        and bool((((labels == 0) | (labels == 1)).all(1) & (labels.sum(1) == 1)).all())
    ):
        return labels.argmax(1)
    labels = labels.flatten() if labels.dim() == 2 and labels.shape[1] == 1 else labels
    if labels.dim() != 1 or not len(labels) or labels.is_complex() or bool((labels != labels.long()).any()):
        raise BrittleError(f"{place}: {name} must be numbers of classes [N], not {labels.dtype} {list(labels.shape)}")
    return labels.long()
