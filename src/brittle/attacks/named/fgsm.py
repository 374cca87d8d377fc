"""FGSM: one step along the steepest direction."""

from ..attack import Attack, gradient_attack
from ..objectives import Objective
from ..registry import Cost, register
from ..rules import chain, scale, steepest
from ..starts import Start
from ..threats import Ball


@register(
    "fgsm",
    what="one step of the full size along the steepest direction",
    source="Goodfellow et al. 2015",
    needs=Ball,
    cost=lambda: Cost(2, 1),
)
def fgsm(objective: Objective, threat: Ball, *, start: Start = "clean", seed: int = 0) -> Attack:
    """One step of length eps along the steepest direction.

    x + eps * argmax_{||s|| <= 1} <grad L(x), s>

    Cost: one gradient, one forward pass. Random: only with start="random".
    Source: Goodfellow et al. 2015; the L2 and L1 forms are the dual directions.
    """
    rule = chain(steepest(threat), scale(threat.step_unit))
    return gradient_attack("FGSM", objective, threat, rule, steps=1, start=start, seed=seed)
