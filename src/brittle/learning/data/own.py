"""A user's own data: a folder of pictures by class, or a safetensors file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from brittle.ground import BrittleError

from .splits import DataSet, Pair, assemble

GREY, COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA")  # Pillow's names for pictures of 8 bits or less

MOST_CLASSES = 100_000  # a larger label is a mistake, not a class
Pixels = npt.NDArray[np.uint8]


def read_folder(name: str, path: Path) -> DataSet:
    """The pictures of PATH/train/CLASS/* and PATH/test/CLASS/*, or of PATH/CLASS/* with 20 % held out as the test part.

    Classes are the sorted folder names. Pictures are grey if all are grey, otherwise RGB; transparency is dropped.

    Raises:
        BrittleError: no such folder, fewer than two classes, pictures of different sizes, an unreadable picture.
    """
    if not path.is_dir():
        raise BrittleError(f"{name}: there is no folder {path}; give the folder that holds one folder for each class")
    parts = [path / "train", path / "test"]
    present = [part.is_dir() for part in parts]
    if any(present) and not all(present):
        raise BrittleError(f"{path}: of train/ and test/ only one is there; give both, or class folders alone")
    roots = parts if all(present) else [path]
    classes = _classes(roots[0])
    listed = [_list(root, classes) for root in roots]
    images = _read_pictures([picture for part in listed for picture, _ in part])
    labels = torch.tensor([label for part in listed for _, label in part])
    cut = len(listed[0])
    test = (images[cut:], labels[cut:]) if all(present) else None
    return assemble(name, classes, (images[:cut], labels[:cut]), test, shuffle=True)


def write_folder(path: Path, data: DataSet) -> None:
    """Write a data set as PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, which `read_folder` reads back to the same
    pixels.

    What is learned from and what is chosen by (train and validation) stand together under train/. The folder gets its
    name when it is whole; one that is there already is replaced.

    Raises:
        BrittleError: images that are neither grey nor RGB, or a place that cannot be written.
    """
    from PIL import Image  # here, because only folders need it

    if data.shape[0] not in (1, 3):
        raise BrittleError(
            f"{path}: images of {data.shape[0]} channels are no pictures; only grey and RGB ones are written"
        )
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for folder, splits in (("train", (data.train, data.validation)), ("test", (data.test,))):
            for k, name in enumerate(data.classes):
                place = part / folder / f"{k:03}-{name.replace('/', '-')}"
                place.mkdir(parents=True)
                chosen = torch.cat([split.images[split.labels == k] for split in splits]).numpy()
                for row, image in enumerate(chosen):
                    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                        place / f"{row:06}.png"
                    )
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    except OSError as error:
        raise BrittleError(f"{path}: cannot be written ({error.strerror or error})") from error


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


def _classes(root: Path) -> tuple[str, ...]:
    found = tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(found) < 2:
        count = f"only one class folder ({found[0]})" if found else "no class folders"
        raise BrittleError(f"{root}: {count} in it; make one folder of pictures for each of at least two classes")
    return found


def _list(root: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """(picture, label) of every file in the class folders, in a fixed order."""
    if strange := sorted(set(_classes(root)) - set(classes)):
        raise BrittleError(
            f"{root}: class {strange[0]!r} has no folder in {root.parent / 'train'}; add it, or remove it"
        )
    pictures = []
    for label, name in enumerate(classes):
        inside = sorted((root / name).iterdir()) if (root / name).is_dir() else []
        files = [p for p in inside if p.is_file() and not p.name.startswith(".")]
        if not files:
            raise BrittleError(f"{root / name}: no pictures in it; add some, or remove the class")
        pictures += [(file, label) for file in files]
    return pictures


def _read_pictures(files: list[Path]) -> Tensor:
    """uint8 [N, C, H, W]."""
    arrays: list[Pixels] = []
    for file in files:
        arrays.append(_read_picture(file))
        height, width = arrays[-1].shape[:2]
        if (height, width) != arrays[0].shape[:2]:
            first = f"{arrays[0].shape[1]} x {arrays[0].shape[0]}"
            raise BrittleError(f"{file}: {width} x {height} pixels, but {files[0]} has {first}; resize all to one size")
    if all(array.ndim == 2 for array in arrays):
        return torch.from_numpy(np.stack(arrays)[:, None])
    coloured = [array if array.ndim == 3 else np.stack([array] * 3, axis=-1) for array in arrays]
    return torch.from_numpy(np.stack(coloured).transpose(0, 3, 1, 2).copy())


def _read_picture(file: Path) -> Pixels:
    """uint8 [H, W] of a grey picture, [H, W, 3] of another one."""
    from PIL import Image  # here, because only folders need it

    try:
        with Image.open(file) as picture:
            if picture.mode in GREY + COLOUR:
                return np.asarray(picture.convert("L" if picture.mode in GREY else "RGB"))
            problem = f"pictures of mode {picture.mode} are not read"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"not a picture that can be read ({error})"
    raise BrittleError(f"{file}: {problem}; save it as an 8-bit grey or RGB PNG, or remove it")


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
    return (images * 255).round().to(torch.uint8)


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
