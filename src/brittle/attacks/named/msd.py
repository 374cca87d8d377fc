"""MSD: one walk inside a union of threats."""

from collections.abc import Sequence

import torch

from brittle.ground import BrittleError, Images

from ..attack import Attack, gradient_attack
from ..loop import Iterate, evaluation_at, select
from ..objectives import Evaluate, Objective
from ..rules import IDENTITY
from ..starts import Start
from ..threats import Ball


def msd(
    objective: Objective,
    threats: Sequence[Ball],
    *,
    steps: int = 40,
    share: float | None = None,
    start: Start = "random",
    seed: int = 0,
) -> Attack:
    """Multi steepest descent: each step is tried in every threat, and per example the one of largest loss is taken.

    Args:
        threats: a point of the walk lies in one of them, not in all.
        share: length of a step as a share of each threat's unit; default 2.5 / steps.
        start: in the first threat.
    Cost: `steps` gradients, and with several threats `steps` * len(threats) forward passes. With one it is `pgd`.
    Random: the start. Source: Maini et al. 2020, algorithm 1.
    """
    if not threats:
        raise BrittleError("MSD needs at least one threat")
    lengths = [threat.usual_step(steps) if share is None else share * threat.step_unit for threat in threats]

    def advance(evaluate: Evaluate, at: Iterate, grad: Images) -> Images:
        moved = [
            threat.project(at.x0, at.x + length * threat.direction(at.x, grad))
            for threat, length in zip(threats, lengths, strict=True)
        ]
        best_x = moved[0]
        if len(moved) > 1:
            best = evaluation_at(evaluate, best_x, at.y).loss
            for other in moved[1:]:
                loss = evaluation_at(evaluate, other, at.y).loss
                best_x, best = select(loss > best, other, best_x), torch.maximum(loss, best)
        return best_x

    name = f"MSD-{steps}"
    return gradient_attack(name, objective, threats[0], IDENTITY, steps=steps, start=start, seed=seed, advance=advance)
