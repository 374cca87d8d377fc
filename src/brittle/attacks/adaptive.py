"""The step rules of APGD: steps of 2 eps at first, halved (or made sparser, in L1) where the loss no longer rises."""

from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, PerExample

from .loop import select
from .rules import Iterate, Rule
from .threats import Threat

RISE_SHARE = 0.75  # rho: the share of steps that must have raised the loss
INERTIA = 0.75  # alpha: the weight of the new step against the one before


class Progress(NamedTuple):
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


def adaptive(threat: Threat, steps: int) -> Rule:
    """APGD's move for Linf and L2, from a steepest direction: momentum, and at checkpoints a halved step from the best
    point.

    z = P(x + step d);  move = P(x + a (z - x) + (1 - a) (x - x_before)) - x.
    Source: Croce and Hein 2020, algorithm 1. Differs: after a return to the best point the momentum starts anew.
    """
    checkpoints = checkpoint_steps(steps)

    def init(x0: Images) -> Progress:
        none = x0.new_full(x0.shape[:1], -torch.inf)
        ones = torch.ones_like(none)
        return Progress(2 * threat.radius * ones, x0, -none, x0, x0, none, none, 0 * ones, none > 0)

    def update(direction: Tensor, here: Iterate, was: Progress) -> tuple[Tensor, Progress]:
        better = here.loss > was.best_loss
        best_x, best_direction = select(better, here.x, was.best_x), select(better, direction, was.best_direction)
        best_loss = torch.maximum(was.best_loss, here.loss)
        rises = was.rises + (here.loss > was.loss_before).to(was.rises.dtype)
        step, at_checkpoint, halved, x = was.step, was.best_loss_at_checkpoint, was.halved, here.x
        x_before = here.x if here.t == 0 else was.x_before
        if here.t in checkpoints:
            stuck = rises < RISE_SHARE * checkpoints[here.t]
            idle = ~halved & (at_checkpoint >= best_loss)
            halved = stuck | idle
            step = torch.where(halved, step / 2, step)
            x, direction = select(halved, best_x, x), select(halved, best_direction, direction)
            x_before = select(halved, x, x_before)
            at_checkpoint, rises = best_loss, torch.zeros_like(rises)
        inertia = 1.0 if here.t == 0 else INERTIA
        reached = threat.allow(here.x0, x + step.view(-1, *[1] * (x.dim() - 1)) * direction)
        moved = threat.allow(here.x0, x + inertia * (reached - x) + (1 - inertia) * (x - x_before))
        progress = Progress(step, x, here.loss, best_x, best_direction, best_loss, at_checkpoint, rises, halved)
        return moved - here.x, progress

    return Rule(init, update)


def checkpoint_steps(steps: int) -> dict[int, int]:
    """Checkpoint -> number of steps since the one before. Source: Croce and Hein 2020, section 3.1."""
    last, point, gap, found = 0, 0.22, 0.22, {}
    while point <= 1:
        at = max(last + 1, round(point * steps))
        found[at] = at - last
        gap = max(gap - 0.03, 0.06)
        last, point = at, point + gap
    return found


class SparseProgress(NamedTuple):
    """Per example: step, share of pixels moved, best point with gradient and loss, pixels changed at the last
    checkpoint."""

    step: PerExample
    share: PerExample
    best_x: Images
    best_grad: Images
    best_loss: PerExample
    changed: PerExample


def sparse_adaptive(threat: Threat, steps: int) -> Rule:
    """APGD's move for L1, from the gradient: as many pixels as the best point needs, and shorter steps once that number
    settles.

    Source: Croce and Hein 2021 (Mind the box), algorithm 1, with their constants.
    """
    every = max(round(0.04 * steps), 1)

    def init(x0: Images) -> SparseProgress:
        none = x0.new_full(x0.shape[:1], -torch.inf)
        ones = torch.ones_like(none)
        return SparseProgress(threat.radius * ones, 0.2 * ones, x0, x0, none, x0[0].numel() * ones)

    def update(grad: Tensor, here: Iterate, was: SparseProgress) -> tuple[Tensor, SparseProgress]:
        better = here.loss > was.best_loss
        best_x, best_grad = select(better, here.x, was.best_x), select(better, grad, was.best_grad)
        best_loss = torch.maximum(was.best_loss, here.loss)
        step, share, changed, x = was.step, was.share, was.changed, here.x
        if here.t > 0 and here.t % every == 0:
            now = (best_x != here.x0).flatten(1).sum(1).to(step.dtype)
            sparser = now < 0.95 * changed
            share = now / here.x0[0].numel() / 1.5
            step = torch.where(sparser, threat.radius, step / 1.5).clamp(threat.radius / 10, threat.radius)
            x, grad = select(sparser, best_x, x), select(sparser, best_grad, grad)
            changed = now
        moved = x + step.view(-1, *[1] * (x.dim() - 1)) * _largest(grad, share)
        return moved - here.x, SparseProgress(step, share, best_x, best_grad, best_loss, changed)

    return Rule(init, update)


def _largest(grad: Tensor, share: PerExample) -> Tensor:
    """Signs of the `share` of pixels with the largest gradient, divided by their number."""
    size = grad.flatten(1).abs()
    rank = ((1 - share) * size.shape[1]).long().clamp(0, size.shape[1] - 1)
    edge = size.sort(dim=1).values.gather(1, rank[:, None])
    signs = torch.where(size >= edge, grad.flatten(1).sign(), 0)
    return (signs / signs.abs().sum(1, keepdim=True).clamp(min=1)).view_as(grad)
