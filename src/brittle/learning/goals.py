"""Goals: what training makes small. A goal is data; `losses(learner, x, y, at)` gives the loss of each example [B]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn

from brittle.attacks import Attack, Start, Threat, against, cross_entropy, fgsm, last_of, mim, pgd, second_order
from brittle.ground import BrittleError, Images, Labels, Logits, PerExample

INNER = ("pgd", "fgsm", "mim", "second_order")


class Learner(NamedTuple):
    """The net that is attacked, and its forward pass whose gradients are learned from (spread over devices, in mixed precision)."""

    net: nn.Module
    forward: Callable[[Images], Logits]


class Moment(NamedTuple):
    """Where training stands: number of the step, share of all steps done in [0, 1], seed of this step."""

    step: int
    done: float
    seed: int


@runtime_checkable
class Goal(Protocol):
    """A training goal: frozen data with a loss per example."""

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment) -> PerExample: ...


@dataclass(frozen=True)
class Standard:
    """Cross-entropy on the examples as they are."""

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment) -> PerExample:
        return cross_entropy(learner.forward(x), y)


@dataclass(frozen=True)
class Inner:
    """The attack inside a training step.

    Attributes:
        attack: `pgd`, `fgsm`, `mim` or `second_order`.
        steps: gradients per example (fgsm always takes one, of length eps).
        step: length of a step as a share of eps; default 2.5 / steps.
        start: `random` or `clean`.
    """

    attack: str = "pgd"
    steps: int = 7
    step: float | None = None
    start: Start = "random"

    def __post_init__(self) -> None:
        if self.start not in ("clean", "random"):
            raise BrittleError(f"an inner attack starts 'clean' or 'random', not {self.start!r}")
        if self.attack not in INNER:
            raise BrittleError(f"no inner attack is called {self.attack!r}; known: {', '.join(INNER)}")

    def build(self, net: nn.Module, threat: Threat) -> Attack:
        """The attack on `net` inside `threat`, at the speed of the device."""
        objective = against(net, precision="fast")
        length = None if self.step is None else self.step * threat.radius
        if self.attack == "fgsm":
            return fgsm(objective, threat, start=self.start)
        make: Callable[..., Attack] = {"pgd": pgd, "mim": mim, "second_order": second_order}[self.attack]
        return make(objective, threat, steps=self.steps, step=length, start=self.start)


@dataclass(frozen=True)
class Adversarial:
    """Cross-entropy on the last point of an attack; with several threats, batches alternate between them (Mix).

    E max_{delta in threat} CE(net(x + delta), y), the maximum as far as the inner attack finds it.
    The net is in eval mode while attacked. During the first `ramp` of training eps rises linearly from 0.

    Source: Madry et al. 2018; alternating norms: Li et al. 2019 (Norm-Agnostic Robustness), Mix. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: Inner = Inner()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        if not self.threats:
            raise BrittleError("adversarial training needs at least one threat, such as --threat Linf:0.3")

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment) -> PerExample:
        return cross_entropy(learner.forward(self.examples(learner.net, x, y, at)), y)

    def examples(self, net: nn.Module, x: Images, y: Labels, at: Moment) -> Images:
        """The adversarial images of this step [B, *S]."""
        threat = self.threats[at.step % len(self.threats)]
        rise = min(1.0, at.done / self.ramp) if self.ramp else 1.0
        threat = threat.scaled(rise) if rise < 1 else threat
        path = self.inner.build(net, threat).path
        assert path is not None, "inner attacks walk"
        return last_of(path(x, y, at.seed))


GOALS = {
    "standard": "cross-entropy on clean images",
    "adversarial": "cross-entropy on attacked images (one norm, or alternating)",
}
