"""The second-order attack (S-O): PGD along the gradient averaged over Gaussian noise; and its forms with APGD's steps
and with momentum."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from brittle.ground import Images, check_count

from ..attack import Attack, check_step, gradient_attack, path_attack
from ..estimators import smoothed_gradient
from ..loop import PathPoint, evaluation_at, projected, walk
from ..losses import Aim
from ..objectives import Objective, session
from ..registry import Cost, register
from ..rules import chain, cosine, direction, momentum, scale, scheduled
from ..starts import Start, start_named
from ..threats import Ball, NormBall
from ..threats.protocol import nearest
from .apgd import apgd_walk

SIGMA = 0.15  # of the authors' L2 attack; in Linf they take 0.1


@register(
    "second_order",
    what="S-O: PGD along the gradient averaged over Gaussian noise",
    source="Li et al. 2019",
    needs=NormBall,
    cost=lambda steps, draws: Cost(steps * (draws + 1) + 1, steps * draws),
)
def second_order(
    objective: Objective,
    threat: NormBall,
    *,
    steps: int = 40,
    step: float | None = None,
    sigma: float = SIGMA,
    draws: int = 20,
    start: Start = "clean",
    clamp: Literal["each", "end"] = "each",
    seed: int = 0,
) -> Attack:
    """The second-order attack: x <- P(x + step * steepest(E_eta grad L(x + eta))),  eta ~ N(0, sigma^2 I).

    Where the plain gradient vanishes, E over eta of grad L(x + eta) is what curvature leaves of it. Since noise is
    symmetric the average is the gradient of the Gaussian-smoothed loss, no power iteration (derivation: docs).

    Args:
        step: default 2.5 eps / steps, as the authors' L2 attack; their Linf attack: 0.01 at eps 0.3 in 40 steps, sigma
            0.1.
        draws: Gaussian draws averaged at each step.
        clamp: whether pixels are brought into [0, 1] at `each` step, or only at the `end` (the authors' L2 attack).
    Cost: `steps` * (`draws` gradients + 1 forward pass, 2 if clamped at the end). Random: the noise.
    Source: Li, Chen, Wang, Carin 2019 (arXiv 1905.06455), eq. 3-4, settings from the authors' code.
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)
    rule, begin, late = chain(direction(threat), scale(step)), start_named(start), clamp == "end"

    def path(x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        with session(objective) as evaluate:
            points = walk(
                evaluate,
                x,
                y,
                start=begin(evaluate, threat, x, y, seed),
                rule=rule,
                advance=projected(threat.project_ball if late else nearest(threat)),
                estimator=smoothed_gradient(sigma, draws, seed),
                steps=steps,
            )
            for point in points:
                inside = point.x.clamp(0, 1)  # clamping can undo a success: a point is judged as it will be handed out
                yield PathPoint(inside, partial(evaluation_at, evaluate, inside, y), point.grad) if late else point

    return path_attack(f"S-O-{steps}x{draws}", path, seed)


@register(
    "second_order_apgd",
    what="S-O with a random start and APGD's steps",
    source="ours, after Li et al. 2019 and Croce and Hein 2020",
    needs=Ball,
    cost=lambda steps, draws: Cost(steps * (draws + 1) + 1, steps * draws),
)
def second_order_apgd(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    sigma: float = SIGMA,
    draws: int = 20,
    start: Start = "random",
    seed: int = 0,
) -> Attack:
    """The second-order attack with random start, allowed at each step, and APGD's step sizes.

    Args:
        sigma: of the noise; draws: averaged at each step.
    Cost: `steps` * (`draws` gradients + 1 forward pass). Random: start and noise.
    Source: ours, from Li et al. 2019 (the averaged gradient) and Croce and Hein 2020, 2021 (the steps).
    """
    name, estimator = f"S-O-APGD-{steps}x{draws}", smoothed_gradient(sigma, draws, seed)
    return apgd_walk(name, objective, threat, steps=steps, start=start, seed=seed, estimator=estimator)


@register(
    "second_order_mim",
    what="S-O with MI-FGSM's momentum, and steps that fall from twice eps along half a cosine",
    source="ours, after Li et al. 2019 and Dong et al. 2018",
    needs=Ball,
    cost=lambda steps, draws, look: Cost(steps * draws + -(-steps // look) + 1, steps * draws),
)
def second_order_mim(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 40,
    sigma: float = SIGMA,
    draws: int = 1,
    decay: float = 0.8,
    look: int = 1,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """The second-order attack whose average is taken along the walk: momentum adds up the gradients of the steps, each
    at a point with noise of its own, so that one draw a step is enough.

    g <- decay g + mean_eta grad L(x + eta) / ||.||_1;  x <- P(x + step(t) steepest(g)),  step from 2 eps to eps / 50.

    Args:
        sigma: of the noise; draws: averaged at each step; decay: of the momentum.
        look: at every so many steps the model is shown the image without noise; between them only where it succeeds
            with noise. The way walked is the same.
    Cost: `steps` * `draws` gradients, `steps` / `look` + 1 forward passes or more. Random: start and noise.
    Source: ours, from Li et al. 2019 (noise) and Dong et al. 2018 (momentum); figures: docs/second-order.md.
    """
    largest = 2 * threat.step_unit
    rule = chain(momentum(decay), direction(threat), scheduled(lambda t: cosine(largest, largest / 100, t, steps)))
    check_count("look", look)
    estimator = smoothed_gradient(sigma, draws, seed, look)
    name = f"S-O-MIM-{steps}x{draws}"
    return gradient_attack(name, objective, threat, rule, steps=steps, start=start, seed=seed, estimator=estimator)
