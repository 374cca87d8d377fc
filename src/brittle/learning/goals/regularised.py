"""Goals with a term beside cross-entropy: TRADES, and adversarial training with domain adaptation (ATDA)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, Logits, PerExample

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
class Trades:
    """CE(f(x), y) + beta KL(f(x) || f(x')), where x' makes the same divergence large.

    Attributes:
        beta: weight of the divergence (1 / lambda in the paper; its MNIST figure is made with 1).
    Cost: the inner attack's gradients, one forward pass, two gradients for the parameters.
    Source: Zhang et al. 2019, algorithm 1. The walk starts from Gaussian noise of 0.001, since the divergence is flat
    at x.
    Differs: L2 steps are those of PGD, not of an optimiser on delta; several norms (Mix); the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack(start="noise")
    ramp: float = 0.25
    beta: float = 1.0

    def __post_init__(self) -> None:
        require_threats(self.threats)

    @property
    def cost(self) -> float:
        return self.inner.cost + 2 * PARAMETER_GRADIENT + FORWARD_PASS

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        if self.beta == 0:
            return cross_entropy(learner.forward(x), y), memory
        there = eval_logits(learner.net, x)
        x_adv = attack_batch(self, learner.net, x, y, at, lambda logits, y: divergence(there, logits))
        clean = learner.forward(x)
        return cross_entropy(clean, y) + self.beta * divergence(clean, learner.forward(x_adv)), memory


def divergence(clean: Logits, moved: Logits) -> PerExample:
    """KL(softmax(clean) || softmax(moved)) of each example [B]; exactly 0 where both are the same."""
    return F.kl_div(moved.log_softmax(1), clean.log_softmax(1), reduction="none", log_target=True).sum(1)


@dataclass(frozen=True)
class Atda:
    """Adversarial training with domain adaptation: clean and attacked logits shall be distributed alike.

    CE(z, y) + CE(z', y) + weight (CORAL + MMD + margin), on logits z of clean and z' of attacked images:
    MMD = mean |mean_b z - mean_b z'|; CORAL = mean |cov z - cov z'|;
    margin = mean over classes j != y of softplus(||z - c_y||_1 - ||z - c_j||_1), for running class centres c.

    Attributes:
        weight: lambda of the paper.
        alpha: how far the centres follow: c_y -= alpha sum (c_y - z) / (1 + count_y), classes that are absent stay.
        predicted: attack away from the class that the net answers, not from the label.
    Cost: the inner attack's gradients, two gradients for the parameters.
    Source: Song et al. 2019, section 3 and the authors' code. Differs: covariances are divided by the batch size, as in
    the paper, not the code; several norms (Mix); the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack("fgsm", start="clean")
    ramp: float = 0.25
    weight: float = 1 / 3
    alpha: float = 0.1
    predicted: bool = True

    def __post_init__(self) -> None:
        require_threats(self.threats)

    @property
    def cost(self) -> float:
        return self.inner.cost + 2 * PARAMETER_GRADIENT + FORWARD_PASS

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        away = eval_logits(learner.net, x).argmax(1) if self.predicted else y
        x_adv = attack_batch(self, learner.net, x, away, at)
        clean, moved = learner.forward(x).float(), learner.forward(x_adv).float()
        both, labels = torch.cat([clean, moved]), torch.cat([y, y])
        centres = memory["centres"] if memory else clean.new_zeros(clean.shape[1], clean.shape[1])
        adapted = coral(clean, moved) + mmd(clean, moved) + class_margin(both, labels, centres)
        plain = cross_entropy(clean, y) + cross_entropy(moved, y)
        return plain + self.weight * adapted, {"centres": update_centres(centres, both.detach(), labels, self.alpha)}


def mmd(clean: Logits, moved: Logits) -> Tensor:
    """Mean distance between the mean logits of two batches."""
    return (clean.mean(0) - moved.mean(0)).abs().mean()


def coral(clean: Logits, moved: Logits) -> Tensor:
    """Mean distance between the entries of two batches' covariances."""
    a, b = clean - clean.mean(0), moved - moved.mean(0)
    return (a.T @ a / len(a) - b.T @ b / len(b)).abs().mean()


def class_margin(logits: Logits, y: Labels, centres: Tensor) -> Tensor:
    """How much closer logits are to their own class's centre than to the others'."""
    apart = (logits[:, None, :] - centres).abs().sum(2)  # [B, C]
    own = apart.gather(1, y[:, None])
    others = torch.ones_like(apart).scatter(1, y[:, None], 0)
    return (F.softplus(own - apart) * others).sum() / others.sum()


def update_centres(centres: Tensor, logits: Logits, y: Labels, alpha: float) -> Tensor:
    """The class centres after a batch; those of absent classes stay."""
    counts = torch.bincount(y, minlength=len(centres)).to(centres)[:, None]
    sums = torch.zeros_like(centres).index_add(0, y, logits)
    return centres - alpha * (counts * centres - sums) / (1 + counts)
