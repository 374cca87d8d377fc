"""Attacks that look at more than the slope at a point: the second-order attack (S-O), its corrected form, exact
curvature."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from brittle.ground import Images, Labels

from .attack import Attack, check_count, check_step, path_attack
from .estimators import hessian_gradient, smoothed_gradient
from .loop import PathPoint, evaluation_at, walk
from .named import Start, adaptive_rule, default_step, direction, gradient_attack, start_point
from .objectives import Objective, session
from .rules import chain, scale
from .threats import Threat


def second_order(
    objective: Objective,
    threat: Threat,
    *,
    steps: int = 40,
    step: float | None = None,
    sigma: float | None = None,
    draws: int = 20,
    start: Start = "clean",
    clamp: Literal["each", "end"] | None = None,
    seed: int = 0,
) -> Attack:
    """The second-order attack (S-O): PGD along the gradient averaged over Gaussian noise.

    x <- P(x + step * steepest(E_eta grad L(x + eta))),  eta ~ N(0, sigma^2 I)

    Where the plain gradient vanishes, E over eta of grad L(x + eta) is what curvature leaves of it. Since noise is
    symmetric the average is the gradient of the Gaussian-smoothed loss, no power iteration (derivation: docs).

    Args:
        sigma, step, clamp: default to the authors' settings: L2: sigma 0.15, step 2.5 eps / steps, clamped to [0, 1]
            only after the last step; Linf: sigma 0.1, step 0.01, clamped at each step. L1 follows L2.
        draws: Gaussian draws averaged at each step.
    Cost: `steps` * (`draws` gradients + 1 forward pass, 2 if clamped at the end). Random: the noise.
    Source: Li, Chen, Wang, Carin 2019 (arXiv 1905.06455), eq. 3-4, settings from the authors' code.
    """
    linf = threat.norm == "Linf"
    sigma = usual_sigma(threat) if sigma is None else sigma
    step = (min(0.01, threat.radius) if linf else default_step(threat, steps)) if step is None else step
    late = (clamp or ("each" if linf else "end")) == "end"
    check_step(step, threat)
    check_count("steps", steps)
    check_count("draws", draws)
    rule = chain(direction(threat), scale(step))

    def path(x: Images, y: Labels, seed: int) -> Iterator[PathPoint]:
        allow = (lambda x0, moved: x0 + threat.project(moved - x0)) if late else threat.allow
        first, gradient = start_point(threat, x, start, seed), smoothed_gradient(x, sigma, draws, seed)
        with session(objective) as evaluate:
            for point in walk(evaluate, x, y, start=first, rule=rule, allow=allow, estimate=gradient, steps=steps):
                inside = point.x.clamp(0, 1)  # clamping can undo a success: a point is judged as it will be handed out
                yield PathPoint(inside, partial(evaluation_at, evaluate, inside, y), point.grad) if late else point

    return path_attack(f"S-O-{steps}x{draws}", path, seed)


def second_order_apgd(
    objective: Objective,
    threat: Threat,
    *,
    steps: int = 40,
    sigma: float | None = None,
    draws: int = 20,
    start: Start = "random",
    seed: int = 0,
) -> Attack:
    """The second-order attack corrected: random start, allowed at each step, and APGD's step sizes.

    Args:
        sigma: of the noise; default as `second_order`.
    Cost: `steps` * (`draws` gradients + 1 forward pass). Random: start and noise.
    Source: ours, from Li et al. 2019 (the averaged gradient) and Croce and Hein 2020, 2021 (the steps).
    """
    sigma = usual_sigma(threat) if sigma is None else sigma
    check_count("steps", steps)
    check_count("draws", draws)

    def path(x: Images, y: Labels, seed: int) -> Iterator[PathPoint]:
        estimate, rule = smoothed_gradient(x, sigma, draws, seed), adaptive_rule(threat, steps)
        inner = gradient_attack("", objective, threat, rule, steps=steps, start=start, seed=seed, estimate=estimate)
        assert inner.path is not None
        yield from inner.path(x, y, seed)

    return path_attack(f"S-O-APGD-{steps}x{draws}", path, seed)


def hessian(
    objective: Objective,
    threat: Threat,
    *,
    steps: int = 40,
    step: float | None = None,
    reach: float | None = None,
    iterations: int = 3,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """PGD along the gradient that the quadratic model expects at distance `reach`: grad L(x) + H d, by exact products
    with H.

    d <- reach * (grad L + H d) / ||grad L + H d||_2, a few times from a random d: power iteration where the gradient
    vanishes. What Eq. 3 of Li et al. approximates by a difference and then replaces by an average, computed as it
    stands: it shows which part of the second-order attack's success comes from curvature at the point, and which from
    looking further away.

    Args:
        reach: length of d; default sigma sqrt(D), the length of the noise of `second_order`.
        iterations: products with the Hessian per step.
    Cost: `steps` * (1 + 2 `iterations`) gradients in time, about three times the memory of one. Random: the first d.
    Source: ours, after Li et al. 2019, eq. 3, and Miyato et al. 2018 (VAT, power iteration).
    """
    step = default_step(threat, steps) if step is None else step
    check_step(step, threat)
    check_count("steps", steps)
    check_count("iterations", iterations)
    rule = chain(direction(threat), scale(step))

    def path(x: Images, y: Labels, seed: int) -> Iterator[PathPoint]:
        far = usual_sigma(threat) * x[0].numel() ** 0.5 if reach is None else reach
        estimate = hessian_gradient(x, far, iterations, seed)
        inner = gradient_attack("", objective, threat, rule, steps=steps, start=start, seed=seed, estimate=estimate)
        assert inner.path is not None
        yield from inner.path(x, y, seed)

    return path_attack(f"Hessian-{steps}x{iterations}", path, seed)


def usual_sigma(threat: Threat) -> float:
    """Scale of the authors' noise: 0.1 in Linf, 0.15 in L2 (and in L1)."""
    return 0.1 if threat.norm == "Linf" else 0.15
