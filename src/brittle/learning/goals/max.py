"""MAX: the worst threat per example."""

from dataclasses import dataclass

import torch

from brittle.attacks import Threat, cross_entropy, select
from brittle.ground import Images, Labels, PerExample

from .batch import attack_batch_in, check_attack, eval_logits
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Maximum:
    """MAX: cross-entropy on the worst of the images attacked in each threat, per example.

    max_i CE(f(x_i), y)

    Cost: the inner attack's gradients and a forward pass per threat, one gradient for the parameters.
    Source: Tramer and Boneh 2019, section 2.2. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        check_attack(self)

    @property
    def cost(self) -> float:
        return len(self.threats) * (self.inner.cost + FORWARD_PASS) + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        worst, largest = x, torch.full((len(x),), -torch.inf, device=x.device)
        for threat in self.threats:
            moved = attack_batch_in(self, threat, learner.net, x, y, at)
            loss = cross_entropy(eval_logits(learner.net, moved), y)
            worst, largest = select(loss > largest, moved, worst), torch.maximum(loss, largest)
        return cross_entropy(learner.forward(worst), y), memory


GOAL = GoalEntry(
    "max",
    Maximum,
    "MAX: the worst threat per example",
    "Tramer and Boneh 2019",
    laws=("adversarial in one threat", "standard at eps 0"),
)
