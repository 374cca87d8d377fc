"""MSD: the steepest threat per step."""

from dataclasses import dataclass, replace

from brittle.attacks import Ball, Threat, against, cross_entropy, last_of, msd, start_named
from brittle.ground import BrittleError, Images, Labels, PerExample

from .batch import check_attack, ramp_threat
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Msd:
    """MSD: cross-entropy on the end of a walk that at each step takes the threat whose step raises the loss most.

    x <- argmax_i CE(f(P_i(x + step_i steepest_i(grad))), y)

    Cost: per inner step one gradient, and with several threats a forward pass for each; one gradient for the
    parameters.
    Source: Maini et al. 2020, algorithm 1. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        check_attack(self)
        if self.inner.attack != "pgd":
            raise BrittleError(f"MSD walks by projected gradients; its inner attack is pgd, not {self.inner.attack}")

    @property
    def cost(self) -> float:
        tried = len(self.threats) if len(self.threats) > 1 else 0
        return self.inner.cost * (1 + FORWARD_PASS * tried) + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        ramped = (ramp_threat(threat, self.ramp, at) for threat in self.threats)
        threats = [threat for threat in ramped if isinstance(threat, Ball)]  # PGD's `check` lets no other in
        objective = replace(against(learner.net, precision="fast"), checked=True)
        start, inner = start_named(self.inner.start), self.inner
        attack = msd(objective, threats, steps=inner.steps, share=inner.step, start=start)
        assert attack.path is not None
        return cross_entropy(learner.forward(last_of(attack.path(x, y, at.seed))), y), memory


GOAL = GoalEntry(
    "msd",
    Msd,
    "MSD: the steepest threat per step",
    "Maini et al. 2020",
    laws=("adversarial in one threat", "standard at eps 0"),
)
