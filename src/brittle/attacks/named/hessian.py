"""PGD along what the quadratic model of the loss expects further away, by exact products with the Hessian."""

from ..attack import Attack, check_step, gradient_attack
from ..estimators import hessian_gradient
from ..objectives import Objective
from ..registry import Cost, register
from ..rules import chain, direction, scale
from ..starts import Start
from ..threats import Ball


@register(
    "hessian",
    what="PGD along grad L + H d, by exact products with the Hessian",
    source="ours, after Li et al. 2019, eq. 3, and Miyato et al. 2018",
    needs=Ball,
    cost=lambda steps, iterations: Cost(steps * (1 + 2 * iterations) + 1, steps * (1 + 2 * iterations)),
    precision="float32",
)
def hessian(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    step: float | None = None,
    reach: float = 4.2,
    iterations: int = 3,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """PGD along the gradient that the quadratic model expects at distance `reach`: grad L(x) + H d.

    d <- reach * (grad L + H d) / ||grad L + H d||_2, a few times from a random d: power iteration where the gradient
    vanishes. What Eq. 3 of Li et al. approximates by a difference and then replaces by an average, computed as it
    stands: it shows which part of the second-order attack's success comes from curvature at the point, and which from
    looking further away.

    Args:
        reach: length of d; default the length of the second-order attack's noise on MNIST, 0.15 sqrt(784).
        iterations: products with the Hessian per step.
    Cost: `steps` * (1 + 2 `iterations`) gradients in time, about three times the memory of one. Random: the first d.
    Source: ours, after Li et al. 2019, eq. 3, and Miyato et al. 2018 (VAT, power iteration).
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)
    rule, estimator = chain(direction(threat), scale(step)), hessian_gradient(reach, iterations, seed)
    name = f"Hessian-{steps}x{iterations}"
    return gradient_attack(name, objective, threat, rule, steps=steps, start=start, seed=seed, estimator=estimator)
