"""Lp balls: all images within `eps` of x in one norm."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from brittle.ground import BrittleError, Flags, Images, PerExample, keys_of

from .norms import Norm, norm_named

FAR = 1e6  # times the size of an image: how far "far away" is
TOLERANCE = 1e-5  # relative, on eps
ROUNDING = 2.0**-24  # of a float32 pixel in [0, 1], per coordinate
LARGEST = 1e9  # no two images are as far apart
L1_SHARE = 0.01  # of the pixels moved in one L1 step


@dataclass(frozen=True, eq=False)
class LpBall:
    """All images within `eps` of x in one norm, with pixels in [0, 1]; the same ball, however `eps` is written.

    Attributes:
        norm: `Linf`, `L2` or `L1`.
        eps: the radius in pixel units, kept as it was written ("8/255", "0.3"); `radius` is its value.
    """

    norm: str
    eps: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_named(self.norm).name)
        object.__setattr__(self, "eps", str(self.eps).strip())
        if not 0 <= self.radius <= LARGEST:
            raise BrittleError(f"eps must be a number from 0 to {LARGEST:g}, not {self.eps!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LpBall) and (self.norm, self.radius) == (other.norm, other.radius)

    def __hash__(self) -> int:
        return hash((self.norm, self.radius))

    def __str__(self) -> str:
        return f"{self.norm}:{self.eps}"

    @property
    def radius(self) -> float:
        """`eps` as a number; fractions are parsed, never evaluated."""
        return number_of(self.eps)

    @property
    def step_unit(self) -> float:
        return self.radius

    def usual_step(self, steps: int) -> float:
        """2.5 eps / steps, at most eps: far enough to reach any point of the ball and to turn back."""
        return min(2.5 / max(steps, 1), 1.0) * self.radius

    @property
    def sparse_steps(self) -> bool:
        return self.order == 1

    @property
    def order(self) -> float:
        return float(self.norm[1:])

    @property
    def _geometry(self) -> Norm:
        return norm_named(self.norm)

    def size(self, x: Images, x_adv: Images) -> PerExample:
        """||x_adv - x|| of each example [B]."""
        return self._geometry.size((x_adv - x).flatten(1))

    def contains(self, x: Images, x_adv: Images) -> Flags:
        """In [0, 1] and within eps (1 + 1e-5), but for what rounding to float32 adds to the norm. Computed on the
        CPU."""
        delta = (x_adv.cpu().double() - x.cpu().double()).flatten(1)
        slack = self._geometry.size(torch.full_like(delta[:1], ROUNDING)).sum()
        within = self._geometry.size(delta) <= self.radius * (1 + TOLERANCE) + slack
        return within.to(x_adv.device) & in_box(x_adv)

    def scaled(self, factor: float) -> "LpBall":
        return LpBall(self.norm, repr(self.radius * factor))

    def whole(self, x: Images) -> "LpBall":
        """The ball that holds every image of this shape."""
        return LpBall(self.norm, repr(float(self._geometry.size(torch.ones_like(x[:1]).flatten(1)))))

    def project(self, x: Images, moved: Images) -> Images:
        return self.around(x)(moved)

    def around(self, x: Images) -> Callable[[Images], Images]:
        return self._around(x, self.radius)

    def project_to(self, x: Images, moved: Images, radius: PerExample) -> Images:
        return self._around(x, radius[:, None])(moved)

    def _around(self, x: Images, radius: float | Tensor) -> Callable[[Images], Images]:
        flat = x.flatten(1)
        near = self._geometry.in_box(radius, -flat, 1 - flat)
        return lambda moved: x + near((moved - x).flatten(1)).view_as(x)  # in [0, 1]: x + (1 - x) never rounds above 1

    def project_ball(self, x: Images, moved: Images) -> Images:
        return x + self._geometry.project((moved - x).flatten(1), self.radius).view_as(x)

    def sample(self, x: Images, seed: int) -> Images:
        """A uniform draw from the ball, brought into [0, 1] by the nearest allowed image."""
        flat = x.flatten(1)
        delta = self.radius * self._geometry.sample(keys_of(x), flat.shape[1], seed)
        return self.project(x, x + delta.to(x.dtype).view_as(x))

    def steepest(self, grad: Images) -> Images:
        return self._geometry.steepest(grad.flatten(1)).view_as(grad)

    def direction(self, x: Images, grad: Images) -> Images:
        """The steepest direction; in L1 the signs of the most telling 1 % of pixels, divided by their number.

        One pixel a step would take for ever in L1. Pixels at the edge of the box that would leave it do not count.
        Source: Tramer and Boneh 2019, section 3.
        """
        if not self.sparse_steps:
            return self.steepest(grad)
        g, at = grad.flatten(1), x.flatten(1)
        blocked = ((at <= 0) & (g < 0)) | ((at >= 1) & (g > 0))
        size = torch.where(blocked, 0, g.abs())
        edge = size.topk(max(1, round(L1_SHARE * g.shape[1])), dim=1).values[:, -1:]
        signs = torch.where((size >= edge) & (size > 0), g.sign(), 0)
        return (signs / signs.abs().sum(1, keepdim=True).clamp(min=1)).view_as(grad)

    def dual_size(self, grad: Images) -> PerExample:
        return norm_named(self._geometry.dual).size(grad.flatten(1))

    def to_hyperplane(self, x: Images, normal: Images, gain: PerExample) -> Images:
        """Source: Croce and Hein 2020 (FAB), section 2.2: projections on a hyperplane and the box."""
        w = normal.flatten(1) * torch.where(gain < 0, -1, 1)[:, None]
        room = torch.where(w > 0, 1 - x.flatten(1), x.flatten(1))
        return (self._geometry.reach(w.abs(), room, gain.abs()) * w.sign()).view_as(x)

    def proximal(self, delta: Images, weight: PerExample) -> Images:
        return self._geometry.proximal(delta.flatten(1), weight).view_as(delta)

    def linear_minimum(self, x: Images, weights: Images) -> Images:
        """The allowed change of x at which <weights, delta> is smallest, exactly up to rounding (use float64).

        It is the nearest allowed point to a point far away along -weights: such a projection has the form that the
        linear problem's optimality conditions ask for, once ball or box bind. Where the box does not bind, <weights,
        delta> is -eps times the dual norm of the weights.
        """
        size = weights.flatten(1).abs().amax(1).clamp(min=torch.finfo(weights.dtype).tiny)
        far = (-FAR * (1 + self.radius) * weights.flatten(1) / size[:, None]).expand(len(x), -1)
        flat = x.flatten(1)
        return self._geometry.project_box(far, self.radius, -flat, 1 - flat).view_as(x)

    def least(self, x: Images, weights: Images) -> PerExample:
        """The least of <weights, d> over the allowed changes d of x [B], never above it but for rounding."""
        w, flat = weights.flatten(1), x.flatten(1)
        return -self._geometry.most(w.abs(), torch.where(w > 0, flat, 1 - flat), self.radius)

    def interval(self, x: Images) -> tuple[Images, Images]:
        return (x - self.radius).clamp(min=0), (x + self.radius).clamp(max=1)


def number_of(text: str) -> float:
    """A number, or a fraction such as 8/255: parsed, never evaluated."""
    try:
        above, *below = map(Fraction, text.split("/", 2))
        (divisor,) = below or (1,)
        number = float(above / divisor)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise BrittleError(f"eps must be a number or a fraction such as 8/255, not {text!r}") from None
    if above and not number:
        raise BrittleError(f"eps must be larger than {text!r}, which a computer rounds to 0")
    return number


def in_box(x: Images) -> Flags:
    """Whether all pixels lie in [0, 1] [B]; false for NaN."""
    flat: Tensor = x.flatten(1)
    return (flat >= 0).all(1) & (flat <= 1).all(1)


def Linf(eps: float | str) -> LpBall:
    """Every pixel may move by `eps` (MNIST 0.3, CIFAR-10 "8/255", ImageNet "4/255").

    Raises:
        BrittleError: more than 1, the whole range of a pixel.
    """
    threat = LpBall("Linf", str(eps))
    if threat.radius > 1:
        raise BrittleError(
            f"Linf:{eps} is more than the whole range of a pixel, which is 1; write Linf:{eps}/255 if that is meant"
        )
    return threat


def L2(eps: float | str) -> LpBall:
    """The Euclidean length of the perturbation is at most `eps` (MNIST 2, CIFAR-10 0.5, ImageNet 3)."""
    return LpBall("L2", str(eps))


def L1(eps: float | str) -> LpBall:
    """The absolute values of the perturbation add up to at most `eps` (MNIST 10, CIFAR-10 12)."""
    return LpBall("L1", str(eps))
