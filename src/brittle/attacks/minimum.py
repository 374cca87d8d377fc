"""Minimum-norm attack: the smallest perturbation that fools, so the whole accuracy-versus-eps curve from one run."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import Images, Labels, PerExample, norm_named

from .attack import Attack, searching
from .loop import Found, at_point, pick
from .objectives import ModelObjective, See
from .threats import Threat


class Minimum(NamedTuple):
    """Images [B, *S] and the size of the smallest perturbation that fooled [B]; infinite where none did."""

    x: Images
    size: PerExample


def fmn(objective: ModelObjective, norm: str, *, steps: int = 100) -> "Fmn":
    """Fast minimum-norm attack: `fmn(against(model, margin), "L2")(x, y)`.

    A ball around x shrinks while the image inside it fools the model and grows while it does not:
    eps <- (1 - gamma) eps, or (1 + gamma) eps, or ||delta|| + |margin| / ||grad||_dual before the first success;
    delta <- P_eps(delta + alpha grad / ||grad||_2), with alpha and gamma falling along half a cosine.

    Cost: `steps` gradients. Random: nothing. Source: Pintor et al. 2021 (FMN), algorithm 1. Differs: the projection is on ball and box at once.
    """
    return Fmn(objective, norm_named(norm).name, steps)


class Fmn(NamedTuple):
    """A minimum-norm attack ready to be called."""

    objective: ModelObjective
    norm: str
    steps: int

    def __call__(self, x: Images, y: Labels) -> Minimum:
        """The smallest perturbations found for `x` with labels `y`."""
        found: list[Minimum] = []

        def search(see: See, x: Images, y: Labels) -> Found:
            found.append(_search(see, x, y, self.norm, self.steps))
            fooled = found[-1].size.isfinite()
            with torch.no_grad():
                return Found(found[-1].x, fooled, see(found[-1].x, y).margin)

        searching("FMN", self.objective, search).run(x, y)
        return Minimum(*(torch.cat(part) for part in zip(*found, strict=True)))

    def within(self, threat: Threat) -> Attack:
        """As an attack inside a threat: the smallest perturbation where it fits, else the clean image."""

        def search(see: See, x: Images, y: Labels) -> Found:
            found = _search(see, x, y, self.norm, self.steps)
            x = pick(found.size <= threat.radius, found.x, x)
            with torch.no_grad():
                seen = see(x, y)
            return Found(x, seen.fooled, seen.margin)

        return searching(f"FMN-{self.steps}", self.objective, search)


def _search(see: See, x: Images, y: Labels, norm: str, steps: int) -> Minimum:
    geometry = norm_named(norm)
    low, high = -x.flatten(1), 1 - x.flatten(1)
    delta, eps = torch.zeros_like(x), x.new_full(x.shape[:1], torch.inf)
    best_x, best = x, torch.full_like(eps, torch.inf)
    for t in range(steps + 1):
        seen, grad = at_point(see, x + delta, y, t) if t < steps else (see(x + delta, y).detach(), torch.zeros_like(x))
        size = geometry.size(delta.flatten(1))
        smaller = seen.fooled & (size < best)
        best_x, best = pick(smaller, x + delta, best_x), torch.where(smaller, size, best)
        gamma, alpha = _cosine(0.05, 0.001, t, steps), _cosine(1.0, 0.01, t, steps)
        flat = grad.flatten(1)
        guess = size + seen.margin.abs() / norm_size(flat, geometry.dual).clamp(min=1e-12)
        grown = torch.where(best.isfinite(), eps * (1 + gamma), guess)
        eps = torch.where(seen.fooled, torch.minimum(eps, best) * (1 - gamma), grown)
        move = (delta.flatten(1) + alpha * norm_named("L2").steepest(flat)).clamp(low, high)
        delta = geometry.project_box(move, eps.clamp(max=1e6)[:, None], low, high).view_as(x)
    return Minimum(best_x, torch.where(seen.margin.isnan(), seen.margin, best))


def norm_size(flat: Tensor, name: str) -> PerExample:
    """The size of flattened examples [B, D] in the norm called `name`."""
    return norm_named(name).size(flat)


def _cosine(start: float, end: float, t: int, steps: int) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(t / max(steps, 1), 1))) / 2
