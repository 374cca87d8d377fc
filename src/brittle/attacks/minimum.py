"""Minimum-norm attack: the smallest perturbation that fools, so the whole accuracy-versus-eps curve from one run."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from brittle.ground import Flags, Images, Labels, PerExample, norm_named

from .attack import Attack, search_attack
from .loop import AttackResult, evaluation_at, plain_gradient, select
from .losses import margin
from .objectives import Evaluate, ModelObjective
from .threats import Threat


class Minimum(NamedTuple):
    """Images [B, *S] and the size of the smallest perturbation that fooled [B]; infinite where none did."""

    x: Images
    size: PerExample

    def within(self, threat: Threat, x: Images) -> tuple[Images, Flags]:
        """The images where the perturbation fits into the threat, else the clean ones `x`, and where it fits [B]."""
        fits = self.size <= threat.radius
        return select(fits, self.x, x), fits


@dataclass(frozen=True)
class Fmn:
    """A minimum-norm attack ready to be called: `fmn(against(model, margin), "L2")(x, y)`."""

    objective: ModelObjective
    norm: str
    steps: int

    def __call__(self, x: Images, y: Labels) -> Minimum:
        """The smallest perturbations found for `x` [B, *S] with labels (or targets) `y`."""
        found: list[Minimum] = []

        def search(evaluate: Evaluate, x: Images, y: Labels) -> AttackResult:
            found.append(_search(evaluate, x, y, self.norm, self.steps))
            seen = evaluation_at(evaluate, found[-1].x, y)
            return AttackResult(found[-1].x, seen.success, seen.margin)

        search_attack("FMN", self.objective, search).run(x, y)
        return Minimum(*(torch.cat(part) for part in zip(*found, strict=True)))

    def within(self, threat: Threat) -> Attack:
        """As an attack inside a threat."""

        def search(evaluate: Evaluate, x: Images, y: Labels) -> AttackResult:
            inside, _ = _search(evaluate, x, y, self.norm, self.steps).within(threat, x)
            seen = evaluation_at(evaluate, inside, y)
            return AttackResult(inside, seen.success, seen.margin)

        return search_attack(f"FMN-{self.steps}", self.objective, search)


def fmn(objective: ModelObjective, norm: str, *, steps: int = 100) -> Fmn:
    """Fast minimum-norm attack: one run gives the whole accuracy-versus-eps curve.

    The objective's loss is replaced by the margin, whose size is the distance that the attack estimates.

    A ball around x shrinks while the image inside it fools the model and grows while it does not:
    eps <- (1 - gamma) eps, or (1 + gamma) eps, or ||delta|| + |margin| / ||grad||_dual before the first success;
    delta <- P_eps(delta + alpha grad / ||grad||_2), with alpha and gamma falling along half a cosine.

    Cost: `steps` gradients, two forward passes. Random: nothing.
    Source: Pintor et al. 2021 (FMN), algorithm 1. Differs: the projection is on ball and box at once.
    """
    return Fmn(replace(objective, loss=margin), norm_named(norm).name, steps)


def _search(evaluate: Evaluate, x: Images, y: Labels, norm: str, steps: int) -> Minimum:
    geometry = norm_named(norm)
    low, high = -x.flatten(1), 1 - x.flatten(1)
    delta, eps = torch.zeros_like(x), x.new_full(x.shape[:1], torch.inf)
    best_x, best = x, torch.full_like(eps, torch.inf)
    for t in range(steps + 1):
        seen, grad = (
            plain_gradient(evaluate, x + delta, y, t)
            if t < steps
            else (evaluation_at(evaluate, x + delta, y), torch.zeros_like(x))
        )
        size = geometry.size(delta.flatten(1))
        smaller = seen.success & (size < best)
        best_x, best = select(smaller, x + delta, best_x), torch.where(smaller, size, best)
        gamma, alpha = _cosine(0.05, 0.001, t, steps), _cosine(1.0, 0.01, t, steps)
        flat = grad.flatten(1)
        guess = size + seen.margin.abs() / norm_named(geometry.dual).size(flat).clamp(min=1e-12)
        grown = torch.where(best.isfinite(), eps * (1 + gamma), guess)
        eps = torch.where(seen.success, torch.minimum(eps, best) * (1 - gamma), grown)
        move = (delta.flatten(1) + alpha * norm_named("L2").steepest(flat)).clamp(low, high)
        delta = geometry.project_box(move, eps.clamp(max=1e6)[:, None], low, high).view_as(x)
    return Minimum(best_x, torch.where(seen.margin.isnan(), seen.margin, best))


def _cosine(start: float, end: float, t: int, steps: int) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(t / max(steps, 1), 1))) / 2
