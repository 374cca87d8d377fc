"""PMA: the probability margin, one of its two terms first."""

import math

from torch import Tensor

from brittle.ground import Labels, PerExample

from ..attack import Attack, gradient_attack
from ..combine import stages
from ..estimators import gradient_of
from ..losses import Loss, probability_margin
from ..minimum import with_loss
from ..objectives import Objective, done_of
from ..registry import Cost, register
from ..rules import chain, direction, scheduled
from ..starts import Start
from ..threats import Ball


@register(
    "pma",
    what="PMA: steps along the probability margin, the first half along one of its terms",
    source="Xie et al. 2024",
    needs=Ball,
    cost=lambda steps: Cost(2 * (steps + 1), 2 * steps),
    loss=None,
)
def pma(objective: Objective, threat: Ball, *, steps: int = 50, start: Start = "random", seed: int = 0) -> Attack:
    """Two walks on the survivors, on p = softmax(logits): the first half of the steps along -p_y, in the second walk
    along max_{j != y} p_j; the other half along max_{j != y} p_j - p_y. Steps of 2 units fall along half a cosine in
    each half.

    Cost: at most 2 * (`steps` gradients + 1 forward pass). Random: the start.
    Source: Xie et al. 2024 (towards million-scale evaluation), PMA. Differs: any norm, steepest directions for signs.
    """
    half, aimed = max(steps // 2, 1), with_loss(objective, probability_margin)

    def step(t: int) -> float:
        return threat.step_unit * (1 + math.cos(math.pi * (t % half) / half))

    def walk(term: Loss, name: str, seed: int) -> Attack:
        estimator = gradient_of(lambda t: term if t < half else probability_margin)
        rule = chain(direction(threat), scheduled(step))
        return gradient_attack(name, aimed, threat, rule, steps=steps, start=start, seed=seed, estimator=estimator)

    two = walk(_less_true, f"PMA-{steps}", 0), walk(_more_other, f"PMA-{steps} (other)", 1)
    both = stages(*two, done=done_of(objective))
    return Attack(f"PMA-{steps}x2", both.search, seed, both.batch)


def _less_true(logits: Tensor, y: Labels) -> PerExample:
    return -logits.softmax(1).gather(1, y[:, None]).squeeze(1)


def _more_other(logits: Tensor, y: Labels) -> PerExample:
    return logits.softmax(1).scatter(1, y[:, None], 0).amax(1)
