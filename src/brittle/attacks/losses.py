"""Losses per example, `(logits [B, C], labels) -> [B]`, larger = worse for the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from brittle.ground import BrittleError, Labels, Logits, PerExample

TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Targets:
    """The true class of each example and the class that an attack aims at, both int64 [B].

    Losses and attacks with "targeted" in their name take it where others take labels; `targets[rows]` are some of them.
    """

    true: Labels
    target: Labels

    def __getitem__(self, rows: Any) -> "Targets":
        return Targets(self.true[rows], self.target[rows])

    def __len__(self) -> int:
        return len(self.true)


Aim = Tensor | Targets  # labels [B], or labels with targets
Loss = Callable[[Tensor, Any], Tensor]


def true_class(y: Aim) -> Labels:
    """The labels [B] themselves, or the true classes of `Targets`."""
    return y.true if isinstance(y, Targets) else y


def cross_entropy(logits: Logits, y: Labels) -> PerExample:
    """-log softmax(logits)_y."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Logits, y: Labels) -> PerExample:
    """max_{j != y} z_j - z_y: positive exactly where another class wins. Source: Carlini and Wagner 2017, f6."""
    return _largest_other(logits, y) - _of_class(logits, y)


def probability_margin(logits: Logits, y: Labels) -> PerExample:
    """max_{j != y} p_j - p_y for p = softmax(logits). Source: Xie et al. 2024 (PMA)."""
    return margin(logits.softmax(1), y)


def dlr(logits: Logits, y: Labels) -> PerExample:
    """Difference of logits ratio: -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)), free of the logits' scale.

    With fewer than three classes the denominator does not exist, and the margin is used.
    Source: Croce and Hein 2020 (AutoAttack), eq. 6.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2]).clamp(min=TINY)


def targeted_margin(logits: Logits, y: Targets) -> PerExample:
    """z_t - z_y for the true class y and the target t."""
    return _of_class(logits, y.target) - _of_class(logits, y.true)


def targeted_dlr(logits: Logits, y: Targets) -> PerExample:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2) for the true class y and the target t.

    With fewer than four classes it is z_t - z_y. Source: Croce and Hein 2020, eq. 7.
    """
    if logits.shape[1] < 4:
        return targeted_margin(logits, y)
    top = logits.topk(4, dim=1).values
    return targeted_margin(logits, y) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2).clamp(min=TINY)


def loss_named(name: str) -> Loss:
    """The loss of labels called `name`.

    Raises:
        BrittleError: an unknown name.
    """
    if name not in LOSSES:
        raise BrittleError(f"no loss is called {name!r}; known: {', '.join(LOSSES)}")
    return LOSSES[name]


def _of_class(logits: Tensor, y: Tensor) -> Tensor:
    return logits.gather(1, y[:, None]).squeeze(1)


def _largest_other(logits: Tensor, y: Tensor) -> Tensor:
    return logits.scatter(1, y[:, None], -torch.inf).amax(1)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "dlr": dlr,
    "probability_margin": probability_margin,
}
