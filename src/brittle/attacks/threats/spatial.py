"""Rotations and translations: a finite set of images, so that trying all of them is a proof."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from brittle.ground import BrittleError, Flags, Images, PerExample, keys_of, uniform

from .lp import in_box
from .protocol import Threat

SAME = 1e-5  # the largest difference of a pixel between an image and what this module makes of the same transformation
MOST = 10**8  # transformations
CHUNK = 256  # transformations of one image held at once


@runtime_checkable
class Finite(Threat, Protocol):
    """A threat that allows finitely many images: all can be tried."""

    def count(self, x: Images) -> int:
        """How many images are allowed for each x of this shape; number 0 is x itself."""
        ...

    def member(self, x: Images, index: Int[Tensor, "B"]) -> Images:
        """The allowed image of this number for each x."""
        ...


@dataclass(frozen=True)
class Spatial:
    """x rotated by whole degrees and shifted by whole pixels, black where nothing is left, in all combinations.

    Attributes:
        degrees: the largest rotation, to both sides.
        pixels: the largest shift, in both directions.
    Source: Engstrom et al. 2019 (Exploring the Landscape of Spatial Robustness), who draw from or grid the same ranges
    (30 degrees, 3 pixels). Differs: only whole degrees and pixels, so that "not in the set" and "all were tried" are
    exact.
    """

    degrees: float
    pixels: float

    def __post_init__(self) -> None:
        if not all(isinstance(one, Real) and 0 <= one < math.inf for one in (self.degrees, self.pixels)):
            raise BrittleError(f"rotation and translation are at least 0, not {self.degrees!r} and {self.pixels!r}")
        many = (2 * int(self.degrees) + 1) * (2 * int(self.pixels) + 1) ** 2
        if many > MOST:
            raise BrittleError(f"{self} allows {many:.3g} images, more than can be tried; such as Spatial:30,3 can be")

    @classmethod
    def parse(cls, text: str) -> "Spatial":
        """`30,3` in `Spatial:30,3`."""
        degrees, comma, pixels = text.partition(",")
        try:
            sizes = float(degrees), float(pixels if comma else "")
        except ValueError:
            raise BrittleError(
                f"Spatial is written Spatial:DEGREES,PIXELS, such as Spatial:30,3, not {text!r}"
            ) from None
        return Spatial(*sizes)

    def __str__(self) -> str:
        return f"Spatial:{self.degrees:g},{self.pixels:g}"

    @property
    def radius(self) -> float:
        """Sizes are shares of the largest rotation or shift, whichever is larger."""
        return 1.0

    def count(self, x: Images) -> int:
        return len(_transformations(self))

    def member(self, x: Images, index: Int[Tensor, "B"]) -> Images:
        return transformed(x, self._transformations(x)[index])

    def size(self, x: Images, x_adv: Images) -> PerExample:
        """The smallest share of the ranges that reaches x_adv; infinite where no transformation does."""
        shares = self._shares().to(x)
        away = torch.stack([self._distances(one, other).amax(1) for one, other in zip(x, x_adv, strict=True)])
        return torch.where(away <= SAME, shares, torch.inf).amin(1)

    def contains(self, x: Images, x_adv: Images) -> Flags:
        """In [0, 1] and equal, up to 1e-5, to one of the transformations of x."""
        return in_box(x_adv) & self.size(x, x_adv).isfinite()

    def project(self, x: Images, moved: Images) -> Images:
        away = torch.stack([self._distances(one, other).square().sum(1) for one, other in zip(x, moved, strict=True)])
        return self.member(x, away.argmin(1))

    def sample(self, x: Images, seed: int) -> Images:
        drawn = uniform(keys_of(x), torch.Size([1]), seed=seed)[:, 0]
        return self.member(x, (drawn * self.count(x)).long())

    def scaled(self, factor: float) -> "Spatial":
        return Spatial(self.degrees * factor, self.pixels * factor)

    def whole(self, x: Images) -> "Spatial":
        return Spatial(180, max(x.shape[2:]) // 2)

    def _transformations(self, x: Images) -> Tensor:
        return _transformations(self, x.device, x.dtype)

    def _shares(self) -> Tensor:
        most = torch.tensor([self.degrees, self.pixels, self.pixels])
        return (_transformations(self).abs() / torch.where(most > 0, most, 1)).amax(1)

    def _distances(self, x: Tensor, other: Tensor) -> Tensor:
        """|transformed x - other| for one image and every transformation [K, D]."""
        return torch.cat([(part - other).abs().flatten(1) for part in self._all(x)])

    def _all(self, x: Tensor) -> Iterator[Images]:
        for part in torch.split(self._transformations(x), CHUNK):
            yield transformed(x.expand(len(part), *x.shape), part)


@lru_cache(maxsize=8)
def _transformations(threat: Spatial, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Degrees, pixels right, pixels down [K, 3]; the identity first, larger ones later."""
    turns, shifts = (torch.arange(-int(most), int(most) + 1.0) for most in (threat.degrees, threat.pixels))
    grid = torch.cartesian_prod(turns, shifts, shifts)
    return grid[grid.abs().sum(1).argsort(stable=True)].to(device, dtype)


def transformed(x: Images, by: Tensor) -> Images:
    """Images [B, C, H, W] rotated by degrees and shifted by pixels right and down `by` [B, 3], by bilinear
    interpolation."""
    if x.dim() != 4:
        raise BrittleError(f"rotations and translations need images [B, C, H, W], not {list(x.shape)}")
    height, width = x.shape[2:]
    angle = by[:, 0] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    right, down = 2 * by[:, 1] / width, 2 * by[:, 2] / height
    # from where each pixel is fetched, in coordinates of -1 to 1: the inverse of shifting a rotated image
    rows = (
        torch.stack([cos, sin * height / width, -cos * right - sin * height / width * down], 1),
        torch.stack([-sin * width / height, cos, sin * width / height * right - cos * down], 1),
    )
    grid = affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    moved = grid_sample(x, grid, padding_mode="zeros", align_corners=False).clamp(0, 1)
    return torch.where((by == 0).all(1).view(-1, 1, 1, 1), x, moved)
