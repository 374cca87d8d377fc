"""Adversarial images of any library, judged: are they allowed, do they fool, what do they prove?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import Threat, check_examples, classes_of, require_threat
from brittle.ground import BrittleError, Images, Labels

from .statistics import Proportion
from .verification import Array, as_tensors, verify

CLEAR = ("x_adv", "adv", "adversarial", "adv_complete", "adv_images")
NAMES = (*CLEAR, "images", "x", "arr_0", "0", "")
OTHERS = {"labels": ("labels", "y", "label"), "indices": ("rows_in_file", "indices", "index", "rows")}


@dataclass(frozen=True)
class Judgement:
    """How adversarial images fare in one threat, per image over all n.

    Attributes:
        right: clean images on which the model is right; the others count as broken.
        in_box: images in [0, 1]; allowed: in [0, 1] and inside the threat.
        fooled: of those that the model gets right, how many are answered otherwise, allowed or not.
        robust: right, and not broken by an allowed image; robust_8bit: nor by its rounding to 8 bits.
        largest: the size of the largest change.
    """

    threat: str
    n: int
    right: int
    in_box: int
    allowed: int
    fooled: int
    robust: Proportion
    robust_8bit: Proportion
    largest: float

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return vars(self) | {"robust": self.robust.record(), "robust_8bit": self.robust_8bit.record()}


def judge(
    model: Any, threat: Threat | str, x: Images | Array, x_adv: Images | Array, y: Labels | Array, batch: int = 250
) -> Judgement:
    """What adversarial images [n, *S] for x [n, *S] with labels y [n] amount to in a threat. Arrays of numpy will do.

    Raises:
        BrittleError: images outside of [0, 1], labels that do not fit, or adversarial images of another shape.
    Cost: four forward passes in float32.
    """
    threat = require_threat(threat)
    x, x_adv, y = as_tensors(x, x_adv, y)
    check_examples(x, y)
    parts = [torch.split(one, batch) for one in (x, x_adv, y)]
    seen = [verify(model, threat, *part) for part in zip(*parts, strict=True)]
    broken, broken_8bit, allowed = (torch.cat([getattr(one, name) for one in seen]) for name in FLAGS)
    right, wrong = classes_of(model, x, batch) == y, classes_of(model, x_adv, batch) != y
    in_box = ((x_adv >= 0) & (x_adv <= 1)).flatten(1).all(1)
    return Judgement(
        threat=str(threat),
        n=len(x),
        right=int(right.sum()),
        in_box=int(in_box.sum()),
        allowed=int(allowed.sum()),
        fooled=int((right & wrong).sum()),
        robust=Proportion(int((right & ~broken).sum()), len(x)),
        robust_8bit=Proportion(int((right & ~broken_8bit).sum()), len(x)),
        largest=float(torch.cat([one.size for one in seen]).max()),
    )


FLAGS = ("broken", "broken_8bit", "allowed")


def adversarial_of(
    arrays: dict[str, Tensor], key: str | None, x: Tensor, y: Tensor, rows: Sequence[int] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """The clean images, the adversarial ones and the labels that a file is about: its adversarial images stand under
    `key` or a usual name; they belong to the test images at its `indices` (in our own files `rows_in_file`), or else to
    the first ones, in the order of `rows` or as they stand here: whichever they lie nearer.

    Args:
        x, y: all test images [N, *S] and their labels [N].
        rows: the numbers [N] under which others know these images, as rows of a file; () where they are 0 to N - 1.
    Raises:
        BrittleError: no such array, images of another shape or more than there are, or labels that are others.
    """
    known = {name.lower(): array for name, array in arrays.items()}
    found = arrays.get(key) if key is not None else next((known[name] for name in NAMES if name in known), None)
    rivals = [name for name, array in arrays.items() if found is not None and array.shape == found.shape]
    if clear := [name for name in rivals if name.lower() in CLEAR]:
        rivals = clear
    if key is not None and found is None:
        raise BrittleError(f"there is no array {key!r} in the file, but {sorted(arrays)}")
    if found is None or (key is None and len(rivals) > 1):
        raise BrittleError(f"which of {sorted(arrays)} are the adversarial images? name it by --key")
    if found.dim() != x.dim() or found.shape[1:] != x.shape[1:]:
        hint = "; they must be [n, C, H, W]" if found.dim() == 4 else ""
        raise BrittleError(f"adversarial images of shape {list(found.shape)} for images {list(x.shape[1:])}{hint}")
    if not found.is_floating_point() and found.dtype != torch.uint8:
        raise BrittleError(f"adversarial images are floats in [0, 1] or uint8, not {found.dtype}")
    moved = (found.float() / 255 if found.dtype == torch.uint8 else found.float()).to(x.device)
    place_of = {row: place for place, row in enumerate(rows or range(len(x)))}
    first = torch.tensor(sorted(place_of)[: len(moved)])
    told = _whole(known, "indices", first)
    listed = told.flatten().tolist()
    if told.dim() != 1 or not len(listed) == len(moved) == len(set(listed) & place_of.keys()) > 0:
        raise BrittleError(f"{len(moved)} adversarial images for {len(x)} test images, at indices {_few(told)}")
    places = torch.tensor([place_of[row] for row in listed], device=x.device)
    if told is first:
        here = torch.arange(len(moved), device=x.device)
        places = min(places, here, key=lambda these: float((x[these] - moved).square().mean()))
    labels = _whole(known, "labels", y[places]).to(y.device)
    if not torch.equal(labels, y[places]):
        differ = int((labels != y[places]).sum()) if labels.shape == places.shape else len(places)
        raise BrittleError(f"{differ} of {len(places)} labels in the file are not those of the test images")
    if not bool(moved.isfinite().all()):
        raise BrittleError("there are numbers among the adversarial images that are not finite")
    return x[places], moved, y[places]


def _whole(known: dict[str, Tensor], kind: str, usual: Tensor) -> Tensor:
    """The whole numbers of this kind in a file, or the usual ones."""
    found = next((known[name] for name in OTHERS[kind] if name in known), usual)
    if not torch.equal(found, found.long()):
        raise BrittleError(f"the {kind} in the file are no whole numbers")
    return found.long()


def _few(rows: Tensor) -> str:
    listed = [str(one) for one in rows.flatten()[:5].tolist()]
    return ", ".join([*listed, *(["..."] if rows.numel() > 5 else [])]) or "none"
