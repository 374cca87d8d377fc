"""The goals that learn from cross-entropy alone: on images as they are, on attacked ones, on ones attacked through
other nets."""

import random
from dataclasses import dataclass

from brittle.attacks import Threat, cross_entropy
from brittle.ground import BrittleError, Images, Labels, PerExample

from .common import (
    FORWARD_PASS,
    PARAMETER_GRADIENT,
    InnerAttack,
    Learner,
    Memory,
    Moment,
    attack_batch,
    eval_logits,
    require_threats,
)


@dataclass(frozen=True)
class Standard:
    """Cross-entropy on the examples as they are."""

    @property
    def threats(self) -> tuple[Threat, ...]:
        return ()

    @property
    def cost(self) -> float:
        return PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        return cross_entropy(learner.forward(x), y), memory


@dataclass(frozen=True)
class Adversarial:
    """Cross-entropy on the last point of an attack; with several threats, batches alternate between them (Mix).

    E max_{delta in threat} CE(net(x + delta), y), the maximum as far as the inner attack finds it.
    The net is in eval mode while attacked. During the first `ramp` of training eps rises linearly from 0.

    Cost: the inner attack's gradients, one gradient for the parameters.
    Source: Madry et al. 2018; alternating norms: Li et al. 2019 (Norm-Agnostic Robustness), Mix. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        require_threats(self.threats)

    @property
    def cost(self) -> float:
        return self.inner.cost + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        x_adv = attack_batch(self, learner.net, x, y, at)
        return cross_entropy(learner.forward(x_adv), y), memory


@dataclass(frozen=True)
class Ensemble:
    """Ensemble adversarial training: images attacked through one source per batch, a static net or the net itself.

    clean CE(net(x), y) + (1 - clean) CE(net(x'), y), the source of x' drawn uniformly.

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
        require_threats(self.threats)
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
