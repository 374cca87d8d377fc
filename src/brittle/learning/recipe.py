"""How the parameters move: optimiser, learning rate, length."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from brittle.ground import BrittleError

LARGEST = 1e9  # a larger number is a mistake


@dataclass(frozen=True)
class Recipe:
    """How the parameters move.

    Attributes:
        epochs: passes over the training images; may be a fraction.
        batch: examples per step.
        optimizer: `adam` or `sgd` (momentum 0.9).
        lr: the largest learning rate.
        schedule: `triangular` (up over the first 2/5, down to 0), `cosine`, `step` (x0.1 at 1/2, 3/4 and 9/10) or
            `constant`.
        weight_decay: L2 penalty of the optimiser.
        precision: `fast` (bfloat16 where the device multiplies it) or `float32`.
        averaging: of the running mean of the parameters, mean <- averaging mean + (1 - averaging) parameters after each
            step, which is what is kept in the end; 0: the parameters themselves.
        until: where training stops short of `epochs`, so that a net can be seen on its way; none: at the end.
    Raises:
        BrittleError: a number out of range, or an unknown name.
    """

    epochs: float = 2.0
    batch: int = 128
    optimizer: str = "adam"
    lr: float = 2e-3
    schedule: str = "triangular"
    weight_decay: float = 0.0
    precision: str = "fast"
    averaging: float = field(default=0.0, metadata={"added": True})
    until: float | None = field(default=None, metadata={"added": True})

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", float(self.epochs))  # 20 and 20.0 are one declaration
        if not (0 < self.epochs < LARGEST and self.batch >= 1 and 0 < self.lr < LARGEST):
            raise BrittleError(
                f"training needs epochs > 0 and lr > 0, both below {LARGEST:g}, and batch >= 1, not {self.epochs}, "
                f"{self.batch}, {self.lr}"
            )
        if not (0 <= self.weight_decay < LARGEST and 0 <= self.averaging < 1):
            raise BrittleError(
                f"training needs weight_decay >= 0, below {LARGEST:g}, and 0 <= averaging < 1, not "
                f"{self.weight_decay}, {self.averaging}"
            )
        if self.until is not None and not 0 < self.until <= self.epochs:
            raise BrittleError(f"training of {self.epochs:g} epochs cannot stop after {self.until:g}")
        names = (self.optimizer, OPTIMIZERS), (self.schedule, SCHEDULES), (self.precision, PRECISIONS)
        for value, known in names:
            if value not in known:
                raise BrittleError(f"{value!r} is unknown; choose one of {', '.join(known)}")

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step number `step` (from 0) of `steps`."""
        return self.lr * SCHEDULES[self.schedule]((step + (self.schedule == "triangular")) / steps)

    def over(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """A fresh optimiser of these parameters; its learning rate is set by `rate` at each step."""
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)
        return torch.optim.SGD(parameters, lr=self.lr, momentum=0.9, weight_decay=self.weight_decay)

    def average_of(self, net: nn.Module) -> AveragedModel | None:
        """The running mean of a net's parameters and buffers, to be brought up to date after each step; None if there
        is no averaging. It begins with the parameters after the first step."""
        if not self.averaging:
            return None
        blend = get_ema_multi_avg_fn(self.averaging)  # type: ignore[no-untyped-call]
        return AveragedModel(net, multi_avg_fn=blend, use_buffers=True)


def _triangular(done: float) -> float:
    return done / 0.4 if done < 0.4 else (1 - done) / 0.6


def _stepped(done: float) -> float:
    return 0.1 ** sum(done >= drop for drop in (0.5, 0.75, 0.9))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "triangular": _triangular,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "step": _stepped,
    "constant": lambda done: 1.0,
}
OPTIMIZERS = ("adam", "sgd")
PRECISIONS = ("fast", "float32")
