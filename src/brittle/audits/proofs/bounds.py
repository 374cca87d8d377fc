"""Proven bounds of a net's logits over a threat: intervals, CROWN and CROWN with optimised slopes, in float64.

Sources: Gowal et al. 2018 (interval bound propagation); Zhang et al. 2018 (CROWN); Xu et al. 2021 (alpha-CROWN: the
lower slopes of ReLUs are optimised; here those of the last bound).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn.functional import unfold

from brittle.attacks import Certifiable, NormBall
from brittle.ground import Images, Labels

from .graph import Layer

METHODS = "intervals", "CROWN", "alpha-CROWN"
ROWS = 4_000_000  # numbers held at once of the rows that go back through a net
STEPS, RATE = 20, 0.1  # of Adam, for the slopes


class Range(NamedTuple):
    """The least and the largest that each output of a layer reaches [B, *S]."""

    low: Tensor
    high: Tensor


class Relaxation(NamedTuple):
    """Lines below and above a layer's function on its interval: below * z, and above * z + offset; of a max-pool, which
    input is the largest for sure (`below`), and what is never exceeded (`offset`)."""

    below: Tensor
    above: Tensor
    offset: Tensor


class Bounds:
    """Intervals of all layers of a net around some images.

    Args:
        layers: the net, from `graph_of`.
        threat: what moves the images.
        x: images [B, *S] in float64.
        exact_to: layers of at most so many units that may switch are bounded by CROWN, the others by intervals.
    """

    def __init__(self, layers: Sequence[Layer], threat: Certifiable, x: Images, exact_to: int = 0) -> None:
        self.layers, self.threat, self.x = layers, threat, x
        self._whole = isinstance(threat, NormBall) and threat.order == torch.inf  # then the first intervals are exact
        self.intervals: list[Range] = []
        self.lines: dict[int, Relaxation] = {}
        for number, layer in enumerate(layers):
            if layer.kind in ("relu", "maxpool"):
                (before,) = layer.parents
                self.intervals[before] = self._tighter(before, exact_to)
                self.lines[number] = _relaxed(layer, self.intervals[before])
            self.intervals.append(self._interval(layer))

    def _interval(self, layer: Layer) -> Range:
        if layer.kind == "input":
            return Range(*self.threat.interval(self.x))
        inside = [self.intervals[parent] for parent in layer.parents]
        if layer.kind != "affine":
            return Range(layer.apply(inside[0].low), layer.apply(inside[0].high))
        middle = layer.apply(*((one.low + one.high) / 2 for one in inside))
        radius = layer.spread(*((one.high - one.low) / 2 for one in inside))
        return Range(middle - radius, middle + radius)

    def _tighter(self, number: int, most: int) -> Range:
        """The interval of a layer, by CROWN for the units of which it does not yet tell the sign."""
        low, high = (side.flatten(1).clone() for side in self.intervals[number])
        units = ((low < 0) & (high > 0)).any(0).nonzero().squeeze(1)
        if not 0 < len(units) <= most or (not self.lines and self._whole):
            return self.intervals[number]
        for some in torch.split(units, self._rows_at_once(number)):
            rows = torch.zeros(len(some), low.shape[1], dtype=low.dtype, device=low.device)
            rows[torch.arange(len(some)), some] = 1
            asked = rows.expand(len(low), -1, -1)
            low[:, some] = low[:, some].maximum(self.least(number, asked))
            high[:, some] = high[:, some].minimum(-self.least(number, -asked))
        return Range(*(side.view_as(self.intervals[number].low) for side in (low, high)))

    def _rows_at_once(self, number: int) -> int:
        widest = max(layer.shape.numel() for layer in self.layers[: number + 1])
        return max(1, ROWS // (widest * len(self.x)))

    def least(self, number: int, rows: Tensor, slopes: dict[int, Tensor] | None = None) -> Tensor:
        """A lower bound of <row, output of a layer> for each row [B, R] of `rows` [B, R, units].

        Args:
            slopes: for ReLUs, slopes of the lower lines [B, R, units] in [0, 1] instead of CROWN's.
        """
        count = rows.shape[:2]
        pending, bound = {number: rows.flatten(0, 1)}, rows.new_zeros(count.numel())
        for at in range(number, -1, -1):
            if at not in pending:
                continue
            weights, layer = pending.pop(at), self.layers[at]
            weights = weights.view(-1, *layer.shape)
            if layer.kind == "input":
                repeated = self.x.repeat_interleave(count[1], 0)
                bound = bound + (weights * repeated).flatten(1).sum(1) + self.threat.least(repeated, weights)
                continue
            if layer.kind == "affine":
                back, constant = _back(layer, weights, [self.layers[parent].shape for parent in layer.parents])
            else:
                own = None if slopes is None else slopes.get(at)
                back, constant = self._relaxed_back(at, weights, count[1], own)
            bound = bound + constant
            for parent, part in zip(layer.parents, back, strict=True):
                part = part.flatten(1)
                pending[parent] = pending[parent].flatten(1) + part if parent in pending else part
        return bound.view(count)

    def _relaxed_back(
        self, at: int, weights: Tensor, repeats: int, slopes: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """What weights [B R, *S] on the outputs of a ReLU or max-pool become on its inputs, and the constant [B R]."""
        layer, lines = self.layers[at], self.lines[at]
        below, above, offset = (one.repeat_interleave(repeats, 0) for one in lines)
        up, down = weights.clamp(min=0), weights.clamp(max=0)
        constant = (down * offset).flatten(1).sum(1)
        if layer.kind == "relu":
            if slopes is not None:
                switching = (above > 0) & (above < 1)
                below = torch.where(switching, slopes.reshape(below.shape), below)
            return [up * below + down * above], constant
        flat = torch.zeros(len(weights), self.layers[layer.parents[0]].shape.numel(), dtype=weights.dtype)
        to_largest = (up + down * above).flatten(1)
        return [flat.to(weights).scatter_add(1, below.flatten(1), to_largest)], constant


def _back(layer: Layer, weights: Tensor, shapes: list[torch.Size]) -> tuple[list[Tensor], Tensor]:
    """W^T weights for each parent, and <weights, b>, of an affine layer."""
    zeros = [weights.new_zeros(1, *shape) for shape in shapes]
    offset = layer.apply(*zeros)
    back = vjp(layer.apply, *(zero.expand(len(weights), *zero.shape[1:]) for zero in zeros))[1]
    return list(back(weights)), (weights * offset).flatten(1).sum(1)


def _relaxed(layer: Layer, inside: Range) -> Relaxation:
    if layer.kind == "relu":
        low, high = inside
        switching = (low < 0) & (high > 0)
        slope = torch.where(switching, high / (high - low).clamp(min=torch.finfo(low.dtype).tiny), (low >= 0).to(low))
        below = torch.where(switching, (high > -low).to(low), slope)
        return Relaxation(below, slope, torch.where(switching, -low * slope, 0))
    return _pooled(layer, inside)


def _pooled(layer: Layer, inside: Range) -> Relaxation:
    """The input of largest lower bound stands for the maximum from below; if no other can exceed it also from above,
    else the largest upper bound."""
    pool = layer.pool
    assert pool is not None
    numbers = torch.arange(inside.low[0].numel(), dtype=inside.low.dtype).view_as(inside.low[:1])
    windows = [_windows(pool, one) for one in (inside.low, inside.high, numbers.to(inside.low) + 1)]
    low, high, number = windows  # [B, C, k, L]; beyond the edge there is nothing
    number = number.expand_as(low)
    there = number > 0
    low, high = (torch.where(there, one, -torch.inf) for one in (low, high))
    best = low.argmax(2, keepdim=True)
    rival = high.scatter(2, best, -torch.inf).amax(2, keepdim=True)
    certain = low.gather(2, best) >= rival
    most = torch.where(certain, 0, high.amax(2, keepdim=True))
    index = number.gather(2, best).long() - 1
    shape = (len(low), *layer.shape)
    return Relaxation(index.view(shape), certain.to(low).view(shape), most.view(shape))


def _windows(pool: "torch.nn.MaxPool2d", x: Tensor) -> Tensor:
    """What a pool looks at [B, C, k, L]; 0 beyond the edge."""
    found = unfold(x, pool.kernel_size, padding=pool.padding, stride=pool.stride)
    return found.view(len(x), x.shape[1], -1, found.shape[2])


def margins(layers: Sequence[Layer], threat: Certifiable, x: Images, y: Labels, method: str, exact_to: int) -> Tensor:
    """Lower bounds of z_y - z_k over the threat, for each class k [B, classes], infinite for y itself: where all are
    above 0, the image is proved robust.

    Args:
        method: one of `METHODS`; `intervals` bounds only the last layer by CROWN.
        exact_to: see `Bounds`.
    """
    classes, last = layers[-1].shape.numel(), len(layers) - 1
    bounds = Bounds(layers, threat, x.double(), 0 if method == "intervals" else exact_to)
    others = torch.stack([torch.tensor([k for k in range(classes) if k != label]) for label in y.tolist()]).to(y)
    eye = torch.eye(classes, dtype=torch.float64, device=y.device)
    rows = eye[y][:, None] - eye[others]
    with torch.no_grad():
        found = bounds.least(last, rows)
    found = _optimised(bounds, last, rows, found) if method == "alpha-CROWN" else found
    return found.new_full((len(x), classes), torch.inf).scatter(1, others, found)


def _optimised(bounds: Bounds, last: int, rows: Tensor, found: Tensor) -> Tensor:
    """The bounds with slopes that Adam has raised them by; every step gives valid ones, and the best are kept."""
    slopes = {
        at: lines.below[:, None].expand(-1, rows.shape[1], *lines.below.shape[1:]).clone().requires_grad_()
        for at, lines in bounds.lines.items()
        if bounds.layers[at].kind == "relu"
    }
    if not slopes:
        return found
    adam = torch.optim.Adam(slopes.values(), lr=RATE)
    for _ in range(STEPS):
        now = bounds.least(last, rows, slopes)
        found = found.maximum(now.detach())
        if bool((found > 0).all()):
            break
        adam.zero_grad()
        torch.autograd.backward(-now.clamp(max=0).sum())  # what is proved need not rise
        adam.step()
        with torch.no_grad():
            for slope in slopes.values():
                slope.clamp_(0, 1)
    return found
