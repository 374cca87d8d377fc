"""What a threat is: the set of images that an adversary may hand in instead of x."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from brittle.ground import Flags, Images, PerExample


@runtime_checkable
class Threat(Protocol):
    """A set of allowed images around each image x, as frozen data.

    Images are [B, *S] with pixels in [0, 1]. Changes are measured in the threat's own unit (a norm, a number of pixels,
    a share of the largest rotation), of which `radius` is the most that is allowed.
    """

    @property
    def radius(self) -> float:
        """The largest size allowed."""
        ...

    def __str__(self) -> str:
        """As it is written on the command line: `Linf:8/255`."""
        ...

    def size(self, x: Images, x_adv: Images) -> PerExample:
        """How large the change from x to x_adv is [B]; infinite where no such change is of this kind."""
        ...

    def contains(self, x: Images, x_adv: Images) -> Flags:
        """Whether x_adv is allowed [B], judged in float64 with the threat's own tolerance for rounding."""
        ...

    def project(self, x: Images, moved: Images) -> Images:
        """The allowed image nearest (in L2) to `moved`."""
        ...

    def sample(self, x: Images, seed: int) -> Images:
        """An allowed image drawn at random for each x: a function of (x, seed) alone, whatever else is in the batch."""
        ...

    def scaled(self, factor: float) -> "Threat":
        """The same kind of threat with `factor` times the radius."""
        ...

    def whole(self, x: Images) -> "Threat":
        """The threat as large as it gets for images of this shape."""
        ...


@runtime_checkable
class Ball(Threat, Protocol):
    """A threat whose sizes have steepest directions, so that gradients can be climbed inside it."""

    def scaled(self, factor: float) -> "Ball": ...

    @property
    def step_unit(self) -> float:
        """What the length of a step is measured in: the radius of a norm, the range of a pixel in L0."""
        ...

    def usual_step(self, steps: int) -> float:
        """How long each of `steps` steps is where nothing else is asked."""
        ...

    @property
    def sparse_steps(self) -> bool:
        """Whether a step should move few pixels (L1)."""
        ...

    def steepest(self, grad: Images) -> Images:
        """The change that maximises <grad, s> of all s one `step_unit` long, in that unit; 0 where grad = 0."""
        ...

    def direction(self, x: Images, grad: Images) -> Images:
        """The direction of one step at x: the steepest, or one spread over several pixels where a step would move
        one."""
        ...


@runtime_checkable
class NormBall(Ball, Protocol):
    """A ball of a norm: distances to hyperplanes and proximal points exist, as FAB, FMN and PDPGD need them."""

    def scaled(self, factor: float) -> "NormBall": ...

    @property
    def order(self) -> float:
        """p of the norm (sum |d|^p)^(1/p); infinite for the largest |d|."""
        ...

    def dual_size(self, grad: Images) -> PerExample:
        """The dual norm of grad [B]: the most that <grad, s> reaches over ||s|| <= 1."""
        ...

    def project_to(self, x: Images, moved: Images, radius: PerExample) -> Images:
        """As `project`, with a radius of its own for each example."""
        ...

    def project_ball(self, x: Images, moved: Images) -> Images:
        """The nearest point of the ball alone; pixels may leave [0, 1]."""
        ...

    def to_hyperplane(self, x: Images, normal: Images, gain: PerExample) -> Images:
        """The smallest change d with <normal, d> = gain and x + d in [0, 1], or as far as the box allows."""
        ...

    def proximal(self, delta: Images, weight: PerExample) -> Images:
        """argmin over d of ||d - delta||_2^2 / 2 + weight ||d||."""
        ...

    def linear_minimum(self, x: Images, weights: Images) -> Images:
        """The allowed change of x at which <weights, d> is smallest."""
        ...


@runtime_checkable
class Anchored(Threat, Protocol):
    """A threat whose `project` does part of its work once for each x."""

    def around(self, x: Images) -> Callable[[Images], Images]:
        """`project` for this x."""
        ...


def nearest(threat: Threat) -> Callable[[Images, Images], Images]:
    """`threat.project`, for a walk: what depends on x alone is computed once, as long as it is the same tensor."""
    if not isinstance(threat, Anchored):
        return threat.project
    of, project = None, None

    def near(x: Images, moved: Images) -> Images:
        nonlocal of, project
        if project is None or of is not x:
            of, project = x, threat.around(x)
        return project(moved)

    return near


@runtime_checkable
class Certifiable(Threat, Protocol):
    """A threat over which linear functions have a least value in closed form, as proofs of robustness need it."""

    def least(self, x: Images, weights: Images) -> PerExample:
        """The least of <weights, d> over the allowed changes d of x [B]: never above it but for rounding (use
        float64)."""
        ...

    def interval(self, x: Images) -> tuple[Images, Images]:
        """The least and the largest that each pixel may become."""
        ...
