"""Auto-PGD: no step size to choose. Steps of 2 eps at first, halved (in L1: made sparser) where the loss no longer
rises."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, PerExample, keys_of, normal

from ..attack import Attack, path_attack
from ..loop import PLAIN, Estimator, Iterate, PathPoint, Rule, per_example, projected, select, walk
from ..losses import Aim
from ..objectives import Evaluate, Evaluation, Objective, session, to_the_end
from ..registry import Cost, register
from ..rules import chain, direction
from ..starts import Start, start_named
from ..threats import Ball, Threat
from ..threats.protocol import nearest

RISE_SHARE = 0.75  # rho: the share of steps that must have raised the loss
INERTIA = 0.75  # alpha: the weight of the new step against the one before
PHASES = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))  # of L1: radius in eps, share of the steps


@register(
    "apgd",
    what="Auto-PGD, on any loss",
    source="Croce and Hein 2020; in L1 2021",
    needs=Ball,
    cost=lambda steps: Cost(steps + 1, steps),
)
def apgd(objective: Objective, threat: Ball, *, steps: int = 100, start: Start = "random", seed: int = 0) -> Attack:
    """Auto-PGD. In L1, three tenths of the steps in a ball of 3 eps, three in 2 eps, four in eps, each from the best
    before.

    Use it with `cross_entropy` or `dlr`. It is not called AutoAttack: projections and random numbers differ in detail.
    Cost: `steps` gradients, one forward pass. Random: the start.
    Source: Croce and Hein 2020; L1: Croce and Hein 2021 (Mind the box). Differs: projections are the nearest points.
    """
    return apgd_walk(f"APGD-{steps}", objective, threat, steps=steps, start=start, seed=seed)


def apgd_walk(
    name: str,
    objective: Objective,
    threat: Ball,
    *,
    steps: int,
    start: Start,
    seed: int,
    estimator: Estimator = PLAIN,
) -> Attack:
    """APGD's steps along the gradient of any estimator."""

    def path(x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        with session(objective) as evaluate:
            yield from _phases(evaluate, x, y, threat, steps, start, seed, estimator)

    return path_attack(name, path, seed)


def _phases(
    evaluate: Evaluate, x: Images, y: Aim, threat: Ball, steps: int, start: Start, seed: int, estimator: Estimator
) -> Iterator[PathPoint]:
    """The last phase's path; those before, in larger balls, only tell where it starts."""
    phases = PHASES if threat.sparse_steps and steps >= len(PHASES) else ((1.0, 1.0),)
    counts = [math.ceil(share * steps) for _, share in phases[:-1]]
    counts.append(steps - sum(counts))
    begin, at = _sparse_start if threat.sparse_steps and start == "random" else start_named(start), None
    for (factor, _), count in zip(phases, counts, strict=True):
        ball = threat.scaled(factor) if factor != 1 else threat
        first = begin(evaluate, ball, x, y, seed) if at is None else ball.project(x, at)
        dense = chain(direction(ball), apgd_steps(ball, count))
        rule = sparse_adaptive(ball, count, first) if ball.sparse_steps else dense
        asked = evaluate if factor == 1 else to_the_end(evaluate)
        points = walk(
            asked, x, y, start=first, rule=rule, advance=projected(nearest(ball)), estimator=estimator, steps=count
        )
        if factor == 1:
            yield from points
        else:
            at = _highest(points)


def _sparse_start(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
    """The nearest allowed image to one of Gaussian noise: in L1 it differs from x in few pixels."""
    return threat.project(x, x + normal(keys_of(x), x.shape[1:], seed=seed).to(x.dtype))


def _highest(points: Iterator[PathPoint]) -> Images:
    """The point of the largest loss per example, the last one left out: to look at it would cost a forward pass."""
    best_x, best = None, None
    for point in points:
        if point.grad is None:
            break
        loss = point.evaluation().loss
        best_x = point.x if best is None else select(loss > best, point.x, best_x)
        best = loss if best is None else torch.maximum(loss, best)
    assert best_x is not None, "a phase has at least one step"
    return best_x


class ApgdState(NamedTuple):
    """Per example: the step, the best point with its direction and loss, and what the next checkpoint needs."""

    step: PerExample
    x_before: Images
    loss_before: PerExample
    best_x: Images
    best_direction: Images
    best_loss: PerExample
    best_loss_at_checkpoint: PerExample
    rises: PerExample
    halved: Tensor


def apgd_steps(threat: Ball, steps: int, inertia: float = INERTIA) -> Rule:
    """APGD's steps along any directions d of size 1: at checkpoints, where the loss no longer rises, the step is halved
    and taken from the best point.

    z = P(x + step d);  move = P(x + inertia (z - x) + (1 - inertia) (x - x_before)) - x.

    Args:
        threat: P is its projection; the first step is two of its `step_unit`.
        steps: of the whole walk, from which the checkpoints follow.
        inertia: the weight of the new step against the one before; 1: no momentum.
    Source: Croce and Hein 2020, algorithm 1, with the comparisons of the authors' code.
    """
    checkpoints, near = checkpoint_steps(steps), nearest(threat)

    def init(x0: Images) -> ApgdState:
        none = x0.new_full(x0.shape[:1], -torch.inf)
        ones = torch.ones_like(none)
        return ApgdState(2 * threat.step_unit * ones, x0, -none, x0, x0, none, none, 0 * ones, none > 0)

    def update(direction: Tensor, evaluation: Evaluation, at: Iterate, was: ApgdState) -> tuple[Tensor, ApgdState]:
        loss = evaluation.loss
        better = loss > was.best_loss
        best_x, best_direction = select(better, at.x, was.best_x), select(better, direction, was.best_direction)
        best_loss = torch.maximum(was.best_loss, loss)
        rises = was.rises + (loss > was.loss_before)
        step, at_checkpoint, halved, x = was.step, was.best_loss_at_checkpoint, was.halved, at.x
        if at.t in checkpoints:
            stuck = rises <= RISE_SHARE * checkpoints[at.t]
            idle = ~halved & (at_checkpoint >= best_loss)
            halved = stuck | idle
            step = torch.where(halved, step / 2, step)
            x, direction = select(halved, best_x, x), select(halved, best_direction, direction)
            at_checkpoint, rises = best_loss, torch.zeros_like(rises)
        share, before = (1.0, x) if at.t == 0 else (inertia, was.x_before)
        reached = near(at.x0, x + per_example(step, x) * direction)
        moved = near(at.x0, x + share * (reached - x) + (1 - share) * (x - before))
        state = ApgdState(step, x, loss, best_x, best_direction, best_loss, at_checkpoint, rises, halved)
        return moved - at.x, state

    return Rule(init, update)


def checkpoint_steps(steps: int) -> dict[int, int]:
    """Checkpoint -> number of steps since the one before. Source: Croce and Hein 2020, section 3.1, as their code
    rounds."""
    gap, least, shrink = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    at, found = 0, {}
    while at + gap <= steps:
        at += gap
        found[at] = gap
        gap = max(gap - shrink, least)
    return found


class SparseState(NamedTuple):
    """Per example: step, share of pixels moved, best point with gradient and loss, pixels changed at the last
    checkpoint."""

    step: PerExample
    share: PerExample
    best_x: Images
    best_grad: Images
    best_loss: PerExample
    changed: PerExample


def sparse_adaptive(threat: Ball, steps: int, start: Images) -> Rule:
    """APGD's rule for L1: as many pixels as the best point needs, and shorter steps once that number settles.

    Source: Croce and Hein 2021 (Mind the box), algorithm 1, with their constants.
    """
    every, longest = max(int(0.04 * steps), 1), threat.step_unit

    def init(x0: Images) -> SparseState:
        size = x0[0].numel()
        ones = x0.new_ones(x0.shape[:1])
        changed = torch.where((start != x0).flatten(1).any(1), (start != x0).flatten(1).sum(1), size).to(x0.dtype)
        share = torch.where(changed < size, changed / size / 1.5, 0.2)
        return SparseState(longest * ones, share, x0, x0, -torch.inf * ones, changed)

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, was: SparseState) -> tuple[Tensor, SparseState]:
        better = evaluation.loss > was.best_loss
        best_x, best_grad = select(better, at.x, was.best_x), select(better, grad, was.best_grad)
        best_loss = torch.maximum(was.best_loss, evaluation.loss)
        step, share, changed, x = was.step, was.share, was.changed, at.x
        if at.t > 0 and at.t % every == 0:
            now = (best_x != at.x0).flatten(1).sum(1).to(step.dtype)
            sparser = now < 0.95 * changed
            share = now / at.x0[0].numel() / 1.5
            step = torch.where(sparser, longest, step / 1.5).clamp(longest / 10, longest)
            x, grad = select(sparser, best_x, x), select(sparser, best_grad, grad)
            changed = now
        moved = x + per_example(step, x) * _largest(grad, share)
        return moved - at.x, SparseState(step, share, best_x, best_grad, best_loss, changed)

    return Rule(init, update)


def _largest(grad: Tensor, share: PerExample) -> Tensor:
    """Signs of the `share` of pixels with the largest gradient, divided by their number."""
    size = grad.flatten(1).abs()
    rank = ((1 - share) * size.shape[1]).long().clamp(0, size.shape[1] - 1)
    edge = size.sort(dim=1).values.gather(1, rank[:, None])
    signs = torch.where(size >= edge, grad.flatten(1).sign(), 0)
    return (signs / signs.abs().sum(1, keepdim=True).clamp(min=1)).view_as(grad)
