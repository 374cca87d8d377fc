"""The attack inside a training step: any attack of the registry that walks."""

import math
from dataclasses import dataclass, replace

from torch import nn

from brittle.attacks import (
    AttackSpec,
    Ball,
    Loss,
    Threat,
    against,
    attack_named,
    cross_entropy,
    last_of,
    within,
)
from brittle.ground import BrittleError, Images, Labels, check_count

from .goal import FORWARD_PASS


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside a training step; the last point of its walk is what is learned from.

    Attributes:
        attack: the name of an attack that walks, such as `pgd`, `fgsm`, `mim`, `apgd`, `second_order`; one that does
            not walk, such as `random` in a threat without gradients, gives its result instead.
        steps: number of steps, for attacks that have it (fgsm takes one, of length eps).
        step: length of a step as a share of eps, for attacks that have it; default 2.5 / steps.
        start: `random`, `clean`, or `noise` (Gaussian of 0.001 around the image, as TRADES does).
    Raises:
        BrittleError: no such attack or start, no steps, a step of no length or of an attack without.
    """

    attack: str = "pgd"
    steps: int = 7
    step: float | None = None
    start: str = "random"

    def __post_init__(self) -> None:
        require_settings(self.attack, [] if self.step is None else ["step"])
        check_count("the steps of an inner attack", self.steps)
        if self.step is not None and not 0 < self.step < math.inf:
            raise BrittleError(f"a step of an inner attack is a share of eps above 0, not {self.step}")
        self._spec(None)

    @property
    def cost(self) -> float:
        """Gradients per example; where there are none, forward passes at their cost."""
        cost = self._spec(None).cost
        return cost.backwards or FORWARD_PASS * cost.forwards

    def last_point(
        self, net: nn.Module, threat: Threat, x: Images, y: Labels, *, seed: int, loss: Loss = cross_entropy
    ) -> Images:
        """Adversarial images [B, *S]: where the walk on `net` inside `threat` ends, at the speed of the device.

        `net` is in eval mode meanwhile.
        """
        spec = self._spec(threat)
        objective = replace(against(net, loss, precision=spec.entry.precision), checked=True)
        attack = within(spec.search_on(objective, threat), threat)
        return attack.search(x, y, seed).x if attack.path is None else last_of(attack.path(x, y, seed))

    def check(self, threat: Threat) -> None:
        """Raise `BrittleError` if the attack does not work in this threat."""
        self._spec(threat).search_on(against(nn.Identity()), threat)

    def _spec(self, threat: Threat | None) -> AttackSpec:
        own, length = attack_named(self.attack).settings, None
        if "step" in own and isinstance(threat, Ball):
            length = threat.usual_step(self.steps) if self.step is None else self.step * threat.step_unit
        return AttackSpec.of(
            self.attack,
            steps=self.steps if "steps" in own else None,
            draws=self.steps if self.attack == "random" else None,
            step=length,
            start=self.start if "start" in own else None,
        )


def require_settings(attack: str, names: list[str]) -> None:
    """Raise `BrittleError` if the attack of this name lacks one of these settings."""
    own = attack_named(attack).settings
    if strange := [name for name in names if name not in own]:
        raise BrittleError(f"the inner attack {attack!r} has no {', '.join(strange)}; give one that has: --inner pgd")
