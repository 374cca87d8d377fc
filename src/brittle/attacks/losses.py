"""Losses per example, `(logits [B, C], y [B]) -> [B]`, larger = worse for the model."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from brittle.ground import Labels, Logits, PerExample

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Logits, y: Labels) -> PerExample:
    """-log softmax(logits)_y."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Logits, y: Labels) -> PerExample:
    """max_{j != y} z_j - z_y: positive exactly where another class wins. Source: Carlini and Wagner 2017, f6."""
    return _best_other(logits, y) - _own(logits, y)


def dlr(logits: Logits, y: Labels) -> PerExample:
    """Difference of logits ratio: -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)), free of the logits' scale.

    With fewer than three classes the denominator does not exist, and the margin is used.
    Source: Croce and Hein 2020 (AutoAttack), eq. 6.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = logits.topk(3, dim=1).values
    return margin(logits, y) / (top[:, 0] - top[:, 2]).clamp(min=1e-12)


def targeted_dlr(logits: Logits, y: Labels) -> PerExample:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2) for labels [B, 2] = (true class y, target t).

    With fewer than four classes it is z_t - z_y. Source: Croce and Hein 2020, eq. 7.
    """
    gap = _own(logits, y[:, 1]) - _own(logits, y[:, 0])
    if logits.shape[1] < 4:
        return gap
    top = logits.topk(4, dim=1).values
    return gap / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2).clamp(min=1e-12)


def _own(logits: Tensor, y: Tensor) -> Tensor:
    return logits.gather(1, y[:, None]).squeeze(1)


def _best_other(logits: Tensor, y: Tensor) -> Tensor:
    return logits.scatter(1, y[:, None], -torch.inf).amax(1)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}
