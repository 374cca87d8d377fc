"""Rules: how a gradient becomes a move. A rule is a pair of pure functions; its memory is handed in and handed back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, PerExample

from .threats import Threat


class Iterate(NamedTuple):
    """Where the walk stands: the clean images, the current ones, the loss there [B], the number of the step."""

    x0: Images
    x: Images
    loss: PerExample
    t: int


class Rule(NamedTuple):
    """`init(x0) -> memory`; `update(grad or move, here, memory) -> (move, memory)`."""

    init: Callable[[Images], Any]
    update: Callable[[Tensor, Iterate, Any], tuple[Tensor, Any]]


def chain(*rules: Rule) -> Rule:
    """The rules one after another, each on the move of the one before."""

    def update(move: Tensor, here: Iterate, memory: Any) -> tuple[Tensor, Any]:
        held = []
        for rule, own in zip(rules, memory, strict=True):
            move, own = rule.update(move, here, own)
            held.append(own)
        return move, tuple(held)

    return Rule(lambda x0: tuple(rule.init(x0) for rule in rules), update)


def plain(f: Callable[[Tensor, Iterate], Tensor]) -> Rule:
    """A rule without memory."""
    return Rule(lambda x0: (), lambda move, here, memory: (f(move, here), memory))


def steepest(threat: Threat) -> Rule:
    """The direction of unit size that climbs fastest in the threat's norm."""
    return plain(lambda grad, here: threat.steepest(grad))


def sparse(share: float) -> Rule:
    """The L1 step of several pixels: signs of the `share` of pixels with the largest gradient, divided by their number.

    Pixels at the edge of the box that would leave it do not count. Source: Tramer and Boneh 2019, section 3 (SLIDE).
    """

    def update(grad: Tensor, here: Iterate) -> Tensor:
        flat, x = grad.flatten(1), here.x.flatten(1)
        blocked = ((x <= 0) & (flat < 0)) | ((x >= 1) & (flat > 0))
        size = torch.where(blocked, 0, flat.abs())
        kept = max(1, round(share * flat.shape[1]))
        edge = size.topk(kept, dim=1).values[:, -1:]
        signs = torch.where((size >= edge) & (size > 0), flat.sign(), 0)
        return (signs / signs.abs().sum(1, keepdim=True).clamp(min=1)).view_as(grad)

    return plain(update)


def scale(step: float) -> Rule:
    """Moves of length `step`."""
    return plain(lambda move, here: step * move)


def momentum(decay: float) -> Rule:
    """g <- decay g + grad / ||grad||_1. Source: Dong et al. 2018 (MI-FGSM), eq. 6."""

    def update(grad: Tensor, here: Iterate, held: Tensor) -> tuple[Tensor, Tensor]:
        size = grad.flatten(1).abs().sum(1)
        size = torch.where(size > 0, size, torch.ones_like(size)).view(-1, *[1] * (grad.dim() - 1))
        held = decay * held + grad / size
        return held, held

    return Rule(torch.zeros_like, update)
