"""FAB-T: to the nearest point of the linearised boundary, drawn back towards x, one target class after another."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, Labels, PerExample

from ..attack import Attack
from ..combine import in_turn
from ..loop import (
    AttackResult,
    Estimator,
    Iterate,
    PathPoint,
    Rule,
    evaluation_at,
    gradient_at,
    per_example,
    projected,
    select,
    walk,
)
from ..losses import Aim, Targets, cross_entropy, targeted_margin
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, ModelObjective, session
from ..registry import Cost, register
from ..threats import NormBall
from .apgd_targeted import ranked_others

BACK, OVERSHOOT, MOST = 0.9, 1.05, 0.1  # beta, eta and alpha_max of the paper


@register(
    "fab_targeted",
    what="FAB-T: projections on the linearised boundary of one wrong class after another",
    source="Croce and Hein 2020 (FAB)",
    needs=NormBall,
    cost=lambda steps, targets: Cost(2 + targets * (2 * steps + 3), targets * steps),
    loss=None,
    precision="float32",
)
def fab_targeted(
    objective: ModelObjective, threat: NormBall, *, steps: int = 100, targets: int = 9, seed: int = 0
) -> Attack:
    """FAB towards each of the `targets` most probable wrong classes in turn (at most C - 1), survivors only.

    At x_t the boundary to class t is taken as the hyperplane z_t - z_y = 0 of the gradient there; with d and d' the
    smallest changes that bring x_t and the clean x onto it (in the norm, and in [0, 1]) and a = min(||d|| / (||d|| +
    ||d'||), 0.1),

        x_{t+1} = clamp((1 - a) (x_t + 1.05 d) + a (x + 1.05 d')).

    A point that succeeds is noted, and the next gradient is taken at x + 0.9 (x_t - x).

    Cost: at most `targets` * `steps` * (1 gradient + 1 forward pass). Random: nothing.
    Source: Croce and Hein 2020 (Minimally distorted adversarial examples), algorithm 1; targets as in AutoAttack.
    """

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        rule, pixels = boundary_step(threat), projected(lambda x0, moved: moved.clamp(0, 1))
        yield from walk(evaluate, x, y, start=x, rule=rule, advance=pixels, estimator=DRAWN_BACK, steps=steps)

    aimed = MinimumNormWalk("FAB", with_loss(objective, targeted_margin), threat, path)

    def search(x: Images, y: Labels, seed: int) -> AttackResult:
        with session(with_loss(objective, cross_entropy)) as evaluate:
            clean = evaluation_at(evaluate, x, y)
        ranked, inside = ranked_others(clean, y), aimed.within(threat)
        runs = [
            lambda x, y, rows, k=k: inside.tried(x, Targets(y, ranked[rows, k]))
            for k in range(min(targets, ranked.shape[1]))
        ]
        begun = AttackResult(x, clean.success, clean.margin, ~clean.success)  # blind, until a run is not
        return in_turn(begun, x, y, runs, objective.done)

    return Attack(f"FAB-T-{steps}x{targets}", search, seed)


class Linearised(NamedTuple):
    """Where the boundary was linearised, and z_t - z_y there."""

    x: Images
    gap: PerExample


def _drawn_back(evaluate: Evaluate, at: Iterate, memory: Linearised) -> tuple[Evaluation, Images, Linearised]:
    """What the model says at x; the gradient there, or, after a success, a tenth of the way back to the clean image."""
    evaluation = evaluation_at(evaluate, at.x, at.y)
    base = select(evaluation.success, at.x0 + BACK * (at.x - at.x0), at.x)
    linear, grad = gradient_at(evaluate, base, at.y)
    return evaluation, grad, Linearised(base, linear.loss)


DRAWN_BACK = Estimator(lambda x0: Linearised(x0, x0.new_zeros(x0.shape[:1])), _drawn_back)


def boundary_step(threat: NormBall) -> Rule:
    """The rule of FAB: it reads where the estimator linearised the boundary."""

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, memory: tuple[()]) -> tuple[Tensor, tuple[()]]:
        base, gap = at.memory.estimator
        gap_at_x0 = gap + (grad * (at.x0 - base)).flatten(1).sum(1)
        here, there = threat.to_hyperplane(base, grad, -gap), threat.to_hyperplane(at.x0, grad, -gap_at_x0)
        near, far = (threat.size(torch.zeros_like(d), d).clamp(min=1e-8) for d in (here, there))
        a = per_example((near / (near + far)).clamp(max=MOST), base)
        return (1 - a) * (base + OVERSHOOT * here) + a * (at.x0 + OVERSHOOT * there) - at.x, memory

    return Rule(lambda x0: (), update)
