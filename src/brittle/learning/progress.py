"""How far a training is, and what its net reaches on validation images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from brittle.attacks import AttackSpec, Ball, Threat, against, session

from .data import Split
from .goals import Goal

COLLAPSE = 0.5  # robust accuracy below this share of its best is called a collapse


@dataclass(frozen=True)
class TrainingProgress:
    """What the loop says as it goes: now and then the loss of a step; at each epoch's end accuracies on validation
    images.

    `real` is the accuracy on the images of `probe`, where there is one.
    """

    step: int
    steps: int
    loss: float | None
    lr: float
    clean: float | None = None
    robust: float | None = None
    real: float | None = None
    alarm: str | None = None


def accuracy(
    net: Callable[[Tensor], Any], split: Split, threat: Threat | None = None, steps: int = 10, batch: int = 500
) -> float:
    """Share of right answers in eval mode; with a threat, of answers still right under PGD (where gradients lead
    nowhere, under as many random draws)."""
    right = 0
    for start in range(0, len(split), batch):
        rows = slice(start, start + batch)
        x, y = split.x(rows), split.labels[rows]
        if threat is not None:
            spec = (
                AttackSpec.of("pgd", steps=steps) if isinstance(threat, Ball) else AttackSpec.of("random", draws=steps)
            )
            right += int((~spec.build(net, threat).run(x, y, warn=False).success).sum())
        else:
            with session(against(net)) as evaluate, torch.no_grad():
                right += int((~evaluate(x, y).success).sum())
    return right / len(split)


def validated(
    net: nn.Module,
    validation: Split,
    probe: Split | None,
    goal: Goal,
    event: TrainingProgress,
    history: list[dict[str, Any]],
) -> TrainingProgress:
    """An epoch's event with what the net reaches on validation images and on the probe, and with an alarm where it
    withstands much less than it did."""
    clean, real = accuracy(net, validation), None if probe is None else accuracy(net, probe)
    robust = min((accuracy(net, validation, threat) for threat in goal.threats), default=None)
    best = max((epoch["robust"] or 0.0 for epoch in history), default=0.0)
    alarm = None
    if robust is not None and best > 0.1 and robust < COLLAPSE * best:
        fell = f"robust accuracy fell from {best:.1%} to {robust:.1%}"
        alarm = f"{fell}: catastrophic overfitting; use more steps or a smaller step"
    return replace(event, clean=clean, robust=robust, real=real, alarm=alarm)
