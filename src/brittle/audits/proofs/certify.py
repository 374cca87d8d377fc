"""Which images are proved robust, by the cheapest method that does it; and images that an exact search breaks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from brittle.attacks import Certifiable, NormBall
from brittle.ground import Flags, Images, Labels

from .bounds import METHODS, margins
from .exact import decide
from .graph import Layer, evaluated

EXACT_TO = 4000  # units of a layer that CROWN bounds one by one; beyond that, intervals must do
WIDEST = 500_000  # units of all layers: larger nets are bounded by intervals and one pass of CROWN
AT_ONCE = 10_000_000  # numbers held at once, of all units and wrong classes of some images
SLACK = 1e-5  # of the largest logit: what rounding to float32 may change
SECONDS = 10.0  # of exact search, for an image


class Proofs(NamedTuple):
    """What was proved of images [B].

    Attributes:
        by: for each image the method that proved it robust; none: undecided, or broken.
        broken: images for which exact search found an adversarial image, and those images `x` [b, *S].
    """

    by: list[str | None]
    broken: Flags
    x: Images


def certify(layers: Sequence[Layer], threat: Certifiable, x: Images, y: Labels) -> Proofs:
    """Prove images [B, *S] robust in a threat, in float64: intervals first, then CROWN, then CROWN with optimised
    slopes, then, in Linf and where few ReLUs may switch, an exact search.

    Args:
        layers: the net (`graph_of`).
    Cost: intervals, a few passes; CROWN, one pass for each unit that may switch; alpha-CROWN, 20 gradients of passes
        for each wrong class; the exact search, up to 10 seconds.
    """
    by: list[str | None] = [None] * len(x)
    with torch.no_grad():
        logits = evaluated(list(layers), x)
    slack, units = SLACK * logits.abs().amax(1), sum(layer.shape.numel() for layer in layers)
    least = torch.full_like(logits, -torch.inf)
    for method in METHODS if units <= WIDEST else METHODS[:1]:
        undecided = [row for row, proof in enumerate(by) if proof is None]
        left = torch.tensor(undecided, dtype=torch.int64, device=x.device)
        for rows in torch.split(left, max(1, AT_ONCE // (units * logits.shape[1]))):
            if len(rows):
                least[rows] = least[rows].maximum(margins(layers, threat, x[rows], y[rows], method, EXACT_TO))
            for row in rows[least[rows].amin(1) > slack[rows]].tolist():
                by[row] = method
    broken, found = torch.zeros(len(x), dtype=torch.bool, device=x.device), []
    if isinstance(threat, NormBall) and threat.order == torch.inf:
        for row in (row for row, proof in enumerate(by) if proof is None):
            doubtful = [k for k in least[row].argsort().tolist() if least[row, k] <= slack[row]]
            answer = decide(layers, threat, x[row : row + 1], int(y[row]), doubtful, SECONDS, float(slack[row]))
            if answer is not None and answer.robust:
                by[row] = "exact search"
            elif answer is not None and answer.x is not None:
                broken[row] = True
                found.append(answer.x)
    return Proofs(by, broken, torch.cat(found) if found else x[:0])
