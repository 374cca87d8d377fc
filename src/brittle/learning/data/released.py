"""Data sets as Ilyas et al. released theirs: a folder with the files NAME_ims and NAME_lab."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from brittle.ground import BrittleError, first_line, write_bytes

from .own import _to_bytes
from .splits import Pair

IMAGES, LABELS = "_ims", "_lab"


def read_released(name: str, path: Path) -> Pair:
    """Images uint8 [N, C, H, W] and labels int64 [N] of the one pair of files NAME_ims and NAME_lab in a folder.

    Each file holds a tensor or a list of them, one behind the other: images float in [0, 1] (rounded to 8 bits) or
    uint8, labels of whole numbers. No pickled code is ever run.

    Args:
        name: what the data set is called in errors.
        path: the folder, for example robust_CIFAR of the release.
    Raises:
        BrittleError: not one such pair there, a file of something else, values outside of [0, 1] or NaN, counts that
            differ.
    Source: github.com/MadryLab/constructed-datasets.
    """
    if not path.is_dir():
        raise BrittleError(
            f"{name}: there is no folder {path}; give the one with the files CIFAR{IMAGES} and CIFAR{LABELS}"
        )
    found = sorted(file for file in path.glob(f"?*{IMAGES}") if file.is_file())
    if len(found) != 1:
        what = f"{len(found)} files are" if found else "no file is"
        raise BrittleError(
            f"{name}: {what} called NAME{IMAGES} in {path}; give a folder with one pair NAME{IMAGES}, NAME{LABELS}"
        )
    beside = path / f"{found[0].name.removesuffix(IMAGES)}{LABELS}"
    if not beside.is_file():
        raise BrittleError(f"{name}: {found[0].name} has no {beside.name} beside it in {path}; get both")
    images, labels = _to_bytes(found[0], "images", _read(found[0])), _read(beside)
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise BrittleError(
            f"{found[0]}: images must be float or uint8 [N, C, H, W], not {images.dtype} {list(images.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool or labels.ndim != 1:
        raise BrittleError(f"{beside}: labels must be whole numbers [N], not {labels.dtype} {list(labels.shape)}")
    if len(images) != len(labels) or not len(labels):
        raise BrittleError(
            f"{path}: {len(images)} images but {len(labels)} labels; the two do not belong together, get both again"
        )
    return images, labels.to(torch.int64)


def write_released(path: Path, images: Tensor, labels: Tensor, prefix: str = "CIFAR") -> None:
    """Write a data set in the layout of the release, which `read_released` reads back to the same bytes.

    Args:
        path: the folder, made if it is not there.
        images: uint8 [N, C, H, W], written as float32 / 255.
        labels: int64 [N].
        prefix: NAME in the files' names.
    Raises:
        BrittleError: unfit tensors, or a prefix that makes no file name.
    """
    if (
        images.dtype != torch.uint8
        or images.ndim != 4
        or labels.dtype != torch.int64
        or labels.shape != images.shape[:1]
    ):
        given = f"{images.dtype} {list(images.shape)} and {labels.dtype} {list(labels.shape)}"
        raise BrittleError(f"{path}: images must be uint8 [N, C, H, W] and labels int64 [N], not {given}")
    if not prefix or Path(prefix).name != prefix:
        raise BrittleError(f"{path}: {prefix!r} is no beginning of a file name; give one such as CIFAR")
    for ending, tensor in ((IMAGES, images.to(torch.float32) / 255), (LABELS, labels)):
        file = io.BytesIO()
        torch.save([tensor.cpu().contiguous()], file)  # a list, because the authors' own code joins one
        write_bytes(path / f"{prefix}{ending}", file.getvalue())


def _read(file: Path) -> Tensor:
    """The one tensor in a file of torch.save, or those of a list, joined."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = first_line(error)
        raise BrittleError(f"{file}: holds something else than tensors ({reason}); nothing pickled is run") from None
    parts = [content] if isinstance(content, Tensor) else content
    if not isinstance(parts, list | tuple) or not parts or not all(isinstance(part, Tensor) for part in parts):
        raise BrittleError(f"{file}: holds {type(content).__name__}, not a tensor or a list of tensors")
    try:
        return torch.cat(list(parts)).detach()
    except RuntimeError as error:
        raise BrittleError(f"{file}: its tensors do not fit together ({first_line(error)})") from None
