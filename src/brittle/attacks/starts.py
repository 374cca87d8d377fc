"""Where a walk begins: at the clean images, at random, at images given, or from outside, at images called otherwise."""

from collections.abc import Callable
from typing import Literal, get_args

import torch

from brittle.ground import BrittleError, ByteImages, Images, Labels, keys_of, normal

from .loop import evaluation_at, per_example, select
from .losses import Aim, true_class
from .objectives import Evaluate
from .threats import Threat

StartFunction = Callable[[Evaluate, Threat, Images, Aim, int], Images]
StartName = Literal["clean", "random", "noise"]
Start = StartName | StartFunction
AT_ONCE = 250  # images of a pool that are compared at once


def start_named(start: StartFunction | str) -> StartFunction:
    """`clean`: the images themselves; `random`: drawn from the threat; `noise`: Gaussian of 0.001 around them (TRADES),
    just enough to leave a point without gradient. A function is taken as it is."""
    if callable(start):
        return start
    known: dict[str, StartFunction] = {"clean": _clean, "random": _random, "noise": _noise}
    if start not in known:
        raise BrittleError(f"start is one of {', '.join(get_args(StartName))}, not {start!r}")
    return known[start]


def _clean(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
    return x


def _random(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
    return threat.sample(x, seed)


def _noise(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
    return threat.project(x, x + 0.001 * normal(keys_of(x), x.shape[1:], seed=seed).to(x.dtype))


def given(x: Images, starts: Images) -> StartFunction:
    """Start at `starts` [n, *S], made for the images `x` [n, *S]: each image of a batch finds its own by its pixels.

    What the threat does not allow is brought back by `project`, except by minimum-norm attacks, which may start
    anywhere.
    """
    if starts.shape != x.shape:
        raise BrittleError(f"starts must have the shape of the images, {list(x.shape)}, not {list(starts.shape)}")
    known = keys_of(x)

    def begin(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
        same = keys_of(x).to(known.device)[:, None] == known
        if not same.any(1).all():
            raise BrittleError("an image was attacked for which no start was given")
        return starts[same.int().argmax(1)].to(x)

    return begin


def from_outside(pool: Images | ByteImages, answers: Labels, *, rank: int = 0, bisections: int = 10) -> StartFunction:
    """Start just beyond the decision boundary, on the way to the `rank`-th nearest image of `pool` that is called
    otherwise.

    For minimum-norm attacks: their first image already succeeds, and they walk inwards. Nearest in L2.

    Args:
        pool: images [n, *S], such as the data themselves; answers: what the model calls each [n] (`classes_of`), or -1
            where none is to start.
    Cost: `bisections` forward passes. An image without such a neighbour starts where it is.
    """

    def far(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
        slices = [slice(start, start + AT_ONCE) for start in range(0, len(pool), AT_ONCE)]
        apart = torch.cat([torch.cdist(x.flatten(1), pool[which].to(x).flatten(1)) for which in slices], 1)
        alike = (answers == true_class(y)[:, None]) | (answers < 0)
        distance = apart + torch.where(alike, torch.inf, 0)
        nearest = distance.topk(min(rank + 1, len(pool)), dim=1, largest=False)
        beyond: Images = select(nearest.values[:, -1].isfinite(), pool[nearest.indices[:, -1]].to(x), x)
        return beyond

    return bisected(far, bisections)


def bisected(far: StartFunction, bisections: int) -> StartFunction:
    """Start just beyond the decision boundary, on the straight line to the images that `far` gives, which succeed.
    Cost: `bisections` forward passes."""

    def begin(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
        beyond = far(evaluate, threat, x, y, seed)
        low, high = (
            torch.zeros(len(x), dtype=x.dtype, device=x.device),
            torch.ones(len(x), dtype=x.dtype, device=x.device),
        )
        for _ in range(bisections):
            middle = (low + high) / 2
            success = evaluation_at(evaluate, x + per_example(middle, x) * (beyond - x), y).success
            low, high = torch.where(success, low, middle), torch.where(success, middle, high)
        start: Images = x + per_example(high, x) * (beyond - x)
        return start

    return begin
