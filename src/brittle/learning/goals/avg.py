"""AVG: the mean over threats."""

from dataclasses import dataclass

import torch

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, PerExample

from .batch import attack_batch_in, check_attack
from .goal import PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Average:
    """AVG: the mean over threats of the cross-entropy on images attacked in each.

    1/n sum_i CE(f(x_i), y)

    Cost: the inner attack's gradients and one gradient for the parameters, per threat.
    Source: Tramer and Boneh 2019, section 2.2. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        check_attack(self)

    @property
    def cost(self) -> float:
        return len(self.threats) * (self.inner.cost + PARAMETER_GRADIENT)

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        moved = [attack_batch_in(self, threat, learner.net, x, y, at) for threat in self.threats]
        losses = cross_entropy(learner.forward(torch.cat(moved)), y.repeat(len(moved)))
        return losses.view(len(moved), -1).mean(0), memory


GOAL = GoalEntry(
    "avg",
    Average,
    "AVG: mean over threats",
    "Tramer and Boneh 2019",
    laws=("adversarial in one threat", "standard at eps 0"),
)
