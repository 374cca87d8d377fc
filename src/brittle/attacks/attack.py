"""An attack ready to be called, and how attacks are combined per example."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from brittle.ground import BrittleError, Images, Labels, keep_freed_memory, seeded

from .loop import AttackResult, Path, best_of, select
from .objectives import Evaluate, Objective, session
from .threats import Threat

BATCH = 500  # examples whose activations are held at once


@dataclass(frozen=True)
class Attack:
    """A search for adversarial images: `attack(x, y)` gives images like `x`, `attack.run(x, y)` says which of them
    fool.

    Attributes:
        name: as it stands in reports.
        search: `(x, y, seed) -> Found` on one batch, without checks.
        seed: the only source of randomness; an image's noise depends on it and on the image alone, never on the batch.
        batch: how many examples are searched at once.
        path: for attacks that walk: `(x, y, seed) -> steps`, one by one, for training (`last_of`) and for diagnosis.
    """

    name: str
    search: Callable[[Images, Labels, int], AttackResult]
    seed: int = 0
    batch: int = BATCH
    path: Path | None = None

    def __call__(self, x: Images, y: Labels) -> Images:
        """Adversarial images [B, *S] for `x` with labels (or targets) `y`; where nothing fools, the worst image
        seen."""
        return self.run(x, y).x

    def run(self, x: Images, y: Labels) -> AttackResult:
        """The images, whether each fools the model, and by what margin.

        The model (modes, buffers, gradients) and the global random state are afterwards as they were before.

        Raises:
            BrittleError: images outside [0, 1], labels that do not fit, or a model that answers NaN.
        """
        check_examples(x, y)
        if x.device.type == "cpu":
            keep_freed_memory()
        x = x.detach()
        with seeded(self.seed, x.device):  # for models that draw numbers themselves
            parts = [
                self.search(x[i : i + self.batch], y[i : i + self.batch], self.seed)
                for i in range(0, len(x), self.batch)
            ]
        found = AttackResult(*(torch.cat(part) for part in zip(*parts, strict=True)))
        broken = int(found.margin.isnan().sum())
        if broken:
            raise BrittleError(f"the model answers NaN on {broken} of {len(x)} examples; an attack on it means nothing")
        return found

    def seeded(self, seed: int) -> "Attack":
        """The same attack with another seed."""
        return replace(self, seed=seed)


def search_attack(
    name: str, objective: Objective, search: Callable[[Evaluate, Images, Labels], AttackResult]
) -> Attack:
    """An attack from a search inside the objective's session, without randomness of its own."""

    def run(x: Images, y: Labels, seed: int) -> AttackResult:
        with session(objective) as evaluate:
            return search(evaluate, x, y)

    return Attack(name, run)


def path_attack(name: str, path: Path, seed: int) -> Attack:
    """An attack that hands out the best point of a path per example."""
    return Attack(name, lambda x, y, seed: best_of(path(x, y, seed)), seed, path=path)


def worst_of(*attacks: Attack) -> Attack:
    """Per example the worst that any of the attacks found: fooled before not fooled, then the larger margin."""
    return _combined("worst of " + ", ".join(attack.name for attack in attacks), attacks, survivors_only=False)


def stages(*attacks: Attack) -> Attack:
    """The attacks one after another, each only on the examples that withstood all before it; then as `worst_of`."""
    return _combined(" then ".join(attack.name for attack in attacks), attacks, survivors_only=True)


def restarts(attack: Attack, count: int) -> Attack:
    """`count` runs with the seeds seed, seed + 1, ..., each on the survivors of those before: the worst per example."""
    check_count("restarts", count)
    return replace(stages(*(attack.seeded(attack.seed + k) for k in range(count))), name=f"{attack.name} x{count}")


def _combined(name: str, attacks: tuple[Attack, ...], *, survivors_only: bool) -> Attack:
    if not attacks:
        raise BrittleError("at least one attack is needed")

    def search(x: Images, y: Labels, seed: int) -> AttackResult:
        best = attacks[0].seeded(attacks[0].seed + seed).run(x, y)
        for attack in attacks[1:]:
            alive = (~best.success).nonzero().squeeze(1) if survivors_only else torch.arange(len(x), device=x.device)
            if len(alive) == 0:
                break
            found = attack.seeded(attack.seed + seed).run(x[alive], y[alive])
            best = AttackResult(
                *(
                    whole.index_copy(0, alive, part)
                    for whole, part in zip(best, worse_result(found, _rows(best, alive)), strict=True)
                )
            )
        return best

    return Attack(name, search, 0, batch=10**9)  # each part forms its own batches


def worse_result(new: AttackResult, old: AttackResult) -> AttackResult:
    """Per example the worse of two results, for the model."""
    better = (new.success & ~old.success) | ((new.success == old.success) & (new.margin > old.margin))
    return AttackResult(*(select(better, a, b) for a, b in zip(new, old, strict=True)))


def _rows(found: AttackResult, rows: Tensor) -> AttackResult:
    return AttackResult(*(part[rows] for part in found))


def check_examples(x: Any, y: Any) -> None:
    """Raise `BrittleError` unless `x` [B, *S] is floating in [0, 1] and `y` [B] (or [B, 2]) holds int64 labels beside
    it."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        got = f"{x.dtype} of shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise BrittleError(f"images must be a floating tensor [batch, ...], not {got}; scale uint8 images by 1/255")
    if not isinstance(y, Tensor) or y.dtype != torch.int64 or len(y) != len(x):
        got = f"{y.dtype} of shape {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise BrittleError(f"labels must be an int64 tensor [{len(x)}], not {got}")
    if len(x) == 0:
        raise BrittleError("there are no examples to attack")
    if int(y.min()) < 0:
        raise BrittleError(f"labels must not be negative; there is {int(y.min())}")
    low, high = (float(value) for value in x.detach().aminmax())
    if not (low >= 0 and high <= 1):
        raise BrittleError(
            f"images must lie in [0, 1]; these range from {low:.3g} to {high:.3g}. Put the normalisation inside the "
            "model"
        )


def check_count(what: str, count: int) -> None:
    """Raise `BrittleError` unless `count` is at least 1."""
    if count < 1:
        raise BrittleError(f"{what} must be at least 1, not {count}")


def check_step(step: float, threat: Threat) -> None:
    """Warn about a step that leaves the ball at once."""
    if step > threat.radius > 0:
        import warnings

        warnings.warn(f"a step of {step:.4g} is larger than eps {threat.eps} ({threat.norm})", stacklevel=3)
