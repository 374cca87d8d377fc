"""The attack inside a training step: any attack of the table that walks."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast, get_args

from torch import nn

from brittle.attacks import (
    ATTACKS,
    AttackSpec,
    Loss,
    PathPoint,
    Start,
    Threat,
    against,
    cross_entropy,
    default_step,
    last_of,
)
from brittle.ground import BrittleError, Images, Labels

Walk = Callable[[Images, Labels, int], Iterator[PathPoint]]


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside a training step; the last point of its walk is what is learned from.

    Attributes:
        attack: the name of an attack that walks, such as `pgd`, `fgsm`, `mim`, `apgd`, `second_order`.
        steps: number of steps, for attacks that have it (fgsm takes one, of length eps).
        step: length of a step as a share of eps, for attacks that have it; default 2.5 / steps.
        start: `random`, `clean`, or `noise` (Gaussian of 0.001 around the image, as TRADES does).
    Raises:
        BrittleError: no such attack or start, no steps, a step of no length or of an attack without.
    """

    attack: str = "pgd"
    steps: int = 7
    step: float | None = None
    start: Start = "random"

    def __post_init__(self) -> None:
        start_named(self.start)
        require_settings(self.attack, [] if self.step is None else ["step"])
        if self.steps < 1:
            raise BrittleError(f"an inner attack takes at least 1 step, not {self.steps}")
        if self.step is not None and not self.step > 0:
            raise BrittleError(f"a step of an inner attack is a share of eps above 0, not {self.step}")

    @property
    def cost(self) -> float:
        """Gradients per example."""
        return self._spec(None).gradients

    def last_point(
        self, net: nn.Module, threat: Threat, x: Images, y: Labels, *, seed: int, loss: Loss = cross_entropy
    ) -> Images:
        """Adversarial images [B, *S]: where the walk on `net` inside `threat` ends, at the speed of the device.

        `net` is in eval mode meanwhile.
        """
        return last_of(self._path(net, threat, loss)(x, y, seed))

    def check(self, threat: Threat) -> None:
        """Raise `BrittleError` if the attack does not walk, or not in this threat."""
        self._path(nn.Identity(), threat, cross_entropy)

    def _path(self, net: nn.Module, threat: Threat, loss: Loss) -> Walk:
        length = default_step(threat, self.steps) if self.step is None else self.step * threat.radius
        spec = self._spec(length)
        attack = spec.build(against(net, loss, precision=spec.precision), threat)
        if attack.path is None:
            raise BrittleError(f"the attack {self.attack!r} does not walk; an inner attack does, such as pgd")
        return attack.path

    def _spec(self, length: float | None) -> AttackSpec:
        own = settings_of(self.attack)
        return AttackSpec(
            self.attack,
            self.steps if "steps" in own else None,
            length if "step" in own else None,
            self.start if "start" in own else None,
        )


def start_named(text: str) -> Start:
    """The start called so.

    Raises:
        BrittleError: there is none.
    """
    if text not in get_args(Start):
        raise BrittleError(f"an inner attack's start is one of {', '.join(get_args(Start))}, not {text!r}")
    return cast(Start, text)


def settings_of(attack: str) -> frozenset[str]:
    """Which settings the attack of this name has.

    Raises:
        BrittleError: no such attack.
    """
    if attack not in ATTACKS:
        raise BrittleError(f"no inner attack is called {attack!r}; known: {', '.join(ATTACKS)}")
    return frozenset(inspect.signature(ATTACKS[attack]).parameters)


def require_settings(attack: str, names: list[str]) -> None:
    """Raise `BrittleError` if the attack of this name lacks one of these settings."""
    own = settings_of(attack)
    if strange := [name for name in names if name not in own]:
        raise BrittleError(f"the inner attack {attack!r} has no {', '.join(strange)}; give one that has: --inner pgd")
