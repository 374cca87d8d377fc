"""E-AT: one threat per batch, the weaker the likelier."""

from dataclasses import dataclass

import torch

from brittle.attacks import Threat, cross_entropy
from brittle.ground import BrittleError, Images, Labels, PerExample

from .batch import attack_batch_in, check_attack
from .goal import PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Eat:
    """E-AT: each batch is attacked in one threat, drawn in proportion to how often attacks there succeed at present.

    P(i) = (1 - robust_i) / sum_j (1 - robust_j);  robust_i <- decay robust_i + (1 - decay) accuracy of the batch

    Attributes:
        decay: of the running robust accuracy of each threat, per batch in which it was drawn.
    Cost: as `Adversarial`, and one value read by the host per step.
    Source: Croce and Hein 2022, section 4 (there between Linf and L1). Differs: any threats, a running mean instead of
    the last epoch's, PGD inside, the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25
    decay: float = 0.95

    def __post_init__(self) -> None:
        check_attack(self)
        if not 0 <= self.decay <= 1:
            raise BrittleError(f"the decay of E-AT lies between 0 and 1, not {self.decay}")

    @property
    def cost(self) -> float:
        return self.inner.cost + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        robust = memory["robust"] if memory else x.new_zeros(len(self.threats))
        generator = torch.Generator().manual_seed(at.seed)
        drawn = int(torch.multinomial((1 - robust).cpu().clamp(min=1e-3), 1, generator=generator))
        logits = learner.forward(attack_batch_in(self, self.threats[drawn], learner.net, x, y, at))
        right = (logits.detach().argmax(1) == y).float().mean()
        held = robust.clone()
        held[drawn] = self.decay * robust[drawn] + (1 - self.decay) * right.to(robust)
        return cross_entropy(logits, y), {"robust": held}


GOAL = GoalEntry(
    "eat",
    Eat,
    "E-AT: one threat per batch, the weaker the likelier",
    "Croce and Hein 2022",
    laws=("adversarial in one threat", "standard at eps 0"),
)
