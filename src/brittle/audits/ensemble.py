"""Which attacks an audit runs in a threat, the cheap ones first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from brittle.attacks import (
    Attack,
    Fmn,
    Threat,
    against,
    apgd,
    apgd_targeted,
    cross_entropy,
    default_step,
    dlr,
    fmn,
    margin,
    pgd,
    second_order,
    square,
    targeted_dlr,
)
from brittle.ground import BrittleError


@dataclass(frozen=True)
class Effort:
    """How hard an audit tries.

    Attributes:
        pgd, apgd, minimum: steps of these attacks; square: queries.
        targets: classes that APGD-T aims at.
        second_order: its steps and noise draws.
        probes: examples on which attacks are compared with one another.
    """

    pgd: int
    apgd: int
    targets: int
    minimum: int
    second_order: tuple[int, int]
    square: int
    probes: int

    @property
    def gradients(self) -> float:
        """About what it costs per example and threat, if every second example survives each attack."""
        steps, draws = self.second_order
        attacks = self.minimum + self.pgd + (2 + self.targets) * self.apgd + steps * draws + 0.4 * self.square
        return 0.5 * attacks

    @property
    def probe_gradients(self) -> float:
        """About what the comparison of attacks costs per example and threat."""
        steps, draws = self.second_order
        return 5.25 * self.pgd + 2 * steps * draws + 0.4 * self.square


EFFORTS = {
    "smoke": Effort(
        pgd=5, apgd=10, targets=1, minimum=10, second_order=(5, 2), square=20, probes=10
    ),  # shows that all runs
    "quick": Effort(pgd=20, apgd=30, targets=1, minimum=40, second_order=(15, 5), square=150, probes=50),
    "standard": Effort(pgd=40, apgd=100, targets=3, minimum=100, second_order=(40, 10), square=1000, probes=100),
    "thorough": Effort(pgd=100, apgd=100, targets=9, minimum=300, second_order=(60, 20), square=5000, probes=200),
}


def effort_named(name: str) -> Effort:
    """The effort called `smoke`, `quick`, `standard` or `thorough`."""
    if name not in EFFORTS:
        raise BrittleError(f"no effort is called {name!r}; known: {', '.join(EFFORTS)}")
    return EFFORTS[name]


def ensemble(
    model: Callable[[Tensor], Any], threat: Threat, effort: Effort, *, images: bool, seed: int
) -> dict[str, Attack | Fmn]:
    """The attacks of one threat by their names, in the order in which they run.

    The minimum-norm attack stands first: it also draws the accuracy-versus-eps curve. All run at the speed of the
    device.
    Args:
        images: whether examples are [B, C, H, W], which the Square attack needs.
    """
    ce, ratio, gap = (against(model, loss, precision="fast") for loss in (cross_entropy, dlr, margin))
    aimed = against(model, targeted_dlr, precision="fast")
    attacks: dict[str, Attack | Fmn] = {
        f"FMN-{effort.minimum}": fmn(gap, threat.norm, steps=effort.minimum),
        f"PGD-{effort.pgd}": pgd(ce, threat, steps=effort.pgd, seed=seed),
        f"APGD-CE-{effort.apgd}": apgd(ce, threat, steps=effort.apgd, seed=seed),
        f"APGD-DLR-{effort.apgd}": apgd(ratio, threat, steps=effort.apgd, seed=seed),
        f"APGD-T-{effort.apgd}x{effort.targets}": apgd_targeted(
            aimed, threat, steps=effort.apgd, targets=effort.targets, seed=seed
        ),
        "S-O-{}x{}".format(*effort.second_order): second_order_in_audit(model, threat, effort, seed),
    }
    if images:
        attacks[f"Square-{effort.square}"] = square(gap, threat, queries=effort.square, seed=seed)
    return attacks


def second_order_in_audit(model: Callable[[Tensor], Any], threat: Threat, effort: Effort, seed: int) -> Attack:
    """The second-order attack as an auditor uses it: random start, steps of 2.5 eps / steps, clamped at each step."""
    steps, draws = effort.second_order
    step = default_step(threat, steps)
    objective = against(model, precision="fast")
    return second_order(objective, threat, steps=steps, step=step, draws=draws, start="random", clamp="each", seed=seed)
