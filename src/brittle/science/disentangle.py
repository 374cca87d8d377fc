"""Data sets made of one kind of feature: D_R, D_NR, D_rand, D_det of Ilyas et al. 2019, section 3, each checked as it
is made."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from brittle.attacks import Threat, classes_of, require_threat
from brittle.audits import Proportion, mean_interval
from brittle.ground import BrittleError, Model, in_parts
from brittle.learning import Split, accuracy, default_augment, split_of

from .construction import CONSTRUCTIONS, EPS, Construction, Matched, Task

PART = {"cpu": 250, "cuda": 2000}  # images made at once
LOOKED_AT = 200  # images on which the source model is tested first


class Part(NamedTuple):
    """Some examples of a made set, on the CPU.

    Attributes:
        images: uint8 [B, C, H, W]; labels [B].
        row: which example of the source each was made of [B]; start: which one the matching started from (-1: none
            did).
        size: of the change before rounding, in L2 or in the threat's unit, in float64 [B]; inside: whether it is
            allowed.
        answers, answers_8bit: what the source model says to the images as floats and as they are kept.
        before, after: distance of representations, NaN where none is matched.
    """

    images: Tensor
    labels: Tensor
    row: Tensor
    start: Tensor
    size: Tensor
    inside: Tensor
    answers: Tensor
    answers_8bit: Tensor
    before: Tensor
    after: Tensor


def part_slices(count: int, device: torch.device | str = "cpu") -> list[slice]:
    """The parts of a set of `count` images, in order; one is the same whichever were made before it."""
    size = PART.get(torch.device(device).type, PART["cpu"])
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def make_part(
    model: Model,
    split: Split,
    construction: Construction,
    which: slice,
    *,
    seed: int = 0,
    others: Sequence[Model] = (),
    device: torch.device | str = "cpu",
) -> Part:
    """The examples `which` of the set that `making` makes of `split`, fewer at once where the device's memory runs out.

    Unrelated images follow one random cycle through the split: each serves once, and none serves itself.

    Args:
        model: the source of features, on `device`; `others` are models that are not to be fooled.
    Cost: `making.cost` gradients per example. Random: a function of (seed, split) and of the part, not of other parts.
    """
    first = which.start

    def some(part: slice) -> Part:
        few = slice(first + part.start, first + part.stop)
        return _made(model, split, construction, few, seed, others, device)

    return join_parts(in_parts(some, which.stop - first, which.stop - first))


def _made(
    model: Model,
    split: Split,
    construction: Construction,
    which: slice,
    seed: int,
    others: Sequence[Model],
    device: torch.device | str,
) -> Part:
    starts = cycle(len(split), seed)[which]
    wanted = construction.targets(split.labels, len(split.classes), seed)[which]
    here, there = split.take(which).to(device), split.take(starts).to(device)
    augment = default_augment(split.name.partition("/")[0])
    made = construction.construct(
        model, Task(here.x(), here.labels, there.x(), wanted.to(device), augment), others, seed
    )
    kept = (made.x * 255).round().to(torch.uint8)
    threat, x, origin = construction.threat, made.x.cpu(), made.origin.cpu()
    rows = torch.arange(len(split))[which][made.rows.cpu()]
    begun = starts[made.rows.cpu()] if made.starts else torch.full_like(rows, -1)
    columns = {
        "images": kept,
        "labels": made.labels,
        "row": rows,
        "start": begun,
        "size": (threat or EPS).size(origin.double(), x.double()),
        "inside": threat.contains(origin, x) if threat else (x == x.clamp(0, 1)).flatten(1).all(1),
        "answers": classes_of(model, made.x) if len(made.x) else made.labels,
        "answers_8bit": classes_of(model, kept.float() / 255) if len(made.x) else made.labels.clone(),
        "before": made.before,
        "after": made.after.clone(),  # where none is matched it is `before` itself, which a file cannot hold twice
    }
    return Part(**{name: value.cpu() for name, value in columns.items()})


def cycle(count: int, seed: int) -> Tensor:
    """For each of `count` examples another one [count]: a random cycle through all of them.

    Raises:
        BrittleError: there is no other one.
    """
    if count < 2:
        raise BrittleError(f"a set is made of at least 2 images, not {count}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    after = torch.empty_like(order)
    after[order] = order.roll(-1)
    return after


def join_parts(parts: Sequence[Part]) -> Part:
    """All parts as one."""
    return Part(*(torch.cat(column) for column in zip(*parts, strict=True)))


def check_set(whole: Part, construction: Construction, classes: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """What a made set was found to be: sizes of the changes, labels reached as floats and in 8 bits, distances,
    histogram.

    Raises:
        BrittleError: no image; or a change outside of the threat or of [0, 1], which must not be learned from.
    """
    if not len(whole.labels):
        raise BrittleError("the set came out empty: the model made no mistake on these images")
    outside = int((~whole.inside).sum())
    if outside:
        raise BrittleError(
            f"{outside} of {len(whole.labels)} made images lie outside of the threat or of [0, 1]; nothing is kept"
        )

    def share(said: Tensor) -> dict[str, Any]:
        return Proportion(int((said == whole.labels).sum()), len(said)).record()

    matched = isinstance(construction, Matched)
    return {
        "n": len(whole.labels),
        "size": {"mean": float(whole.size.mean()), "largest": float(whole.size.max())},
        "reached": share(whole.answers),
        "reached_8bit": share(whole.answers_8bit),
        "distance": {
            name: vars(mean_interval(column.double().numpy(), seed))
            for name, column in (("before", whole.before), ("after", whole.after))
        }
        if matched
        else None,
        "labels": dict(zip(classes, torch.bincount(whole.labels, minlength=len(classes)).tolist(), strict=True)),
    }


def check_source(name: str, model: Model, split: Split, threat: Threat) -> dict[str, Any]:
    """Clean and robust accuracy (PGD-10) of a source model on a few images, and a warning where it is not what the set
    needs.

    Args:
        name: of the set; D_R needs a robust model, D_NR, D_rand and D_det one that learned non-robust features too.
        split: on the model's device.
    Raises:
        BrittleError: no images.
    """
    if not len(split):
        raise BrittleError(f"{split.name} holds no images; there is nothing to make a set of")
    few = split.take(min(LOOKED_AT, len(split)))
    clean, robust = accuracy(model, few), accuracy(model, few, threat)
    warning, told = None, f"{robust:.0%} under PGD-10 in {threat}, {clean:.0%} clean"
    if name == "D_R" and robust < 0.5 * clean:
        warning = f"the model is not robust ({told}); D_R will hold non-robust features"
    if name not in ("D_R", "D_mis", "D") and threat.radius > 0 and robust > 0.5 * clean:
        warning = f"the model is robust ({told}); it uses few non-robust features"
    return {"clean": clean, "robust": robust, "threat": str(threat), "n": len(few), "warning": warning}


@dataclass(frozen=True, eq=False)
class MadeSet:
    """A made set: what can be learned from, and what was found about it."""

    split: Split
    record: dict[str, Any]


def disentangle(
    robust: nn.Module,
    standard: nn.Module,
    split: Any,
    *,
    constructions: Mapping[str, Construction] | None = None,
    threat: Threat | str = EPS,
    seed: int = 0,
) -> dict[str, MadeSet]:
    """The sets D_R, D_NR, D_rand and D_det of `split`.

    D_R matches representations of the robust model, D_NR those of the standard one; D_rand and D_det are attacks on the
    standard one.

    Args:
        robust: a module that takes images in [0, 1], on the device of `split`.
        standard: another, trained without attacks.
        split: a `Split`, or what else `audit` takes, of 8 bits.
        constructions: by name; default: the paper's settings for CIFAR-10, of the four names.
        threat: in which the source models are tested first; what does not fit is in each record's `source`, and warned
            of.
    Returns:
        Each set by its name; images rounded to 8 bits.
    Raises:
        BrittleError: a model without a usable representation, or a set that does not pass its own check.
    Cost: 2,200 gradients of one example each, at the paper's settings. Random: a function of `seed`.
    Source: Ilyas et al. 2019, section 3, appendix C.4 and C.5.
    """
    within, split = require_threat(threat), split_of(split)
    wanted = constructions or {name: CONSTRUCTIONS[name] for name in ("D_R", "D_NR", "D_rand", "D_det")}
    sources = {name: robust if name == "D_R" else standard for name in wanted}
    return {
        name: _whole(name, sources[name], split, construction, within, seed) for name, construction in wanted.items()
    }


def _whole(name: str, model: Model, split: Split, construction: Construction, threat: Threat, seed: int) -> MadeSet:
    source, place = check_source(name, model, split, threat), split.labels.device
    if source["warning"]:
        warnings.warn(f"{name}: {source['warning']}", stacklevel=3)
    whole = join_parts(
        [
            make_part(model, split, construction, which, seed=seed, device=place)
            for which in part_slices(len(split), place)
        ]
    )
    made = Split(whole.images, whole.labels, split.classes, f"{split.name} {name}")
    return MadeSet(made, check_set(whole, construction, split.classes, seed) | {"source": source})
