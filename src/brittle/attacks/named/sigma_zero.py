"""sigma-zero: the smallest number of pixels, through a smooth stand-in for the L0 norm."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, PerExample

from ..loop import Iterate, PathPoint, Rule, per_example, walk
from ..losses import Aim, margin
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..rules import cosine
from ..threats import L0

BETA_1, BETA_2 = 0.9, 0.999  # of Adam


@register(
    "sigma_zero",
    what="sigma-zero: gradients of a smooth stand-in for the number of pixels",
    source="Cina et al. 2025",
    needs=L0,
    cost=lambda steps: Cost(steps + 3, steps),
    loss=None,
    precision="float32",
)
def sigma_zero(
    objective: Objective,
    threat: L0,
    *,
    steps: int = 200,
    lr: float = 1.0,
    sigma: float = 1e-3,
    threshold: float = 0.3,
    change: float = 0.01,
    seed: int = 0,
) -> MinimumNormWalk:
    """Minimise max(-margin, 0) + mean_i s_i / (s_i + sigma), s_i the squared change of pixel i, by Adam on normalised
    gradients.

    After each step pixels that changed by less than a threshold go back; it rises by `change` times the learning rate
    after a success, else it falls. The learning rate falls to a tenth along half a cosine.

    Cost: `steps` gradients, one forward pass, two more inside a threat. Random: nothing.
    Source: Cina et al. 2025 (sigma-zero), algorithm 1. Differs: the channels of a pixel count, and go back, together.
    """

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        rule = sparse_adam(steps, lr, sigma, threshold, change)
        yield from walk(evaluate, x, y, start=x, rule=rule, advance=_from_clean, steps=steps)

    return MinimumNormWalk(f"sigma-zero-{steps}", with_loss(objective, _hinge), threat, path, seed)


def _hinge(logits: Tensor, y: Tensor) -> Tensor:
    """min(margin, 0): nothing is gained beyond the boundary."""
    return margin(logits, y).clamp(max=0)


def _from_clean(evaluate: Evaluate, at: Iterate, change: Tensor) -> Images:
    """A pixel that goes back is exactly as it was, or L0 would count it."""
    return (at.x0 + change).clamp(0, 1)


class AdamState(NamedTuple):
    """Adam's two averages, and the threshold of each example."""

    first: Images
    second: Images
    threshold: PerExample


def sparse_adam(steps: int, lr: float, sigma: float, threshold: float, change: float) -> Rule:
    """The rule of sigma-zero. Its moves begin at the clean images."""

    def init(x0: Images) -> AdamState:
        return AdamState(torch.zeros_like(x0), torch.zeros_like(x0), x0.new_full(x0.shape[:1], threshold))

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, was: AdamState) -> tuple[Tensor, AdamState]:
        delta, t = at.x - at.x0, at.t + 1
        square = _over_channels(delta.square())
        pixels = square.flatten(1).shape[1] / (delta.shape[1] if delta.dim() > 2 else 1)
        down = -grad + 2 * delta * sigma / (square + sigma).square() / pixels
        down = down / per_example(down.flatten(1).abs().amax(1).clamp(min=1e-12), down)
        first, second = BETA_1 * was.first + (1 - BETA_1) * down, BETA_2 * was.second + (1 - BETA_2) * down.square()
        metric = (second / (1 - BETA_2**t)).sqrt() + 1e-8
        rate = cosine(lr, lr / 10, max(at.t - 1, 0), steps)  # as the authors' code: the rate of the step before
        moved = (at.x - rate / (1 - BETA_1**t) * first / metric).clamp(0, 1)
        sign = torch.where(evaluation.success, 1.0, -1.0).to(delta.dtype)
        cut = (was.threshold + change * cosine(lr, lr / 10, at.t, steps) * sign).clamp(0, 1)
        kept = _over_channels((moved - at.x0).abs(), largest=True) >= per_example(cut, delta)
        return torch.where(kept, moved - at.x0, 0), AdamState(first, second, cut)

    return Rule(init, update)


def _over_channels(values: Images, *, largest: bool = False) -> Images:
    """The sum (or the largest) over the channels of each pixel, in the shape of the images."""
    if values.dim() < 3:
        return values
    summed = values.amax(1, keepdim=True) if largest else values.sum(1, keepdim=True)
    return summed.expand_as(values)
