"""What every goal is made of: the learner, the moment, the inner attack, and whose turn it is among several threats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from brittle.attacks import (
    Attack,
    Loss,
    Start,
    Threat,
    against,
    cross_entropy,
    default_step,
    fgsm,
    last_of,
    logits_of,
    mim,
    pgd,
    second_order,
)
from brittle.ground import BrittleError, Images, Labels, Logits, PerExample, eval_mode

PARAMETER_GRADIENT, FORWARD_PASS = (
    1.6,
    0.4,
)  # cost of a gradient for the parameters and of a forward pass, in gradients at the input
INNER = ("pgd", "fgsm", "mim", "second_order")
Memory = Mapping[str, Tensor]  # what a goal carries from step to step, empty before the first; part of the saved state


class Learner(NamedTuple):
    """The net that is attacked; its forward pass whose gradients are learned from (spread over devices, in mixed
    precision); nets trained before, which only lend adversarial images."""

    net: nn.Module
    forward: Callable[[Images], Logits]
    static: tuple[nn.Module, ...] = ()


class Moment(NamedTuple):
    """Where training stands: number of the step, share of all steps done in [0, 1], seed of this step."""

    step: int
    done: float
    seed: int


@runtime_checkable
class Goal(Protocol):
    """A training goal: frozen data with a loss per example, and a memory handed in and handed back.

    `cost` is about what a step takes per example, in gradients with respect to the input.
    """

    @property
    def threats(self) -> tuple[Threat, ...]: ...
    @property
    def cost(self) -> float: ...
    def losses(
        self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory
    ) -> tuple[PerExample, Memory]: ...


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside a training step.

    Attributes:
        attack: `pgd`, `fgsm`, `mim` or `second_order`.
        steps: gradients per example (fgsm always takes one, of length eps).
        step: length of a step as a share of eps; default 2.5 / steps.
        start: `random`, `clean`, or `noise` (Gaussian of 0.001 around the image, as TRADES does).
    """

    attack: str = "pgd"
    steps: int = 7
    step: float | None = None
    start: Start = "random"

    def __post_init__(self) -> None:
        if self.start not in ("clean", "random", "noise"):
            raise BrittleError(f"an inner attack starts 'clean', 'random' or 'noise', not {self.start!r}")
        if self.attack not in INNER:
            raise BrittleError(f"no inner attack is called {self.attack!r}; known: {', '.join(INNER)}")
        if self.steps < 1:
            raise BrittleError(f"an inner attack takes at least 1 step, not {self.steps}")

    @property
    def cost(self) -> float:
        """Gradients per example."""
        return 1.0 if self.attack == "fgsm" else self.steps * (20.0 if self.attack == "second_order" else 1.0)

    def build(self, net: nn.Module, threat: Threat, loss: Loss = cross_entropy) -> Attack:
        """The attack on `net` inside `threat`, at the speed of the device."""
        objective = against(net, loss, precision="fast")
        length = default_step(threat, self.steps) if self.step is None else self.step * threat.radius
        if self.attack == "fgsm":
            return fgsm(objective, threat, start=self.start)
        make: Callable[..., Attack] = {"pgd": pgd, "mim": mim, "second_order": second_order}[self.attack]
        return make(objective, threat, steps=self.steps, step=length, start=self.start)


@runtime_checkable
class Attacking(Protocol):
    """A goal that attacks: in which threats, how, and during which share of training eps rises from 0."""

    @property
    def threats(self) -> tuple[Threat, ...]: ...
    @property
    def inner(self) -> InnerAttack: ...
    @property
    def ramp(self) -> float: ...


def attack_batch(
    goal: Attacking, net: nn.Module, x: Images, y: Labels, at: Moment, loss: Loss = cross_entropy
) -> Images:
    """Adversarial images [B, *S] in the threat whose turn it is: batches alternate (Mix). `net` is in eval mode
    meanwhile."""
    return attack_batch_in(goal, goal.threats[at.step % len(goal.threats)], net, x, y, at, loss)


def attack_batch_in(
    goal: Attacking, threat: Threat, net: nn.Module, x: Images, y: Labels, at: Moment, loss: Loss = cross_entropy
) -> Images:
    """Adversarial images [B, *S] in this threat: the last points of the inner attack."""
    path = goal.inner.build(net, ramp_threat(threat, goal.ramp, at), loss).path
    assert path is not None, "inner attacks walk"
    return last_of(path(x, y, at.seed))


def ramp_threat(threat: Threat, ramp: float, at: Moment) -> Threat:
    """The threat, smaller during the first `ramp` of training: eps rises linearly from 0."""
    return threat.scaled(at.done / ramp) if at.done < ramp else threat


def require_threats(threats: tuple[Threat, ...]) -> None:
    """Raise `BrittleError` if there is nothing to withstand."""
    if not threats:
        raise BrittleError("a goal that withstands attack needs at least one threat, such as --threat Linf:0.3")


def eval_logits(net: nn.Module, x: Images) -> Logits:
    """The net's logits in eval mode, without gradient."""
    with torch.no_grad(), eval_mode(net):
        return logits_of(net(x)).float()
