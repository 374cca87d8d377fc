"""Sparse random search: Square's sibling for L0, as Sparse-RS."""

import torch
from torch import Tensor

from brittle.ground import Images, check_share

from ..attack import Attack
from ..objectives import Objective
from ..random_search import Draw, random_search
from ..registry import Cost, register
from ..threats import L0

SHARES = ((0, 1.0), (50, 2), (200, 4), (500, 5), (1000, 6), (2000, 8), (4000, 10), (6000, 12), (8000, 15), (10_000, 20))


@register(
    "sparse_search",
    what="random pixels in black and white, kept where they raise the loss; asks for no gradient",
    source="Croce et al. 2022 (Sparse-RS)",
    needs=L0,
    cost=lambda queries: Cost(queries + 1, 0),
    loss="margin",
    precision="float32",
)
def sparse_search(
    objective: Objective, threat: L0, *, queries: int = 1000, share: float = 0.3, seed: int = 0
) -> Attack:
    """Each query puts some changed pixels back and changes as many others, to random corners of the colours' cube.

    A share of the changed pixels moves at a time: `share` at first, less and less later.

    Cost: `queries` + 1 forward passes. Random: pixels and colours, functions of the image and `seed`.
    Source: Croce et al. 2022 (Sparse-RS), L0, algorithm 1, and the authors' schedule, stretched to the queries at hand.
    """

    check_share("share", share)

    def start(x: Images, draw: Draw) -> tuple[Images, Tensor]:
        order = draw(1, _pixels(x))
        new = _first(order, torch.ones_like(order, dtype=torch.bool), min(threat.count, order.shape[1]))
        return _painted(x, x, ~new, new, _corner(x, 0, draw)), new

    def propose(x: Images, best: Images, changed: Tensor, query: int, draw: Draw) -> tuple[Images, Tensor]:
        order = draw(2 * query + 1, _pixels(x))
        count = min(max(int(_share_at(query, queries, share) * threat.count), 1), threat.count)
        back, new = _first(order, changed, count), _first(order, ~changed, count)
        return _painted(x, best, back, new, _corner(x, query, draw)), changed & ~back | new

    return random_search(f"Sparse-RS-{queries}", objective, threat, start, propose, queries=queries, seed=seed)


def _pixels(x: Images) -> torch.Size:
    return torch.Size([x[0].numel() // (x.shape[1] if x.dim() > 2 else 1)])


def _corner(x: Images, query: int, draw: Draw) -> Images:
    """Every channel of every pixel black or white at random."""
    return (draw(2 * query, x.shape[1:]) < 0.5).to(x.dtype)


def _painted(x: Images, best: Images, back: Tensor, new: Tensor, colours: Images) -> Images:
    """The best images with some pixels put `back` as they were, and `new` ones in their colours."""
    shape = (len(x), *([1] if x.dim() > 2 else []), *(x.shape[2:] if x.dim() > 2 else x.shape[1:]))
    return torch.where(new.view(shape), colours, torch.where(back.view(shape), x, best))


def _first(order: Tensor, among: Tensor, count: int) -> Tensor:
    """The `count` pixels that come first in a random order, among those flagged [B, pixels]."""
    if count == 0:
        return torch.zeros_like(among)
    top = torch.where(among, order, 2).topk(count, dim=1, largest=False).indices
    return torch.zeros_like(among).scatter(1, top, True) & among


def _share_at(query: int, queries: int, share: float) -> float:
    return share / max(part for point, part in SHARES if query / queries * 10_000 > point or point == 0)
