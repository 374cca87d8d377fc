"""Norms: size, dual, nearest points of ball, of ball and box, of a hyperplane, steepest direction, samples.

Geometry is written here once. Everything works on flattened examples `d [B, D]`; a radius is a number or `[B, 1]`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vecdot

from brittle.ground import BrittleError, Keys, normal, uniform, unit

Radius = float | Tensor
NEWTON_STEPS = 4  # where no value is read in the middle of a walk


@dataclass(frozen=True)
class Norm:
    """One norm on R^D.

    `size(d)` is ||d|| [B]. `project(d, eps)` is the nearest point (in L2) of {||p|| <= eps}. `in_box(eps, low, high)`
    gives d -> the nearest point of that ball cut with low <= p <= high (low <= 0 <= high). `steepest(g)` maximises <g,
    s> over ||s|| <= 1, so that <g, steepest(g)> is the dual norm of g. `sample(keys, D, seed)` is uniform in the unit
    ball. `most(w, room, eps)` is the largest <w, d> [B] over 0 <= d <= room, ||d|| <= eps, for w >= 0; never less.
    """

    name: str
    dual: str
    size: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, Radius], Tensor]
    in_box: Callable[[Radius, Tensor, Tensor], Callable[[Tensor], Tensor]]
    steepest: Callable[[Tensor], Tensor]
    sample: Callable[[Keys, int, int], Tensor]
    reach: Callable[[Tensor, Tensor, Tensor], Tensor]
    proximal: Callable[[Tensor, Tensor], Tensor]
    most: Callable[[Tensor, Tensor, float], Tensor]

    def project_box(self, d: Tensor, eps: Radius, low: Tensor, high: Tensor) -> Tensor:
        """The nearest point to d of ball and box."""
        return self.in_box(eps, low, high)(d)


def norm_named(name: str) -> Norm:
    """The norm called `Linf`, `L2` or `L1` (also `inf`, `linf`, `2`, `l2`, ...)."""
    short = name.strip().lower().removeprefix("l").replace("infinity", "inf")
    try:
        return NORMS[f"L{short}"]
    except KeyError:
        raise BrittleError(f"unknown norm {name!r}; known: {', '.join(NORMS)}") from None


def _linf_in_box(eps: Radius, low: Tensor, high: Tensor) -> Callable[[Tensor], Tensor]:
    low, high = _linf_project(low, eps), _linf_project(high, eps)
    return lambda d: d.clamp(low, high)


def _linf_project(d: Tensor, eps: Radius) -> Tensor:
    return torch.minimum(d, _like(eps, d)).maximum(-_like(eps, d))


def _linf_sample(keys: Keys, size: int, seed: int) -> Tensor:
    return uniform(keys, torch.Size([size]), seed=seed) * 2 - 1


def _l2_project(d: Tensor, eps: Radius) -> Tensor:
    length = d.norm(dim=1, keepdim=True)
    shrink: Tensor = (_like(eps, d) / length.clamp(min=torch.finfo(d.dtype).tiny)).clamp(max=1)
    return d * shrink


def _l2_in_box(eps: Radius, low: Tensor, high: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda d: _l2_project_box(d, eps, low, high, steps=None if d.device.type == "cpu" else NEWTON_STEPS)


def _l2_project_box(d: Tensor, eps: Radius, low: Tensor, high: Tensor, steps: int | None = None) -> Tensor:
    """Nearest point: clamp(s d), with the largest s in [0, 1] that the ball allows.

    Its squared length, sum min(t d^2, room^2) with t = s^2, is concave and piecewise linear in t. So Newton's method
    climbs to the root from the left, clamps at least one coordinate more at every step, and is exact once none is left
    to clamp: after 3 or 4 steps on images. With a fixed number of `steps`, as devices take that are not read in the
    middle of a walk, a point that is not there yet is allowed, but not nearest. |d| beyond 1e19 overflows float32 to
    NaN.
    """
    boxed = d.clamp(
        low, high
    )  # low <= 0 <= high, so that |boxed| is the room of each coordinate, or |d| if that is less
    free, held, budget = d.square(), boxed.square(), _like(eps, d).square()
    tiny = torch.finfo(d.dtype).tiny
    corner, t, stays = held / free.clamp(min=tiny), torch.zeros_like(d[:, :1]), torch.empty_like(d)
    for _ in range(d.shape[1] + 1 if steps is None else steps):
        stays = (corner <= t).to(d.dtype) if held.requires_grad else torch.le(corner, t, out=stays)  # no graph keeps it
        left, slope = budget - vecdot(stays, held)[:, None], vecdot(1 - stays, free)[:, None]
        above = (left / slope.clamp(min=tiny)).clamp(max=1).maximum(t)
        if steps is None and not bool((above > t).any()):
            break
        t = above
    return _l2_project((d * t.sqrt()).clamp(low, high), eps)  # the last projection removes rounding only


def _l2_sample(keys: Keys, size: int, seed: int) -> Tensor:
    radius = uniform(keys, torch.Size([1]), seed=seed, draw=-1) ** (1 / size)
    return unit(normal(keys, torch.Size([size]), seed=seed)) * radius


def _l1_project(d: Tensor, eps: Radius) -> Tensor:
    infinite = torch.full_like(d, torch.inf)
    return _l1_in_box(eps, -infinite, infinite)(d)


def _l1_in_box(eps: Radius, low: Tensor, high: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda d: _l1_project_box(d, eps, low, high)


def _l1_project_box(d: Tensor, eps: Radius, low: Tensor, high: Tensor) -> Tensor:
    """Nearest point: sign(d) min((|d| - shrink)+, room), with the smallest shrink >= 0 that the ball allows.

    The length h(shrink) = sum (|d| - shrink)+ - sum (|d| - room - shrink)+ is piecewise linear, with corners at |d|
    (where a coordinate enters) and at |d| - room (where it stops growing); sorting the corners solves h = eps exactly.
    Source: Duchi et al. 2008 for the ball; Croce and Hein 2021 (Mind the box) for ball and box.
    """
    size, room = _size_and_room(d, low, high)
    corners = torch.cat([size, size - room], 1)
    weights = torch.ones_like(corners)
    weights[:, d.shape[1] :] = -1
    corners, order = corners.sort(dim=1, descending=True)
    weights = weights.gather(1, order)
    mass, slope = (weights * corners).cumsum(1), weights.cumsum(1)
    radius = _like(eps, d)
    inside = mass - slope * corners < radius  # length at each corner, non-decreasing along the row
    last = (inside.int().cumsum(1).amax(1, keepdim=True) - 1).clamp(min=0)
    corner, mass, slope = (part.gather(1, last) for part in (corners, mass, slope))
    shrink = torch.where(
        slope > 0, (mass - radius) / slope.clamp(min=1), corner
    )  # slope 0: the length is eps all along
    shrink = torch.where(room.sum(1, keepdim=True) <= radius, torch.zeros_like(shrink), shrink).clamp(min=0)
    near = d.sign() * torch.minimum((size - shrink).clamp(min=0), room)
    length = near.abs().sum(1, keepdim=True)
    return near * (radius / length.clamp(min=torch.finfo(d.dtype).tiny)).clamp(max=1)  # rounding only


def _l1_steepest(g: Tensor) -> Tensor:
    index = g.abs().argmax(1, keepdim=True)
    return torch.zeros_like(g).scatter(1, index, g.gather(1, index).sign())


def _l1_sample(keys: Keys, size: int, seed: int) -> Tensor:
    """Laplace numbers divided by their absolute sum plus one more exponential are uniform in the unit ball."""
    signed = uniform(keys, torch.Size([size]), seed=seed) * 2 - 1
    exponential = -torch.log1p(-signed.abs())
    spare = -torch.log(uniform(keys, torch.Size([1]), seed=seed, draw=-1))
    return signed.sign() * exponential / (exponential.sum(1, keepdim=True) + spare)


def _size_and_room(d: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """|d| and the part of it that the box allows, both [B, D]."""
    size = d.abs()
    return size, torch.minimum(torch.where(d > 0, high, -low).clamp(min=0), size)


def _like(eps: Radius, d: Tensor) -> Tensor:
    """The radius in the precision of d. A number stays on the CPU, where kernels take it along without a copy."""
    return torch.as_tensor(eps, dtype=d.dtype)


def _linf_reach(w: Tensor, room: Tensor, gain: Tensor) -> Tensor:
    return _fill((w > 0).to(w.dtype), w, room, gain)


def _l2_reach(w: Tensor, room: Tensor, gain: Tensor) -> Tensor:
    return _fill(w, w, room, gain)


def _fill(speed: Tensor, w: Tensor, room: Tensor, gain: Tensor) -> Tensor:
    """min(level * speed, room), with the level at which <w, .> = gain: every coordinate rises until its room is used
    up.

    The optimality conditions of the smallest such d give this form, with speed 1 in Linf and w in L2. <w, .> is concave
    and piecewise linear in the level, with corners where a coordinate is full: it is the least of its lines, so that
    the level is the largest that any of them asks for.
    """
    tiny = torch.finfo(w.dtype).tiny
    corner = torch.where(speed > 0, room / speed.clamp(min=tiny), torch.inf)
    order = corner.argsort(dim=1)
    slope, full = (w * speed).gather(1, order), (w * room).gather(1, order)
    rate = slope.flip(1).cumsum(1).flip(1)  # of <w, .> before each corner, by the coordinates not yet full
    filled = full.cumsum(1) - full  # by those that are
    level = ((gain[:, None] - filled) / rate.clamp(min=tiny)).amax(1, keepdim=True).clamp(0, 1 / tiny)
    return torch.minimum(torch.where(speed > 0, level * speed, 0), room)


def _l1_reach(w: Tensor, room: Tensor, gain: Tensor) -> Tensor:
    """The coordinates of largest w first, each up to its room."""
    _, order = w.sort(dim=1, descending=True, stable=True)
    steep, full = w.gather(1, order), (w * room).gather(1, order)
    missing = (gain[:, None] - (full.cumsum(1) - full)).clamp(min=0)
    step = torch.minimum(missing / steep.clamp(min=torch.finfo(w.dtype).tiny), room.gather(1, order))
    return torch.zeros_like(w).scatter(1, order, torch.where(steep > 0, step, 0))


def _moreau(dual: Callable[[Tensor, Radius], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The proximal point of weight ||.||: d less its nearest point in the dual ball of that radius (Moreau 1965)."""
    return lambda d, weight: d - dual(d, weight[:, None])


