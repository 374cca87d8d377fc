"""NI-FGSM: momentum whose gradient is taken where the momentum is about to go."""

from typing import Any

from brittle.ground import Images

from ..attack import Attack, check_step, gradient_attack
from ..loop import Estimator, Iterate, evaluation_at, gradient_at
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..rules import chain, direction, momentum, scale
from ..starts import Start
from ..threats import Ball


@register(
    "ni_fgsm",
    what="NI-FGSM: MI-FGSM with the gradient at the look-ahead of the momentum",
    source="Lin et al. 2020",
    needs=Ball,
    cost=lambda steps: Cost(2 * steps + 1, steps),
)
def ni_fgsm(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    step: float | None = None,
    decay: float = 1.0,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """MI-FGSM with Nesterov's gradient: g <- decay g + grad L(x + step decay g) / ||.||_1.

    Cost: `steps` gradients, `steps` + 1 forward passes (what the model answers at x itself).
    Source: Lin et al. 2020 (NI-FGSM), eq. 6-8.
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)

    def update(evaluate: Evaluate, at: Iterate, memory: Any) -> tuple[Evaluation, Images, Any]:
        g = at.memory.rule[0]
        _, grad = gradient_at(evaluate, at.x + step * decay * g, at.y)
        return evaluation_at(evaluate, at.x, at.y), grad, memory

    rule = chain(momentum(decay), direction(threat), scale(step))
    ahead = Estimator(lambda x0: (), update)
    name = f"NI-FGSM-{steps}"
    return gradient_attack(name, objective, threat, rule, steps=steps, start=start, seed=seed, estimator=ahead)
