"""Goals that withstand several threats at once: AVG, MAX, MSD and E-AT. With one threat each is `Adversarial`."""

from dataclasses import dataclass

import torch

from brittle.attacks import Threat, against, cross_entropy, last_of, msd, select
from brittle.ground import BrittleError, Images, Labels, PerExample

from .common import (
    FORWARD_PASS,
    PARAMETER_GRADIENT,
    InnerAttack,
    Learner,
    Memory,
    Moment,
    attack_batch_in,
    eval_logits,
    ramp_threat,
    require_threats,
)


@dataclass(frozen=True)
class Average:
    """AVG: the mean over threats of the cross-entropy on images attacked in each.

    Cost: the inner attack's gradients and one gradient for the parameters, per threat.
    Source: Tramer and Boneh 2019, section 2.2. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        require_threats(self.threats)

    @property
    def cost(self) -> float:
        return len(self.threats) * (self.inner.cost + PARAMETER_GRADIENT)

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        moved = [attack_batch_in(self, threat, learner.net, x, y, at) for threat in self.threats]
        losses = cross_entropy(learner.forward(torch.cat(moved)), y.repeat(len(moved)))
        return losses.view(len(moved), -1).mean(0), memory


@dataclass(frozen=True)
class Maximum:
    """MAX: cross-entropy on the worst of the images attacked in each threat, per example.

    Cost: the inner attack's gradients and a forward pass per threat, one gradient for the parameters.
    Source: Tramer and Boneh 2019, section 2.2. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        require_threats(self.threats)

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


@dataclass(frozen=True)
class Msd:
    """MSD: cross-entropy on the end of a walk that at each step takes the threat whose step raises the loss most.

    Cost: per inner step one gradient, and with several threats a forward pass for each; one gradient for the
    parameters.
    Source: Maini et al. 2020, algorithm 1. Differs: the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack()
    ramp: float = 0.25

    def __post_init__(self) -> None:
        require_threats(self.threats)
        if self.inner.attack != "pgd":
            raise BrittleError(f"MSD walks by projected gradients; its inner attack is pgd, not {self.inner.attack}")

    @property
    def cost(self) -> float:
        return self.inner.cost * (1 + FORWARD_PASS * len(self.threats)) + PARAMETER_GRADIENT

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        threats = tuple(ramp_threat(threat, self.ramp, at) for threat in self.threats)
        objective = against(learner.net, precision="fast")
        attack = msd(objective, threats, steps=self.inner.steps, share=self.inner.step, start=self.inner.start)
        assert attack.path is not None
        return cross_entropy(learner.forward(last_of(attack.path(x, y, at.seed))), y), memory


@dataclass(frozen=True)
class Eat:
    """E-AT: each batch is attacked in one threat, drawn in proportion to how often attacks there succeed at present.

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
        require_threats(self.threats)

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
