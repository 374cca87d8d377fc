"""Attacks combined per example: restarts, the worst of several, one after another on the survivors."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from brittle.ground import BrittleError, Flags, Images, check_count

from .attack import Attack
from .loop import AttackResult, select
from .losses import Aim
from .objectives import Done

WHOLE = 10**9  # each part forms its own batches


def _check(attacks: tuple[Attack, ...]) -> None:
    if not attacks or not all(isinstance(one, Attack) for one in attacks):
        raise BrittleError("give one attack or more, such as pgd(against(model), threat)")


def worst_of(*attacks: Attack) -> Attack:
    """Per example the worst that any of the attacks found: success before none, then the larger margin."""
    _check(attacks)

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        found = (attack.seeded(attack.seed + seed).tried(x, y) for attack in attacks)
        return reduce(lambda best, new: worse_result(new, best), found)

    return Attack("worst of " + ", ".join(attack.name for attack in attacks), search, 0, batch=WHOLE)


def stages(*attacks: Attack, done: Done | None = None) -> Attack:
    """The attacks one after another, each only on the examples that withstood all before it, or, where `done` judges,
    on those that are not done; then as `worst_of`."""
    _check(attacks)

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        first, *rest = (attack.seeded(attack.seed + seed) for attack in attacks)
        runs = [lambda x, y, rows, attack=attack: attack.tried(x, y) for attack in rest]
        return in_turn(first.tried(x, y), x, y, runs, done)

    return Attack(" then ".join(attack.name for attack in attacks), search, 0, batch=WHOLE)


def restarts(attack: Attack, count: int) -> Attack:
    """`count` runs with the seeds seed, seed + 1, ..., each on the survivors of those before: the worst per example."""
    _check((attack,))
    check_count("restarts", count)
    return replace(stages(*(attack.seeded(attack.seed + k) for k in range(count))), name=f"{attack.name} x{count}")


def in_turn(
    first: AttackResult,
    x: Images,
    y: Aim,
    runs: Iterable[Callable[[Images, Aim, Tensor], AttackResult]],
    done: Done | None = None,
) -> AttackResult:
    """Runs `(x, y, rows) -> result` one after another, each on the rows that are left after those before.

    Args:
        done: judges the images that succeed: a row whose image is not done is still left (none: success is enough),
            and only one that is done takes its place.
    """
    best, left = first, (~ended(first, x, y, done)).nonzero().squeeze(1)
    for run in runs:
        if len(left) == 0:
            break
        new = run(x[left], y[left], left)
        over = ended(new, x[left], y[left], done)
        best, left = merged(best, left, new, over), left[~over]
    return best


def ended(result: AttackResult, x: Images, y: Aim, done: Done | None) -> Flags:
    """The examples `x` whose search has come to an end with a result: success, which is `done` where that judges."""
    if done is None:
        return result.success
    rows = result.success.nonzero().squeeze(1)
    if len(rows) == 0:
        return result.success
    return result.success.index_copy(0, rows, done(x[rows], result.x[rows], y[rows]))


def survivors(result: AttackResult) -> Tensor:
    """The rows without success."""
    return (~result.success).nonzero().squeeze(1)


def merged(best: AttackResult, rows: Tensor, new: AttackResult, over: Flags | None = None) -> AttackResult:
    """`best` with its `rows` replaced where `new`, the result of those rows, is worse for the model; a success is
    replaced only where the search is `over` with the new one, where that is told."""
    old = AttackResult(*(part[rows] for part in best))
    worse = worse_result(new, old, over)
    return AttackResult(*(whole.index_copy(0, rows, part) for whole, part in zip(best, worse, strict=True)))


def worse_result(new: AttackResult, old: AttackResult, over: Flags | None = None) -> AttackResult:
    """Per example the worse of two results, for the model; where `over` is told, a success gives way to that alone.
    Blind is where both are."""
    better = torch.where(new.success == old.success, new.margin > old.margin, new.success) | new.margin.isnan()
    better = better if over is None else better & ~old.success | over
    x, success, margin = (select(better, a, b) for a, b in zip(new[:3], old[:3], strict=True))
    return AttackResult(x, success, margin, new.blind & old.blind)
