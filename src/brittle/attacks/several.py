"""Attacks inside a union of threats."""

from collections.abc import Iterator, Sequence

import torch

from brittle.ground import BrittleError, Images, Labels

from .attack import Attack, check_count, path_attack
from .loop import PathPoint, evaluation_at, plain_gradient, select
from .named import Start, default_step, direction, start_point
from .objectives import Objective, session
from .rules import Iterate
from .threats import Threat


def msd(
    objective: Objective,
    threats: Sequence[Threat],
    *,
    steps: int = 40,
    share: float | None = None,
    start: Start = "random",
    seed: int = 0,
) -> Attack:
    """Multi steepest descent: each step is tried in every threat, and per example the one of largest loss is taken.

    Args:
        threats: a point of the walk lies in one of them, not in all.
        share: length of a step as a share of each eps; default 2.5 / steps.
        start: in the first threat.
    Cost: `steps` gradients, and with several threats `steps` * len(threats) forward passes. With one it is `pgd`.
    Random: the start. Source: Maini et al. 2020, algorithm 1.
    """
    if not threats:
        raise BrittleError("MSD needs at least one threat")
    check_count("steps", steps)
    lengths = [default_step(threat, steps) if share is None else share * threat.radius for threat in threats]
    rules = [direction(threat) for threat in threats]

    def path(x0: Images, y: Labels, seed: int) -> Iterator[PathPoint]:
        x = start_point(threats[0], x0, start, seed)
        with session(objective) as evaluate:
            for t in range(steps):
                seen, grad = plain_gradient(evaluate, x, y, t)
                yield PathPoint(x, lambda seen=seen: seen, grad)  # type: ignore[misc]
                here = Iterate(x0, x, seen.loss, t)
                moved = [
                    threat.allow(x0, x + length * rule.update(grad, here, rule.init(x0))[0])
                    for threat, rule, length in zip(threats, rules, lengths, strict=True)
                ]
                x = moved[0]
                loss = evaluation_at(evaluate, x, y).loss if len(moved) > 1 else seen.loss
                for other in moved[1:]:
                    new = evaluation_at(evaluate, other, y).loss
                    x, loss = select(new > loss, other, x), torch.maximum(new, loss)
            last = x
            yield PathPoint(last, lambda: evaluation_at(evaluate, last, y), None)

    return path_attack(f"MSD-{steps}", path, seed)
