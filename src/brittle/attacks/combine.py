"""Attacks combined per example: restarts, the worst of several, one after another on the survivors."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from brittle.ground import BrittleError, Images, check_count

from .attack import Attack
from .loop import AttackResult, select
from .losses import Aim


def worst_of(*attacks: Attack) -> Attack:
    """Per example the worst that any of the attacks found: success before none, then the larger margin."""
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

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        first, *rest = attacks
        best = first.seeded(first.seed + seed).run(x, y)
        for attack in rest:
            run = attack.seeded(attack.seed + seed).run
            rows = survivors(best) if survivors_only else torch.arange(len(x), device=x.device)
            if len(rows):
                best = merged(best, rows, run(x[rows], y[rows]))
        return best

    return Attack(name, search, 0, batch=10**9)  # each part forms its own batches


def in_turn(
    first: AttackResult, x: Images, y: Aim, runs: Iterable[Callable[[Images, Aim, Tensor], AttackResult]]
) -> AttackResult:
    """Runs `(x, y, rows) -> result` one after another, each on the rows that are left after those before."""
    best = first
    for run in runs:
        rows = survivors(best)
        if len(rows) == 0:
            break
        best = merged(best, rows, run(x[rows], y[rows], rows))
    return best


def survivors(result: AttackResult) -> Tensor:
    """The rows without success."""
    return (~result.success).nonzero().squeeze(1)


def merged(best: AttackResult, rows: Tensor, new: AttackResult) -> AttackResult:
    """`best` with its `rows` replaced where `new`, the result of those rows, is worse for the model."""
    old = AttackResult(*(part[rows] for part in best))
    worse = worse_result(new, old)
    return AttackResult(*(whole.index_copy(0, rows, part) for whole, part in zip(best, worse, strict=True)))


def worse_result(new: AttackResult, old: AttackResult) -> AttackResult:
    """Per example the worse of two results, for the model."""
    better = torch.where(new.success == old.success, new.margin > old.margin, new.success)
    return AttackResult(*(select(better | new.margin.isnan(), a, b) for a, b in zip(new, old, strict=True)))
