"""Square Attack: a score-based search, so that a masked gradient cannot hide anything from it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import BrittleError, Flags, Images, keys_of, uniform

from ..attack import Attack
from ..loop import AttackResult, per_example, worse_evaluation
from ..losses import Aim
from ..objectives import Evaluate, Objective, session
from ..registry import Cost, register
from ..threats import NormBall

Draw = Callable[[int], Tensor]  # numbers in [0, 1) per image, keyed by the number of the query: [B, 5 + C]


@register(
    "square",
    what="random squares, kept where they raise the loss; asks for no gradient",
    source="Andriushchenko et al. 2020",
    needs=NormBall,
    cost=lambda queries: Cost(queries + 1, 0),
    loss="margin",
    precision="float32",
    images=True,
)
def square(objective: Objective, threat: NormBall, *, queries: int = 1000, share: float = 0.8, seed: int = 0) -> Attack:
    """Changes inside random squares, kept where they raise the loss; sides shrink from sqrt(share) of the image.

    Linf: it begins with vertical stripes of +-eps, and each square becomes +-eps per channel.
    L2, L1: it begins with a grid of bumps; each query empties one square and spends what this frees, and what of eps is
    still unspent, on a bump in another one.

    Args:
        queries: images shown to the model, the first ones included.
        share: the share of pixels changed by the first squares.
    Raises:
        BrittleError: examples that are not images [B, C, H, W].
    Cost: `queries` + 1 forward passes. Random: signs, places, directions of the bumps.
    Source: Andriushchenko et al. 2020, algorithms 1-3; L1 as Croce and Hein 2021, appendix.
    Differs: places and signs are hashes of the image, so that a batch is not one draw; in L2 and L1 a square's size is
    shared by its channels instead of fixed per channel, and changes are projected onto ball and box, not clipped.
    """

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        if x.dim() != 4:
            raise BrittleError(f"the Square attack needs images [B, C, H, W], not {list(x.shape)}")
        keys, numbers = keys_of(x), torch.Size([5 + x.shape[1]])
        with session(objective) as evaluate, torch.no_grad():
            return _search(
                evaluate, x, y, threat, queries, share, lambda query: uniform(keys, numbers, seed=seed, draw=query)
            )

    return Attack(f"Square-{queries}", search, seed)


def _search(
    evaluate: Evaluate, x: Images, y: Aim, threat: NormBall, queries: int, share: float, draw: Draw
) -> AttackResult:
    height, width = x.shape[2:]
    first, propose = (_stripes, _square) if math.isinf(threat.order) else (_grid, _refilled)
    begun = threat.project(x, x + first(x, threat, share, draw))
    best_x, best = worse_evaluation(x, evaluate(x, y), begun, evaluate(begun, y))
    for k in range(1, queries):
        side = max(1, min(round(math.sqrt(_share_at(k, queries, share) * height * width)), height, width))
        proposal = threat.project(x, x + propose(best_x - x, threat, side, draw(k)))
        best_x, best = worse_evaluation(proposal, evaluate(proposal, y), best_x, best)
    return AttackResult(best_x, best.success, best.margin)


def _stripes(x: Images, threat: NormBall, share: float, draw: Draw) -> Images:
    columns = torch.stack([draw(-1 - column)[:, 5:] for column in range(x.shape[3])], dim=2)  # [B, C, W]
    return (threat.radius * _signs(columns))[:, :, None, :].to(x).expand_as(x)


def _square(delta: Images, threat: NormBall, side: int, numbers: Tensor) -> Images:
    inside = Window.at(delta, side, numbers[:, 0], numbers[:, 1]).inside
    return torch.where(inside, threat.radius * _signs(numbers[:, 5:])[:, :, None, None].to(delta), delta)


def _grid(x: Images, threat: NormBall, share: float, draw: Draw) -> Images:
    side = max(1, min(x.shape[2:]) // 5)
    delta = torch.zeros_like(x)
    tiles = [(top, left) for top in range(0, x.shape[2], side) for left in range(0, x.shape[3], side)]
    for tile, (top, left) in enumerate(tiles):
        numbers = draw(-1 - tile)
        window = Window.of(
            x, side, torch.full_like(numbers[:, 0], top).long(), torch.full_like(numbers[:, 0], left).long()
        )
        delta = delta + window.bump(numbers)
    return threat.radius * _unit(delta, threat)


def _refilled(delta: Images, threat: NormBall, side: int, numbers: Tensor) -> Images:
    power = threat.order

    def amount(change: Images) -> Tensor:
        return change.abs().pow(power).flatten(1).sum(1)

    filled = Window.at(delta, side, numbers[:, 0], numbers[:, 1])
    emptied = Window.at(delta, side, numbers[:, 2], numbers[:, 3])
    kept = torch.where(filled.inside | emptied.inside, 0, delta)
    free = (threat.radius**power - amount(kept)).clamp(min=0) ** (1 / power)
    content = _unit(filled.bump(numbers), threat) + _unit(torch.where(filled.inside, delta, 0), threat)
    return kept + per_example(free, delta) * _unit(content, threat)


class Window(NamedTuple):
    """A square per image: each pixel's row and column in it [B, H, 1] and [B, 1, W], its side, and where it is [B, 1,
    H, W]."""

    row: Tensor
    column: Tensor
    side: int
    inside: Flags

    @classmethod
    def of(cls, x: Images, side: int, top: Tensor, left: Tensor) -> "Window":
        row = (torch.arange(x.shape[2], device=x.device) - top[:, None])[:, :, None]
        column = (torch.arange(x.shape[3], device=x.device) - left[:, None])[:, None, :]
        inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
        return cls(row, column, side, inside[:, None])

    @classmethod
    def at(cls, x: Images, side: int, down: Tensor, right: Tensor) -> "Window":
        """The square whose corner lies at these shares of the room there is."""
        return cls.of(x, side, (down * (x.shape[2] - side + 1)).long(), (right * (x.shape[3] - side + 1)).long())

    def bump(self, numbers: Tensor) -> Images:
        """Two tents of opposite sign side by side (or one above the other), with a random sign per channel [B, C, H,
        W]."""
        lying = (numbers[:, 4] < 0.5)[:, None, None]
        across, along = torch.where(lying, self.row, self.column), torch.where(lying, self.column, self.row)
        half = max(1, self.side // 2)
        second = across >= half
        across = torch.where(second, across - half, across)
        depth = half if self.side == 1 else torch.where(second, self.side - half, half)
        edge = torch.minimum(torch.minimum(across, depth - 1 - across), torch.minimum(along, self.side - 1 - along))
        height = (edge.clamp(min=0) + 1) ** 2 * torch.where(second, -1, 1)
        signs = _signs(numbers[:, 5:])[:, :, None, None]
        return torch.where(self.inside, height[:, None] * signs, 0).to(numbers)


def _unit(delta: Images, threat: NormBall) -> Images:
    size = threat.size(torch.zeros_like(delta), delta)
    return delta / per_example(torch.where(size > 0, size, 1), delta)


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0.5, -1.0, 1.0)


def _share_at(query: int, queries: int, share: float) -> float:
    """The schedule of the paper: halved at fixed points of 10,000 queries, stretched to the queries at hand."""
    points = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    return share * 0.5 ** sum(query / queries * 10_000 > point for point in points)
