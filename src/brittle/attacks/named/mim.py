"""MI-FGSM: PGD along accumulated gradients."""

from ..attack import Attack, check_step, gradient_attack
from ..objectives import Objective
from ..registry import Cost, register
from ..rules import chain, direction, momentum, scale
from ..starts import Start
from ..threats import Ball


@register(
    "mim",
    what="MI-FGSM: PGD along accumulated gradients",
    source="Dong et al. 2018",
    needs=Ball,
    cost=lambda steps: Cost(steps + 1, steps),
)
def mim(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    step: float | None = None,
    decay: float = 1.0,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """PGD along accumulated gradients: g <- decay g + grad / ||grad||_1.

    Cost: `steps` gradients, one forward pass. Source: Dong et al. 2018 (MI-FGSM).
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)
    rule = chain(momentum(decay), direction(threat), scale(step))
    return gradient_attack(f"MIM-{steps}", objective, threat, rule, steps=steps, start=start, seed=seed)
