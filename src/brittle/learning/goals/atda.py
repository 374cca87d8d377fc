"""Adversarial training with domain adaptation."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, Logits, PerExample, check_number

from .batch import attack_batch, check_attack, eval_logits
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Atda:
    """Adversarial training with domain adaptation: clean and attacked logits shall be distributed alike.

    CE(z, y) + CE(z', y) + weight (CORAL + MMD + margin), on logits z of clean and z' of attacked images:
    MMD = mean |mean_b z - mean_b z'|; CORAL = mean |cov z - cov z'|;
    margin = mean over classes j != y of softplus(||z - c_y||_1 - ||z - c_j||_1), for running class centres c.

    Attributes:
        weight: lambda of the paper.
        centre_rate: how far the centres follow (alpha of the paper): c_y -= centre_rate sum (c_y - z) / (1 + count_y);
            classes that are absent stay.
        predicted: attack away from the class that the net answers, not from the label.
    Cost: the inner attack's gradients, two gradients for the parameters.
    Source: Song et al. 2019, section 3 and the authors' code. Differs: covariances are divided by the batch size, as in
    the paper, not the code; several norms (Mix); the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack("fgsm", start="clean")
    ramp: float = 0.25
    weight: float = 1 / 3
    centre_rate: float = 0.1
    predicted: bool = True

    def __post_init__(self) -> None:
        check_attack(self)
        check_number("the weight of ATDA", self.weight)

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
        after = update_centres(centres, both.detach(), labels, self.centre_rate)
        return plain + self.weight * adapted, {"centres": after}


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


def update_centres(centres: Tensor, logits: Logits, y: Labels, rate: float) -> Tensor:
    """The class centres after a batch; those of absent classes stay."""
    sums = torch.zeros_like(centres).index_add(0, y, logits)
    counts = torch.zeros_like(centres[:, :1]).index_add(0, y, torch.ones_like(logits[:, :1]))
    return centres - rate * (counts * centres - sums) / (1 + counts)


GOAL = GoalEntry(
    "atda",
    Atda,
    "ATDA: clean and attacked logits distributed alike; weight of CORAL + MMD + margin",
    "Song et al. 2019",
    weight="weight",
    laws=("mix",),
)
