"""The attacks by their names in the field: chains of rules on the one loop."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from brittle.ground import BrittleError, Images, Labels, eval_mode, keys_of, normal

from .adaptive import adaptive, sparse_adaptive
from .attack import Attack, check_count, check_step, path_attack
from .loop import AttackResult, Estimator, PathPoint, plain_gradient, walk
from .objectives import ModelObjective, Objective, logits_of, session
from .rules import Rule, chain, momentum, scale, sparse, steepest
from .threats import Threat

Start = Literal["clean", "random", "noise"]
L1_SHARE = 0.01  # of the pixels moved in one L1 step


def gradient_attack(
    name: str,
    objective: Objective,
    threat: Threat,
    rule: Rule,
    *,
    steps: int,
    start: Start,
    seed: int,
    estimate: Estimator = plain_gradient,
) -> Attack:
    """An attack that walks the loop by `rule` from `start` and keeps the best point of the walk per example."""
    check_count("steps", steps)

    def path(x: Images, y: Labels, seed: int) -> Iterator[PathPoint]:
        first = start_point(threat, x, start, seed)
        with session(objective) as evaluate:
            yield from walk(evaluate, x, y, start=first, rule=rule, allow=threat.allow, estimate=estimate, steps=steps)

    return path_attack(name, path, seed)


def start_point(threat: Threat, x: Images, start: Start, seed: int) -> Images:
    """Where the walk begins: the clean images; points drawn uniformly from the ball; or Gaussian noise of 0.001 around
    them (TRADES), just enough to leave a point without gradient. All are brought into what is allowed."""
    if start == "clean":
        return x
    if start == "random":
        return threat.allow(x, x + threat.sample(x, seed))
    if start == "noise":
        return threat.allow(x, x + 0.001 * normal(keys_of(x), x.shape[1:], seed=seed).to(x.dtype))
    raise BrittleError(f"start is 'clean', 'random' or 'noise', not {start!r}")


def direction(threat: Threat) -> Rule:
    """Steepest direction; in L1 the signs of the most telling 1 % of pixels, since one pixel a step would take for
    ever."""
    return sparse(L1_SHARE) if threat.norm == "L1" else steepest(threat)


def default_step(threat: Threat, steps: int) -> float:
    """2.5 eps / steps, at most eps: far enough to reach any point of the ball and to turn back."""
    return min(2.5 / max(steps, 1), 1.0) * threat.radius


def adaptive_rule(threat: Threat, steps: int) -> Rule:
    """APGD's rule in this threat: no step size to choose."""
    return sparse_adaptive(threat, steps) if threat.norm == "L1" else chain(steepest(threat), adaptive(threat, steps))


def fgsm(objective: Objective, threat: Threat, *, start: Start = "clean", seed: int = 0) -> Attack:
    """One step of length eps along the steepest direction.

    x + eps * argmax_{||s|| <= 1} <grad L(x), s>

    Cost: one gradient, one forward pass. Random: only with start="random".
    Source: Goodfellow et al. 2015; the L2 and L1 forms are the dual directions.
    """
    rule = chain(steepest(threat), scale(threat.radius))
    return gradient_attack("FGSM", objective, threat, rule, steps=1, start=start, seed=seed)


def pgd(
    objective: Objective,
    threat: Threat,
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
        step: length of one step in pixel units; default 2.5 eps / steps.
        start: the clean image or a uniform draw from the ball.
    Returns:
        An attack that keeps the best point of its path, not merely the last.
    Cost: `steps` gradients, one forward pass. Random: the start.
    Source: Madry et al. 2018. L1 steps follow Tramer and Boneh 2019 (signs of 1 % of the pixels).
    """
    step = default_step(threat, steps) if step is None else step
    check_step(step, threat)
    return gradient_attack(
        f"PGD-{steps}", objective, threat, chain(direction(threat), scale(step)), steps=steps, start=start, seed=seed
    )


def mim(
    objective: Objective,
    threat: Threat,
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
    step = default_step(threat, steps) if step is None else step
    check_step(step, threat)
    rule = chain(momentum(decay), direction(threat), scale(step))
    return gradient_attack(f"MIM-{steps}", objective, threat, rule, steps=steps, start=start, seed=seed)


def apgd(objective: Objective, threat: Threat, *, steps: int = 100, start: Start = "random", seed: int = 0) -> Attack:
    """Auto-PGD: no step size to choose. Linf, L2: Croce and Hein 2020; L1: Croce and Hein 2021, without their first
    phases in larger balls.

    Use it with `cross_entropy` or `dlr`. It is not called AutoAttack: restarts, returns to the best point and
    projections differ in detail.
    Cost: `steps` gradients, one forward pass. Random: the start.
    """
    rule = adaptive_rule(threat, steps)
    return gradient_attack(f"APGD-{steps}", objective, threat, rule, steps=steps, start=start, seed=seed)


def apgd_targeted(
    objective: ModelObjective, threat: Threat, *, steps: int = 100, targets: int = 9, seed: int = 0
) -> Attack:
    """APGD towards each of the `targets` most probable wrong classes in turn (at most C - 1), survivors only.

    `objective` is `against(model, targeted_dlr)`: its loss reads labels [B, 2] = (true class, target).
    Cost: at most `targets` * (`steps` gradients + 1 forward pass). Source: Croce and Hein 2020, APGD with targeted DLR.
    """
    inner = apgd(objective, threat, steps=steps)

    def search(x: Images, y: Labels, seed: int) -> AttackResult:
        with session(objective) as evaluate, torch.no_grad():
            ranked = others_ranked(objective, x, y)
            clean = evaluate(x, torch.stack([y, ranked[:, 0]], 1))
        best = AttackResult(x, clean.success, clean.margin)
        for k in range(min(targets, ranked.shape[1])):
            alive = (~best.success).nonzero().squeeze(1)
            if len(alive) == 0:
                break
            found = inner.seeded(seed + k).run(x[alive], torch.stack([y[alive], ranked[alive, k]], 1))
            better = alive[found.success | (found.margin > best.margin[alive])]
            kept = found.success | (found.margin > best.margin[alive])
            best = AttackResult(
                *(whole.index_copy(0, better, part[kept]) for whole, part in zip(best, found, strict=True))
            )
        return best

    return Attack(f"APGD-T-{steps}", search, seed)


def others_ranked(objective: ModelObjective, x: Images, y: Labels) -> Int[Tensor, "B others"]:
    """The classes other than `y` [B, C - 1], the most probable first."""

    with eval_mode(objective.model):
        logits = logits_of(objective.model(x))
    order = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, :-1]
