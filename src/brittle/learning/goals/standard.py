"""Standard training."""

from dataclasses import dataclass

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, PerExample

from .goal import PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment


@dataclass(frozen=True)
class Standard:
    """Cross-entropy on the examples as they are.

    CE(f(x), y)

    Cost: one gradient for the parameters.
    """

    @property
    def threats(self) -> tuple[Threat, ...]:
        return ()

    @property
    def cost(self) -> float:
        return PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        return cross_entropy(learner.forward(x), y), memory


GOAL = GoalEntry("standard", Standard, "cross-entropy on clean images")
