"""Adversarial training."""

from dataclasses import dataclass

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, PerExample

from .batch import attack_batch, check_attack
from .goal import PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Adversarial:
    """Cross-entropy on the last point of an attack; with several threats, batches alternate between them (Mix).

    E max_{delta in threat} CE(f(x + delta), y), the maximum as far as the inner attack finds it.
    The net is in eval mode while attacked. During the first `ramp` of training eps rises linearly from 0.

    Cost: the inner attack's gradients, one gradient for the parameters.
    Source: Madry et al. 2018; alternating norms: Li et al. 2019 (Norm-Agnostic Robustness), Mix. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        check_attack(self)

    @property
    def cost(self) -> float:
        return self.inner.cost + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        return cross_entropy(learner.forward(attack_batch(self, learner.net, x, y, at)), y), memory


GOAL = GoalEntry(
    "adversarial",
    Adversarial,
    "cross-entropy on attacked images; several norms alternate (Mix)",
    "Madry et al. 2018",
    laws=("mix", "adversarial in one threat", "standard at eps 0"),
)
