"""PGD along what the quadratic model of the loss expects further away: exact products with the Hessian, or eq. 3."""

from brittle.ground import check_number

from ..attack import Attack, check_step, gradient_attack
from ..estimators import hessian_gradient
from ..objectives import Objective
from ..registry import Cost, register
from ..rules import chain, direction, scale
from ..starts import Start
from ..threats import Ball


def _cost(steps: int, iterations: int, difference: float) -> Cost:
    gradients = steps * (1 + (1 if difference else 2) * iterations)
    return Cost(gradients + 1, gradients)


@register(
    "hessian",
    what="PGD along grad L + H d, by exact products with the Hessian or by differences of gradients",
    source="ours, after Li et al. 2019, eq. 3, and Miyato et al. 2018",
    needs=Ball,
    cost=_cost,
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
    difference: float = 0.0,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """PGD along the gradient that the quadratic model expects at distance `reach`: grad L(x) + H d.

    d <- reach * (grad L + H d) / ||grad L + H d||_2, a few times from a random d: power iteration where the gradient
    vanishes. What eq. 3 of Li et al. approximates by a difference of two gradients, and eq. 4 replaces by an average,
    computed as it stands or by such a difference: it shows which part of the second-order attack's success comes from
    curvature at the point, and which from looking further away.

    Args:
        reach: length of d; default the length of the second-order attack's noise on MNIST, 0.15 sqrt(784).
        iterations: products with the Hessian per step.
        difference: how far apart in L2 the two gradients of eq. 3 are taken; 0: exact products.
    Cost: `steps` * (1 + 2 `iterations`) gradients in time, about three times the memory of one; with differences
        `steps` * (1 + `iterations`). Random: the first d.
    Source: ours, after Li et al. 2019, eq. 3, and Miyato et al. 2018 (VAT, power iteration).
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)
    check_number("difference", difference)
    estimator = hessian_gradient(reach, iterations, seed, difference)
    rule, name = chain(direction(threat), scale(step)), f"Hessian-{steps}x{iterations}"
    name += f" by differences over {difference:g}" if difference else ""
    return gradient_attack(name, objective, threat, rule, steps=steps, start=start, seed=seed, estimator=estimator)
