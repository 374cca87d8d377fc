"""L0: at most `count` pixels may change, each by as much as it likes."""

from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from brittle.ground import BrittleError, Flags, Images, PerExample, keys_of, uniform

from .lp import LARGEST, in_box


@dataclass(frozen=True)
class L0:
    """All images that differ from x in at most `count` pixels; the channels of a pixel [B, C, H, W] count once.

    Attributes:
        count: the number of pixels, as a whole number.
    """

    count: int

    def __post_init__(self) -> None:
        whole = isinstance(self.count, Real) and not isinstance(self.count, bool)
        if not whole or not 0 <= self.count <= LARGEST or int(self.count) != self.count:
            raise BrittleError(f"L0 counts pixels: a whole number from 0 to {LARGEST:g}, not {self.count!r}")
        object.__setattr__(self, "count", int(self.count))

    @classmethod
    def parse(cls, text: str) -> "L0":
        """`10` in `L0:10`."""
        if not text.strip().isdecimal():
            raise BrittleError(f"L0 counts pixels: a whole number from 0 to {LARGEST:g}, not {text!r}")
        return L0(int(text))

    def __str__(self) -> str:
        return f"L0:{self.count}"

    @property
    def radius(self) -> float:
        return float(self.count)

    @property
    def step_unit(self) -> float:
        """A pixel may move over its whole range, whatever the number of pixels."""
        return 1.0

    def usual_step(self, steps: int) -> float:
        """The whole range: `project` takes a new pixel for one of those changed only if it moved as far.

        Source: Croce and Hein 2019 (Sparse and imperceivable attacks), PGD_0, whose steps are as long.
        """
        return 1.0

    @property
    def sparse_steps(self) -> bool:
        return False

    def size(self, x: Images, x_adv: Images) -> PerExample:
        """The number of pixels that are not exactly as they were [B]."""
        return self._by_pixel(x != x_adv).any(1).sum(1).to(x.dtype)

    def contains(self, x: Images, x_adv: Images) -> Flags:
        """In [0, 1] and at most `count` pixels changed: nothing is rounded, so nothing is tolerated."""
        return in_box(x_adv) & (self.size(x, x_adv) <= self.count)

    def project(self, x: Images, moved: Images) -> Images:
        """The pixels kept are those whose change, as far as [0, 1] allows it, brings x closest to `moved`."""
        inside = moved.clamp(0, 1)
        gain = self._by_pixel((moved - x).square() - (moved - inside).square()).sum(1)
        kept = self._mask(self._largest(gain), x)
        return torch.where(kept, inside, x)

    def sample(self, x: Images, seed: int) -> Images:
        """`count` pixels drawn at random, each channel black or white at random."""
        keys, pixels = keys_of(x), self._by_pixel(x)
        order = uniform(keys, pixels.shape[2:], seed=seed, draw=-1)
        colours = (uniform(keys, pixels.shape[1:], seed=seed) < 0.5).to(x.dtype).view_as(x)
        return torch.where(self._mask(self._largest(order + 1), x), colours, x)

    def scaled(self, factor: float) -> "L0":
        return L0(int(self.count * factor))

    def whole(self, x: Images) -> "L0":
        return L0(self._by_pixel(x).shape[2])

    def steepest(self, grad: Images) -> Images:
        """`count` pixels over their whole range: those with the largest sum of |grad| over their channels."""
        moved = self._largest(self._by_pixel(grad.abs()).sum(1))
        return torch.where(self._mask(moved, grad), grad.sign(), 0)

    def direction(self, x: Images, grad: Images) -> Images:
        """grad / ||grad||_inf where the box lets a pixel move: `project` then keeps the pixels that moved furthest."""
        blocked = ((x <= 0) & (grad < 0)) | ((x >= 1) & (grad > 0))
        open_ = torch.where(blocked, 0, grad).flatten(1)
        largest = open_.abs().amax(1, keepdim=True)
        return (open_ / torch.where(largest > 0, largest, 1)).view_as(grad)

    def least(self, x: Images, weights: Images) -> PerExample:
        """The least of <weights, d> over the allowed changes d of x [B], exactly but for rounding."""
        gain = self._by_pixel(weights.abs() * torch.where(weights > 0, x, 1 - x)).sum(1)
        return -gain.topk(min(self.count, gain.shape[1]), dim=1).values.sum(1)

    def interval(self, x: Images) -> tuple[Images, Images]:
        return (torch.zeros_like(x), torch.ones_like(x)) if self.count else (x, x)

    def _by_pixel(self, x: Tensor) -> Tensor:
        """[B, C, pixels]; what has no channels is all pixels."""
        return x.flatten(2) if x.dim() > 2 else x[:, None]

    def _largest(self, values: Tensor) -> Tensor:
        """The `count` pixels of largest value, of those above 0 [B, pixels]."""
        if self.count == 0:
            return torch.zeros_like(values, dtype=torch.bool)
        top = values.topk(min(self.count, values.shape[1]), dim=1).indices
        return torch.zeros_like(values, dtype=torch.bool).scatter(1, top, True) & (values > 0)

    def _mask(self, pixels: Tensor, x: Tensor) -> Tensor:
        """Flags of pixels [B, pixels] for every channel of x."""
        return pixels[:, None].expand_as(self._by_pixel(x)).reshape(x.shape)
