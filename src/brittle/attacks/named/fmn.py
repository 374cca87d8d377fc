"""FMN: a ball around x that shrinks while the image inside it succeeds, and grows while it does not."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, PerExample, unit

from ..loop import Iterate, PathPoint, Rule, per_example, projected, walk
from ..losses import Aim, margin
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..rules import cosine
from ..starts import Start, start_named
from ..threats import NormBall


@register(
    "fmn",
    what="FMN: fast minimum-norm, by a ball that shrinks and grows",
    source="Pintor et al. 2021",
    needs=NormBall,
    cost=lambda steps: Cost(steps + 3, steps),
    loss=None,
    precision="float32",
)
def fmn(
    objective: Objective,
    threat: NormBall,
    *,
    steps: int = 100,
    longest: float = 1.0,
    start: Start = "clean",
    seed: int = 0,
) -> MinimumNormWalk:
    """Fast minimum-norm attack: one run gives the whole accuracy-versus-eps curve.

    The objective's loss is replaced by the margin, whose size is the distance that the attack estimates.

    eps <- (1 - gamma) eps, or (1 + gamma) eps, or ||delta|| + |margin| / ||grad||_dual before the first success;
    delta <- P_eps(delta + a grad / ||grad||_2), with a and gamma falling along half a cosine, a from `longest` to a
    hundredth.

    Args:
        threat: in whose norm the change is to be small; its radius plays no part.
        start: the clean images, images given, or `from_outside`.
    Cost: `steps` gradients, one forward pass, two more inside a threat. Random: only the start.
    Source: Pintor et al. 2021 (FMN), algorithm 1. Differs: the projection is on ball and box at once, and
    what lies inside the ball is stretched to its surface (as Adversarial Library does in L2): 8 points more in L2 on an
    MNIST net, nowhere less.
    """

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        first = start_named(start)(evaluate, threat, x, y, seed)
        rule, pixels = shrinking_ball(threat, steps, longest), projected(lambda x0, moved: moved.clamp(0, 1))
        yield from walk(evaluate, x, y, start=first, rule=rule, advance=pixels, steps=steps)

    return MinimumNormWalk(f"FMN-{steps}", with_loss(objective, margin), threat, path, seed)


class BallState(NamedTuple):
    """Per example: the radius of the ball, and the size of the smallest change that succeeded."""

    eps: PerExample
    best: PerExample


def shrinking_ball(threat: NormBall, steps: int, longest: float) -> Rule:
    """The rule of FMN."""

    def init(x0: Images) -> BallState:
        none = x0.new_full(x0.shape[:1], torch.inf)
        return BallState(none, none)

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, was: BallState) -> tuple[Tensor, BallState]:
        gamma, a = cosine(0.05, 0.001, at.t, steps), cosine(longest, longest / 100, at.t, steps)
        size = threat.size(at.x0, at.x)
        best = torch.where(evaluation.success, torch.minimum(size, was.best), was.best)
        guess = size + evaluation.margin.abs() / threat.dual_size(grad).clamp(min=1e-12)
        grown = torch.where(best.isfinite(), was.eps * (1 + gamma), guess)
        eps = torch.where(evaluation.success, torch.minimum(was.eps * (1 - gamma), best), grown)
        radius = eps.clamp(max=1e6)
        moved = threat.project_to(at.x0, (at.x + a * unit(grad)).clamp(0, 1), radius)
        out = (radius / threat.size(at.x0, moved).clamp(min=1e-12)).clamp(1, 1e6)
        return at.x0 + per_example(out, moved) * (moved - at.x0) - at.x, BallState(eps, best)

    return Rule(init, update)
