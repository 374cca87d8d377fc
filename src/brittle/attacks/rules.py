"""Rules: how a gradient becomes a move. A rule is a pair of pure functions; its memory is handed in and handed back."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .loop import Iterate, Rule, per_example
from .objectives import Evaluation
from .threats import Ball


def chain(*rules: Rule) -> Rule:
    """The rules one after another, each on the move of the one before."""

    def update(move: Tensor, evaluation: Evaluation, at: Iterate, memory: Any) -> tuple[Tensor, Any]:
        after = []
        for rule, own in zip(rules, memory, strict=True):
            move, own = rule.update(move, evaluation, at, own)
            after.append(own)
        return move, tuple(after)

    return Rule(lambda x0: tuple(rule.init(x0) for rule in rules), update)


def stateless(f: Callable[[Tensor, Iterate], Tensor]) -> Rule:
    """A rule without memory, from (move, where the walk stands) to a move."""
    return Rule(lambda x0: (), lambda move, evaluation, at, memory: (f(move, at), memory))


IDENTITY = stateless(lambda move, at: move)


def steepest(threat: Ball) -> Rule:
    """The direction of size 1 that climbs fastest in the threat."""
    return stateless(lambda grad, at: threat.steepest(grad))


def direction(threat: Ball) -> Rule:
    """The direction of a step in the threat: the steepest, spread over several pixels where that would move a single
    one."""
    return stateless(lambda grad, at: threat.direction(at.x, grad))


def scale(step: float) -> Rule:
    """Moves of length `step`."""
    return stateless(lambda move, at: step * move)


def scheduled(step: Callable[[int], float]) -> Rule:
    """Moves of length `step(t)`."""
    return stateless(lambda move, at: step(at.t) * move)


def momentum(decay: float) -> Rule:
    """g <- decay g + grad / ||grad||_1. Source: Dong et al. 2018 (MI-FGSM), eq. 6."""

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, g: Tensor) -> tuple[Tensor, Tensor]:
        size = grad.flatten(1).abs().sum(1)
        g = decay * g + grad / per_example(torch.where(size > 0, size, torch.ones_like(size)), grad)
        return g, g

    return Rule(torch.zeros_like, update)


def cosine(first: float, last: float, t: int, steps: int) -> float:
    """From `first` at t = 0 to `last` at t = steps, along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * t / steps)) / 2
