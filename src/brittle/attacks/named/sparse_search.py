"""Sparse random search: Square's sibling for L0, as Sparse-RS."""

import torch
from torch import Tensor

from brittle.ground import Images, keys_of, uniform

from ..attack import Attack
from ..loop import AttackResult, worse_evaluation
from ..losses import Aim
from ..objectives import Objective, session
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

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        keys, channels = keys_of(x), x.shape[1] if x.dim() > 2 else 1
        pixels = x[0].numel() // channels

        def corner(query: int) -> Images:
            return (uniform(keys, x.shape[1:], seed=seed, draw=2 * query) < 0.5).to(x.dtype)

        def order(query: int) -> Tensor:
            return uniform(keys, torch.Size([pixels]), seed=seed, draw=2 * query + 1)

        def painted(changed: Tensor, old: Images, new: Tensor, colours: Images) -> Images:
            """Changed pixels as they were, new ones in their colours, the rest clean."""
            shape = (len(x), *([1] if x.dim() > 2 else []), *(x.shape[2:] if x.dim() > 2 else x.shape[1:]))
            return torch.where(new.view(shape), colours, torch.where(changed.view(shape), old, x))

        changed = _first(order(0), torch.ones_like(order(0), dtype=torch.bool), min(threat.count, pixels))
        begun = painted(torch.zeros_like(changed), x, changed, corner(0))
        with session(objective) as evaluate, torch.no_grad():
            best_x, best = worse_evaluation(x, evaluate(x, y), begun, evaluate(begun, y))
            best_x = torch.where(best.success.view(-1, *[1] * (x.dim() - 1)), best_x, begun)
            best = evaluate(best_x, y)
            for query in range(1, queries):
                count = min(max(int(_share_at(query, queries, share) * threat.count), 1), threat.count)
                back, new = _first(order(query), changed, count), _first(order(query), ~changed, count)
                proposal = painted(changed & ~back, best_x, new, corner(query))
                tried = evaluate(proposal, y)
                next_x, best = worse_evaluation(proposal, tried, best_x, best)
                taken = (next_x == proposal).flatten(1).all(1)
                changed, best_x = torch.where(taken[:, None], changed & ~back | new, changed), next_x
        return AttackResult(best_x, best.success, best.margin)

    return Attack(f"Sparse-RS-{queries}", search, seed)


def _first(order: Tensor, among: Tensor, count: int) -> Tensor:
    """The `count` pixels that come first in a random order, among those flagged [B, pixels]."""
    if count == 0:
        return torch.zeros_like(among)
    top = torch.where(among, order, 2).topk(count, dim=1, largest=False).indices
    return torch.zeros_like(among).scatter(1, top, True) & among


def _share_at(query: int, queries: int, share: float) -> float:
    return share / max(part for point, part in SHARES if query / queries * 10_000 > point or point == 0)
