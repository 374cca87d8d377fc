"""Square Attack: a score-based search that asks for no gradient, so that a masked gradient cannot hide anything from it."""

import math

import torch
from torch import Tensor

from brittle.ground import BrittleError, Images, Labels, keys_of, uniform

from .attack import Attack
from .loop import Found, worse_seen
from .objectives import Objective, See, session
from .threats import Threat


def square(objective: Objective, threat: Threat, *, queries: int = 1000, share: float = 0.8, seed: int = 0) -> Attack:
    """Random squares of +-eps, kept where they raise the loss (Linf only).

    It begins with vertical stripes of +-eps; square sides shrink from sqrt(share) of the image as queries go.
    Args:
        share: the share of pixels changed by the first squares.
    Raises:
        BrittleError: another norm than Linf, or examples that are not images [B, C, H, W].
    Cost: `queries` + 1 forward passes. Random: stripes, signs, places.
    Source: Andriushchenko et al. 2020, algorithms 1-2.
    Differs: places and signs are hashes of the image, so that a batch is not one draw.
    """
    if threat.norm != "Linf":
        raise BrittleError(f"the Square attack is built for Linf only, not {threat.norm}")

    def search(x: Images, y: Labels, seed: int) -> Found:
        if x.dim() != 4:
            raise BrittleError(f"the Square attack needs images [B, C, H, W], not {list(x.shape)}")
        with session(objective) as see, torch.no_grad():
            return _search(see, x, y, threat, queries, share, seed)

    return Attack(f"Square-{queries}", search, seed)


def _search(see: See, x: Images, y: Labels, threat: Threat, queries: int, share: float, seed: int) -> Found:
    _, channels, height, width = x.shape
    keys, eps = keys_of(x), threat.radius
    stripes = _signs(uniform(keys, torch.Size([channels, 1, width]), seed=seed)) * eps
    striped = threat.allow(x, x + stripes)
    best_x, best = worse_seen(x, see(x, y), striped, see(striped, y))
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    for k in range(1, queries):
        side = max(1, min(round(math.sqrt(_share_at(k, queries, share) * height * width)), height, width))
        place = uniform(keys, torch.Size([2 + channels]), seed=seed, draw=k)
        top, left = (place[:, 0] * (height - side + 1)).long(), (place[:, 1] * (width - side + 1)).long()
        in_rows = (rows >= top[:, None]) & (rows < top[:, None] + side)
        in_columns = (columns >= left[:, None]) & (columns < left[:, None] + side)
        inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
        proposal = torch.where(inside, x + eps * _signs(place[:, 2:])[:, :, None, None].to(x.dtype), best_x)
        proposal = threat.allow(x, proposal)
        best_x, best = worse_seen(proposal, see(proposal, y), best_x, best)
    return Found(best_x, best.fooled, best.margin)


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers < 0.5, -1.0, 1.0)


def _share_at(query: int, queries: int, share: float) -> float:
    """The schedule of the paper: halved at fixed points of 10,000 queries, stretched to the queries at hand."""
    points = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    return share * 0.5 ** sum(query / queries * 10_000 > point for point in points)
