"""Square Attack: a score-based search, so that a masked gradient cannot hide anything from it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import BrittleError, Flags, Images, check_share

from ..attack import Attack
from ..loop import per_example
from ..objectives import Objective
from ..random_search import Draw, random_search
from ..registry import Cost, register
from ..threats import NormBall

SHARPNESS = (2, 4, 8)


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
        BrittleError: examples that are not images [B, C, H, W], or a share that is none.
    Cost: `queries` + 1 forward passes. Random: signs, places, directions of the bumps.
    Source: Andriushchenko et al. 2020, algorithms 1-3; L1 as Croce and Hein 2021, appendix.
    Differs: places and signs are hashes of the image, so that a batch is not one draw; in L2 and L1 the channels share
    a square's size, peaks are of several sharpnesses (theirs: 2, in L1 4), and changes are projected, not clipped.
    """

    check_share("share", share)

    def start(x: Images, draw: Draw) -> tuple[Images, Tensor]:
        if x.dim() != 4:
            raise BrittleError(f"the Square attack needs images [B, C, H, W], not {list(x.shape)}")
        return x + first_change(x, threat, lambda number: draw(number, numbers_of(x))), x.new_zeros(len(x), 0)

    def propose(x: Images, best: Images, noted: Tensor, query: int, draw: Draw) -> tuple[Images, Tensor]:
        change = another_change(best - x, threat, _share_at(query, queries, share), draw(query, numbers_of(x)))
        return x + change, noted

    return random_search(f"Square-{queries}", objective, threat, start, propose, queries=queries, seed=seed)


def first_change(x: Images, threat: NormBall, draw: Callable[[int], Tensor]) -> Images:
    """Where the search begins, as a change of x: stripes in Linf, else bumps.

    Args:
        draw: number of a draw -> that many numbers in (0, 1) per image as `numbers_of` says.
    """
    return (_stripes if math.isinf(threat.order) else _grid)(x, threat, draw)


def another_change(delta: Images, threat: NormBall, share: float, numbers: Tensor) -> Images:
    """A change with one square of it drawn anew, which covers `share` of the image."""
    return (_square if math.isinf(threat.order) else _refilled)(delta, threat, share, numbers)


def numbers_of(x: Images) -> torch.Size:
    """Of the numbers drawn for a square: five for where, one for how sharp, and a sign for each channel."""
    return torch.Size([6 + x.shape[1]])


def _stripes(x: Images, threat: NormBall, draw: Callable[[int], Tensor]) -> Images:
    columns = torch.stack([draw(-1 - column)[:, 6:] for column in range(x.shape[3])], dim=2)  # [B, C, W]
    return (threat.radius * _signs(columns))[:, :, None, :].to(x).expand_as(x)


def _square(delta: Images, threat: NormBall, share: float, numbers: Tensor) -> Images:
    inside = Window.at(delta, _side(delta, share, 1), numbers[:, 0], numbers[:, 1]).inside
    return torch.where(inside, threat.radius * _signs(numbers[:, 6:])[:, :, None, None].to(delta), delta)


def _grid(x: Images, threat: NormBall, draw: Callable[[int], Tensor]) -> Images:
    """Bumps on five by five tiles, or as many as fit, in the middle of the image."""
    height, width = x.shape[2:]
    side = max(1, min(height, width) // 5)
    delta = torch.zeros_like(x)
    rows, columns = (range(size % side // 2, size - side + 1, side) for size in (height, width))
    for tile, (top, left) in enumerate((top, left) for top in rows for left in columns):
        numbers = draw(-1 - tile)
        corner = torch.zeros_like(numbers[:, 0]).long()
        delta = delta + Window.of(x, side, corner + top, corner + left).bump(numbers, threat.order)
    return threat.radius * _unit(delta, threat)


def _refilled(delta: Images, threat: NormBall, share: float, numbers: Tensor) -> Images:
    """One square emptied; what this frees, and what is unspent, on a bump in another one."""
    power = threat.order

    def amount(change: Images) -> Tensor:
        return change.abs().pow(power).flatten(1).sum(1)

    side = _side(delta, share, 3)
    filled = Window.at(delta, side, numbers[:, 0], numbers[:, 1])
    emptied = Window.at(delta, side, numbers[:, 2], numbers[:, 3])
    kept = torch.where(filled.inside | emptied.inside, 0, delta)
    free = (threat.radius**power - amount(kept)).clamp(min=0) ** (1 / power)
    content = _unit(filled.bump(numbers, power), threat) + _unit(torch.where(filled.inside, delta, 0), threat)
    return threat.radius * _unit(kept + per_example(free, delta) * _unit(content, threat), threat)


def _side(x: Images, share: float, least: int) -> int:
    """Of a square that covers this share of the image; odd where it holds a bump (at least 3)."""
    height, width = x.shape[2:]
    side = max(round(math.sqrt(share * height * width)), least)
    return min(side + (1 - side % 2 if least > 1 else 0), height, width)


class Window(NamedTuple):
    """A square per image: each pixel's row and column in it [B, H, 1] and [B, 1, W], its side, and where it is
    [B, 1, H, W]."""

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

    def bump(self, numbers: Tensor, order: float) -> Images:
        """Two peaks of opposite sign side by side (or one above the other), of random sign per channel [B, C, H, W].

        At distance r from its middle (the larger of rows and columns) a peak is sum_{k >= r} (k + 1)^-s, s one of
        2, 4 and 8, in L1 from twice as much.
        """
        lying = (numbers[:, 4] < 0.5)[:, None, None]
        across, along = torch.where(lying, self.row, self.column), torch.where(lying, self.column, self.row)
        half = self.side // 2
        second = across >= half
        middle = torch.where(second, half + (self.side - half) // 2, half // 2)
        distance = torch.maximum((across - middle).abs(), (along - half).abs()).clamp(max=half)
        base = torch.arange(1, half + 2, device=numbers.device, dtype=numbers.dtype)
        rings = torch.stack([base ** (-sharp * 2 / order) for sharp in SHARPNESS]).flip(1).cumsum(1).flip(1)
        drawn = (numbers[:, 5] * len(SHARPNESS)).long()
        height = rings[drawn[:, None, None], distance] * torch.where(second, -1, 1)
        signs = _signs(numbers[:, 6:])[:, :, None, None]
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
