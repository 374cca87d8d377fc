"""PDPGD: the change and a multiplier for the constraint, both by gradients, the norm by its proximal point."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from brittle.ground import Images, PerExample, check_share

from ..loop import Iterate, PathPoint, Rule, per_example, projected, walk
from ..losses import Aim, margin
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..starts import Start, start_named
from ..threats import NormBall

BETA_1, BETA_2 = 0.9, 0.999  # of Adam
LEAST_RATIO, PROXIMAL_STEPS = 1e-6, 5


@register(
    "pdpgd",
    what="PDPGD: primal-dual proximal gradients towards the smallest change",
    source="Matyasko and Chau 2021",
    needs=NormBall,
    cost=lambda steps: Cost(steps + 3, steps),
    loss=None,
    precision="float32",
)
def pdpgd(
    objective: Objective,
    threat: NormBall,
    *,
    steps: int = 200,
    lr: float = 0.1,
    dual_lr: float = 0.1,
    ratio: float = 0.01,
    start: Start = "clean",
    seed: int = 0,
) -> MinimumNormWalk:
    """Saddle point of w_0 ||delta|| + w_1 softplus(-margin), w = softmax(lambda), lambda pushed up while nothing
    succeeds.

    delta takes a step of Adam on the second term, and then the proximal point of the first in Adam's metric (a few
    iterations); lambda_1 rises by its rate while the margin is negative, else falls, and w is averaged over steps
    (0.9).

    Args:
        lr: of Adam, falling to a hundredth; dual_lr: of lambda, falling to a tenth; ratio: w_0 / w_1 at first.
    Cost: `steps` gradients, one forward pass, two more inside a threat. Random: only the start.
    Source: Matyasko and Chau 2021 (PDPGD), algorithm 2, with the constants that Adversarial Library gives it.
    """
    check_share("ratio", ratio)

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        first = start_named(start)(evaluate, threat, x, y, seed)
        rule, pixels = primal_dual(threat, steps, lr, dual_lr, ratio), projected(lambda x0, moved: moved.clamp(0, 1))
        yield from walk(evaluate, x, y, start=first, rule=rule, advance=pixels, steps=steps)

    return MinimumNormWalk(f"PDPGD-{steps}", with_loss(objective, _softplus_margin), threat, path, seed)


def _softplus_margin(logits: Tensor, y: Tensor) -> Tensor:
    """-softplus(-margin): large where another class wins."""
    return -softplus(-margin(logits, y))


class PrimalDual(NamedTuple):
    """Adam's two averages, lambda_1, and the averaged weight of the norm in w."""

    first: Images
    second: Images
    dual: PerExample
    weight: PerExample


def primal_dual(threat: NormBall, steps: int, lr: float, dual_lr: float, ratio: float) -> Rule:
    """The rule of PDPGD."""
    most = -math.log(LEAST_RATIO)

    def init(x0: Images) -> PrimalDual:
        ones = x0.new_ones(x0.shape[:1])
        dual = -math.log(ratio) * ones
        return PrimalDual(torch.zeros_like(x0), torch.zeros_like(x0), dual, torch.sigmoid(-dual))

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, was: PrimalDual) -> tuple[Tensor, PrimalDual]:
        t = at.t + 1
        first, second = BETA_1 * was.first + (1 - BETA_1) * -grad, BETA_2 * was.second + (1 - BETA_2) * grad.square()
        metric = (second / (1 - BETA_2**t)).sqrt() + 1e-8
        rate = lr * 0.01 ** (at.t / steps)
        delta = (at.x - rate / (1 - BETA_1**t) * first / metric).clamp(0, 1) - at.x0
        steepest = metric.flatten(1).amax(1)
        pull = was.weight / (1 - was.weight) * rate / steepest
        delta = _proximal(threat, at.x0, delta, metric / per_example(steepest, metric), pull)
        rising = dual_lr * ((steps - t) / max(steps - 1, 1) * 0.9 + 0.1)
        dual = (was.dual - rising * evaluation.margin.sign()).clamp(-most, most)
        weight = 0.9 * was.weight + 0.1 * torch.sigmoid(-dual)
        return at.x0 + delta - at.x, PrimalDual(first, second, dual, weight)

    return Rule(init, update)


def _proximal(threat: NormBall, x0: Images, delta: Images, metric: Images, weight: PerExample) -> Images:
    """The proximal point of the norm in a diagonal metric (at most 1), by proximal gradients. Source: Melchior et al.
    2019."""
    z = delta
    for _ in range(PROXIMAL_STEPS):
        z = (x0 + threat.proximal(z - metric * (z - delta), weight)).clamp(0, 1) - x0
    return z
