"""Threats: the set of images that an adversary may hand in instead of `x`, as frozen data."""

import math
import warnings
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from brittle.ground import BrittleError, Images, Norm, PerExample, keys_of, norm_named

FAR = 1e6  # times the size of an image: how far "far away" is


@dataclass(frozen=True)
class Threat:
    """All images within `eps` of x in one norm, with pixels in [0, 1].

    Attributes:
        norm: `Linf`, `L2` or `L1`.
        eps: the radius in pixel units, kept as it was written ("8/255", "0.3"); `radius` is its value.
    """

    norm: str
    eps: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_named(self.norm).name)
        object.__setattr__(self, "eps", str(self.eps).strip())
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise BrittleError(f"eps must be a finite number >= 0, not {self.eps!r}")

    @classmethod
    def parse(cls, text: str) -> "Threat":
        """The threat written `NORM:EPS`, such as `Linf:8/255`, `L2:0.5`."""
        norm, colon, eps = text.partition(":")
        if not colon:
            raise BrittleError(f"a threat is written NORM:EPS, such as Linf:8/255 or L2:0.5, not {text!r}")
        return cls(norm, eps)

    def __str__(self) -> str:
        return f"{self.norm}:{self.eps}"

    @property
    def radius(self) -> float:
        """`eps` as a number; fractions are parsed, never evaluated."""
        try:
            above, _, below = self.eps.partition("/")
            return float(Fraction(above) / Fraction(below or 1))
        except (ValueError, ZeroDivisionError):
            raise BrittleError(f"eps must be a number or a fraction such as 8/255, not {self.eps!r}") from None

    @property
    def geometry(self) -> Norm:
        """The norm's functions on flattened examples."""
        return norm_named(self.norm)

    def scaled(self, factor: float) -> "Threat":
        """The same norm with `factor` times the radius."""
        return Threat(self.norm, repr(self.radius * factor))

    def size(self, delta: Images) -> PerExample:
        """||delta|| of each example [B]."""
        return self.geometry.size(delta.flatten(1))

    def project(self, delta: Images) -> Images:
        """The nearest perturbation (in L2) inside the ball; the box is not looked at."""
        return self.geometry.project(delta.flatten(1), self.radius).view_as(delta)

    def allow(self, x: Images, moved: Images) -> Images:
        """The nearest image (in L2) to `moved` that lies in the ball around `x` and in [0, 1]."""
        delta, low, high = ((part).flatten(1) for part in (moved - x, -x, 1 - x))
        near = self.geometry.project_box(delta, self.radius, low, high)
        return (x + near.view_as(x)).clamp(0, 1)

    def linear_minimum(self, x: Images, weights: Images) -> Images:
        """The allowed perturbation of x at which <weights, delta> is smallest, exactly up to rounding (use float64).

        It is the nearest allowed point to a point far away along -weights: such a projection has the form that the
        linear problem's optimality conditions ask for, once ball or box bind. Where the box does not bind, <weights,
        delta> is -eps times the dual norm of the weights.
        """
        size = (
            weights.flatten(1)
            .abs()
            .amax(1)
            .clamp(min=torch.finfo(weights.dtype).tiny)
            .view(-1, *[1] * (weights.dim() - 1))
        )
        far = (-FAR * (1 + self.radius) * weights / size).flatten(1)
        flat = x.flatten(1)
        return self.geometry.project_box(far, self.radius, -flat, 1 - flat).view_as(x)

    def steepest(self, grad: Images) -> Images:
        """The direction s with ||s|| <= 1 that maximises <grad, s>; where grad = 0 it is 0."""
        return self.geometry.steepest(grad.flatten(1)).view_as(grad)

    def sample(self, x: Images, seed: int) -> Tensor:
        """A perturbation drawn uniformly from the ball for each example [B, *S]; a function of (image, seed) alone."""
        flat = x.flatten(1)
        unit = self.geometry.sample(keys_of(x), flat.shape[1], seed)
        return (self.radius * unit).to(x.dtype).view_as(x)


def Linf(eps: float | str) -> Threat:
    """Every pixel may move by `eps` (MNIST 0.3, CIFAR-10 "8/255", ImageNet "4/255")."""
    threat = Threat("Linf", str(eps))
    if threat.radius > 1:
        warnings.warn(f"Linf {eps} is more than the whole range of pixels; is {eps}/255 meant?", stacklevel=2)
    return threat


def L2(eps: float | str) -> Threat:
    """The Euclidean length of the perturbation is at most `eps` (MNIST 2, CIFAR-10 0.5, ImageNet 3)."""
    return Threat("L2", str(eps))


def L1(eps: float | str) -> Threat:
    """The absolute values of the perturbation add up to at most `eps` (MNIST 10, CIFAR-10 12)."""
    return Threat("L1", str(eps))
