"""Ensemble adversarial training."""

import random
from dataclasses import dataclass

from brittle.attacks import Threat, cross_entropy
from brittle.ground import BrittleError, Images, Labels, PerExample

from .batch import attack_batch, check_attack, eval_logits
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Ensemble:
    """Ensemble adversarial training: images attacked through one source per batch, a static net or the net itself.

    clean CE(f(x), y) + (1 - clean) CE(f(x'), y), the source of x' drawn uniformly.

    Attributes:
        clean: weight of the examples as they are.
        predicted: attack away from the class that the source answers, not from the label, so that labels cannot leak.
    Cost: the inner attack's gradients, two gradients for the parameters.
    Source: Tramer et al. 2018. Differs: any inner attack, several norms (Mix), the ramp. Static nets come with the
    learner.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack("fgsm", start="clean")
    ramp: float = 0.25
    clean: float = 0.5
    predicted: bool = True

    def __post_init__(self) -> None:
        check_attack(self)
        if not 0 <= self.clean <= 1:
            raise BrittleError(f"the weight of clean examples lies between 0 and 1, not {self.clean}")

    @property
    def cost(self) -> float:
        return self.inner.cost + 2 * PARAMETER_GRADIENT + FORWARD_PASS

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        source = random.Random(at.seed).choice((learner.net, *learner.static))
        away = eval_logits(source, x).argmax(1) if self.predicted else y
        x_adv = attack_batch(self, source, x, away, at)
        moved = cross_entropy(learner.forward(x_adv), y)
        if self.clean == 0:
            return moved, memory
        return self.clean * cross_entropy(learner.forward(x), y) + (1 - self.clean) * moved, memory


GOAL = GoalEntry(
    "ensemble",
    Ensemble,
    "attacked through static nets (--static) and the net itself; weight of clean images",
    "Tramer et al. 2018",
    weight="clean",
    laws=("mix", "standard at eps 0"),
    static=True,
)