def _linf_most(w: Tensor, room: Tensor, eps: float) -> Tensor:
    most: Tensor = vecdot(w, room.clamp(max=eps))
    return most


def _l2_most(w: Tensor, room: Tensor, eps: float) -> Tensor:
    """By duality: sum w d <= sum max over 0 <= d_i <= room_i of (w_i d_i - t d_i^2 / 2) + t eps^2 / 2 for every t >= 0;
    the best t is read from the point that reaches the most, where w / d = t but for what the box holds."""
    tiny = torch.finfo(w.dtype).tiny
    far = 1e6 * (1 + eps) * w / w.amax(1, keepdim=True).clamp(min=tiny)
    near = _l2_project_box(far, eps, torch.zeros_like(room), room)
    t = torch.where(near > 0, w / near.clamp(min=tiny), torch.inf).amin(1, keepdim=True)
    t = torch.where(t.isfinite(), t, 0)
    best = torch.minimum(w / t.clamp(min=tiny), room)
    dual = (w * best - t * best.square() / 2).sum(1) + t.squeeze(1) * eps**2 / 2
    return torch.minimum(dual, vecdot(w, room))


def _l1_most(w: Tensor, room: Tensor, eps: float) -> Tensor:
    """The coordinates of largest w first, each up to its room, until eps is spent."""
    w, order = w.sort(dim=1, descending=True)
    full = room.gather(1, order)
    most: Tensor = vecdot(w, torch.minimum((eps - (full.cumsum(1) - full)).clamp(min=0), full))
    return most


NORMS = {
    norm.name: norm
    for norm in (
        Norm(
            "Linf",
            "L1",
            lambda d: d.abs().amax(1),
            _linf_project,
            _linf_in_box,
            torch.sign,
            _linf_sample,
            _linf_reach,
            _moreau(_l1_project),
            _linf_most,
        ),
        Norm(
            "L2",
            "L2",
            lambda d: d.norm(dim=1),
            _l2_project,
            _l2_in_box,
            unit,
            _l2_sample,
            _l2_reach,
            _moreau(_l2_project),
            _l2_most,
        ),
        Norm(
            "L1",
            "Linf",
            lambda d: d.abs().sum(1),
            _l1_project,
            _l1_in_box,
            _l1_steepest,
            _l1_sample,
            _l1_reach,
            _moreau(_linf_project),
            _l1_most,
        ),
    )
}
