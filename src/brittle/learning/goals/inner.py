"""The attack inside a training step: any attack of the registry that walks."""

import math
from dataclasses import dataclass, replace

from torch import nn

from brittle.attacks import (
    AttackSpec,
    Ball,
    Cost,
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

ANY = ""  # the kind of threat that has no inner attack of its own


@dataclass(frozen=True)
class InnerAttack:
    """The attack inside a training step; the last point of its walk is what is learned from.

    Attributes:
        attack: the name of an attack that walks, such as `pgd`, `fgsm`, `mim`, `apgd`, `second_order`; one that does
            not walk, such as `random` in a threat without gradients, gives its result instead. After it, others for
            kinds of threat: `pgd,L2=second_order_mim,L1=second_order_mim`.
        steps: number of steps, for attacks that have it (fgsm takes one, of length eps).
        step: length of a step as a share of eps, for attacks that have it; default 2.5 / steps.
        start: `random`, `clean`, or `noise` (Gaussian of 0.001 around the image, as TRADES does).
    Raises:
        BrittleError: no such attack or start, no steps, a step of no length or where no attack has one, a kind of
            threat named twice.
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
        self._costs()

    @property
    def cost(self) -> float:
        """Gradients per example, in the kind of threat where they are most; where there are none, forward passes at
        their cost."""
        return max(cost.backwards or FORWARD_PASS * cost.forwards for cost in self._costs())

    def last_point(
        self, net: nn.Module, threat: Threat, x: Images, y: Labels, *, seed: int, loss: Loss = cross_entropy
    ) -> Images:
        """Adversarial images [B, *S]: where the walk on `net` inside `threat` ends, at the speed of the device.

        `net` is in eval mode meanwhile.
        """
        spec = self._spec(self._attack_in(threat), threat)
        objective = replace(against(net, loss, precision=spec.entry.precision), checked=True)
        attack = within(spec.search_on(objective, threat), threat)
        return attack.search(x, y, seed).x if attack.path is None else last_of(attack.path(x, y, seed))

    def check(self, threat: Threat) -> None:
        """Raise `BrittleError` if the attack does not work in this threat."""
        self._spec(self._attack_in(threat), threat).search_on(against(nn.Identity()), threat)

    def _attack_in(self, threat: Threat) -> str:
        attacks = attacks_by_kind(self.attack)
        return next((attack for kind, attack in attacks.items() if kind.lower() == kind_of(threat)), attacks[ANY])

    def _costs(self) -> list[Cost]:
        return [self._spec(attack, None).cost for attack in attacks_by_kind(self.attack).values()]

    def _spec(self, attack: str, threat: Threat | None) -> AttackSpec:
        own, length = attack_named(attack).settings, None
        if "step" in own and isinstance(threat, Ball):
            length = threat.usual_step(self.steps) if self.step is None else self.step * threat.step_unit
        return AttackSpec.of(
            attack,
            steps=self.steps if "steps" in own else None,
            draws=self.steps if attack == "random" else None,
            step=length,
            start=self.start if "start" in own else None,
        )


def kind_of(threat: Threat) -> str:
    """`linf` of `Linf:8/255`."""
    return str(threat).partition(":")[0].lower()


def attacks_by_kind(text: str) -> dict[str, str]:
    """The names of attacks in `pgd,L2=mim` by the kind of threat that each is for (small or capital letters); the first
    is for all others.

    Raises:
        BrittleError: what comes first names a kind, what follows names none, or a kind comes twice.
    """
    first, *others = (part.strip() for part in text.split(","))
    named = [[part.strip() for part in other.split("=", 1)] for other in others]
    attacks = {ANY: first} | {kind: "".join(name) for kind, *name in named}
    if "=" in first or not all(attacks.values()) or len({kind.lower() for kind in attacks}) != 1 + len(others):
        raise BrittleError(f"inner attacks are written as pgd or pgd,L2=mim,L1=second_order_mim, not {text!r}")
    return attacks


def require_settings(attack: str, names: list[str]) -> None:
    """Raise `BrittleError` if none of the attacks in this text has one of these settings."""
    own = {setting for name in attacks_by_kind(attack).values() for setting in attack_named(name).settings}
    if strange := [setting for setting in names if setting not in own]:
        raise BrittleError(f"the inner attack {attack!r} has no {', '.join(strange)}; give one that has: --inner pgd")
