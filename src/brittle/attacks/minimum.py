"""Minimum-norm attacks: the smallest change that succeeds, so that one run gives the whole accuracy-versus-eps
curve."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable

import torch

from brittle.ground import BrittleError, Flags, Images, PerExample

from .attack import Attack, blind_told, counted
from .loop import AttackResult, PathPoint, Sight, evaluation_at, per_example, select
from .losses import Aim, Loss
from .objectives import Evaluate, ModelObjective, Objective, session
from .threats import Threat, require_threat


class MinimumResult(NamedTuple):
    """Images [B, *S] and the size of the smallest change that succeeded [B]; infinite, beside the clean image, where
    none did; and whether every gradient was 0 [B]: such a size says nothing about robustness."""

    x: Images
    size: PerExample
    blind: Flags


@runtime_checkable
class MinimumNorm(Protocol):
    """A search for the smallest change that succeeds, in the unit of some threat."""

    @property
    def name(self) -> str: ...
    @property
    def objective(self) -> Objective: ...
    @property
    def seed(self) -> int: ...

    def __call__(self, x: Images, y: Any) -> MinimumResult:
        """The smallest changes found for `x` [B, *S] with labels (or targets) `y`."""
        ...

    def tried(self, x: Images, y: Any) -> MinimumResult:
        """The same, where an image on which NaN came up has NaN for its size."""
        ...

    def fitted(self, found: MinimumResult, threat: Threat | str, x: Images, y: Any) -> AttackResult:
        """What `found` on `x` and `y` amounts to inside a threat, without searching again."""
        ...

    def within(self, threat: Threat | str) -> Attack:
        """As an attack inside a threat."""
        ...


@dataclass(frozen=True)
class MinimumNormWalk:
    """A minimum-norm attack that walks the loop: of all points of its path that succeed, the one of smallest size
    counts.

    Attributes:
        path: `(evaluate, x, y, seed) -> points`.
        measure: the threat in whose unit sizes are; its radius plays no part.
    """

    name: str
    objective: Objective
    measure: Threat
    path: Callable[[Evaluate, Images, Any, int], Iterator[PathPoint]]
    seed: int = 0

    def __call__(self, x: Images, y: Aim) -> MinimumResult:
        found = self.tried(x, y)
        broken, blind, left = counted(found.size.isnan(), found.blind & (found.size > 0), found.size > 0)
        if broken:
            raise BrittleError(f"NaN came up on {broken} of {len(x)} examples; an attack on this model means nothing")
        if blind:
            warnings.warn(blind_told(blind, left), stacklevel=2)
        return found

    def run(self, *_: Any, **__: Any) -> NoReturn:
        """Raise `BrittleError`: what succeeds is asked inside a threat."""
        raise BrittleError(f"{self.name} looks for the smallest change; ask .within(threat).run(x, y)")

    def tried(self, x: Images, y: Aim) -> MinimumResult:
        """The same without a warning, where an image on which NaN came up has NaN for its size."""
        found: list[MinimumResult] = []

        def search(x: Images, y: Aim, seed: int) -> AttackResult:
            found.append(self._search(x, y, seed))
            size = found[-1].size
            return AttackResult(found[-1].x, size.isfinite(), torch.where(size.isnan(), size, 0))

        Attack(self.name, search, self.seed).tried(x, y)
        return MinimumResult(*(torch.cat(part) for part in zip(*found, strict=True)))

    def fitted(self, found: MinimumResult, threat: Threat | str, x: Images, y: Aim) -> AttackResult:
        """Where the smallest change fits, that change stretched to the threat's edge if it still succeeds there (so
        that rounding does not undo it), else as it is. Cost: two forward passes."""
        threat = require_threat(threat)
        near, _ = fitting(found, threat, x)
        edge = stretched(found, threat, x)
        with session(self.objective) as evaluate:
            at_near, at_edge = (evaluation_at(evaluate, images, y) for images in (near, edge))
        kept = at_edge.success & (at_edge.margin > at_near.margin)
        margin = torch.where(found.size.isnan(), torch.nan, torch.where(kept, at_edge.margin, at_near.margin))
        success = at_edge.success & kept | at_near.success
        return AttackResult(select(kept, edge, near), success, margin, found.blind & ~success)

    def within(self, threat: Threat | str) -> Attack:
        """An attack that searches, and hands out what is `fitted` into the threat."""
        threat = require_threat(threat)
        return Attack(self.name, lambda x, y, seed: self.fitted(self._search(x, y, seed), threat, x, y), self.seed)

    def _search(self, x: Images, y: Aim, seed: int) -> MinimumResult:
        with session(self.objective) as evaluate:
            return smallest_of(self.path(evaluate, x, y, seed), x, self.measure)


def fitting(smallest: MinimumResult, threat: Threat, x: Images) -> tuple[Images, Flags]:
    """The images where the change fits into the threat, else the clean ones `x`, and where it fits [B]."""
    fits = smallest.size <= threat.radius
    return select(fits, smallest.x, x), fits


def stretched(smallest: MinimumResult, threat: Threat, x: Images) -> Images:
    """The changes that fit, as long as the threat allows; other images are the clean ones."""
    near, fits = fitting(smallest, threat, x)
    factor = torch.where(fits & (smallest.size > 0), threat.radius / smallest.size.clamp(min=1e-12), 1).clamp(max=1e6)
    edge: Images = select(fits, threat.project(x, x + per_example(factor, x) * (near - x)), x)
    return edge


def smallest_of(path: Iterable[PathPoint], x0: Images, measure: Threat) -> MinimumResult:
    """The point of the path that succeeds with the smallest change. A NaN loss on the path makes the size NaN."""
    best_x, best = x0, x0.new_full(x0.shape[:1], torch.inf)
    broken, sight = torch.zeros_like(best, dtype=torch.bool), Sight()
    for point in map(sight.of, path):
        evaluation, size = point.evaluation(), measure.size(x0, point.x)
        smaller = evaluation.success & (size < best)
        best_x, best = select(smaller, point.x, best_x), torch.where(smaller, size, best)
        broken = broken | evaluation.loss.isnan()
    return MinimumResult(best_x, torch.where(broken, torch.nan, best), sight.blind(broken))


def with_loss(objective: Objective, loss: Loss) -> Objective:
    """The same objective with an attack's own loss, where it is a model's; another objective's loss is its own
    affair."""
    return replace(objective, loss=loss) if isinstance(objective, ModelObjective) else objective
