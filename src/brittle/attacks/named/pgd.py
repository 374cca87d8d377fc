"""PGD: projected gradient ascent."""

from ..attack import Attack, check_step, gradient_attack
from ..objectives import Objective
from ..registry import Cost, register
from ..rules import chain, direction, scale
from ..starts import Start
from ..threats import Ball


@register(
    "pgd",
    what="projected gradient ascent with steps of one length",
    source="Madry et al. 2018",
    needs=Ball,
    cost=lambda steps: Cost(steps + 1, steps),
)
def pgd(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    step: float | None = None,
    start: Start = "random",
    seed: int = 0,
) -> Attack:
    """Projected gradient ascent: x <- P(x + step * steepest(grad L(x))).

    Args:
        objective: what to make large (`against(model)`).
        threat: the set of allowed images; `P` is the nearest point of ball and box.
        steps: number of gradients.
        step: length of one step in pixel units; default the threat's `usual_step`: 2.5 eps / steps in a norm.
        start: the clean image, a draw from the ball, or a function (`starts.py`).
    Returns:
        An attack that keeps the best point of its path, not merely the last.
    Cost: `steps` gradients, one forward pass. Random: the start.
    Source: Madry et al. 2018. L1 steps follow Tramer and Boneh 2019 (signs of 1 % of the pixels).
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)
    rule = chain(direction(threat), scale(step))
    return gradient_attack(f"PGD-{steps}", objective, threat, rule, steps=steps, start=start, seed=seed)
