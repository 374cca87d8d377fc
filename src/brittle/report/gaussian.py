"""Figure 4 of Ilyas et al. 2019 as SVG: how the learned covariance and the gradient change with the adversary's
budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from brittle.ground import BrittleError
from brittle.science import Gaussians, Robust, robust_likelihood

from .drawing import DASHES, WIDTH, drawing, panel, plain
from .svg import GREY, INK, PALETTE, PAPER, inline

Plane = NDArray[np.float64]  # two directions of length 1, as columns [d, 2]
SIDES = ((1, PALETTE[0], "o"), (-1, PALETTE[1], "x"))
LEFT, BELOW, ABOVE, HEAD, FOOT = 30, 34, 26, 44, 18
FLATTEST, STEEPEST = 0.4, 0.75  # a panel's height over its width
SEEN = 0.3  # the arrows' length over half the height, at least
HALO: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
ARROW: dict[str, Any] = {
    "arrowstyle": "-|>,head_width=0.3,head_length=0.55",
    "shrinkA": 0,
    "shrinkB": 0,
    "mutation_scale": 12,
}


def two_gaussians(
    truth: Gaussians, eps: Sequence[float] = (0.0, 1.0, 10.0), name: str = "gaussian", *, n: int = 200
) -> str:
    """One panel for each eps: samples, the learned covariance, the decision line, and the gradient beside the mean, as
    SVG.

    All panels show the same samples and have the same scale, one unit being as long upwards as sideways, so that angles
    are true. The arrows are directions, of one length: that of the mean, unless that would be too short to be seen. In
    more than two dimensions they show the plane of the largest and the smallest eigenvalue's eigenvectors: samples,
    ellipses and arrows projected on it, the line as its cut with the boundary; the angle above each panel is that in
    all dimensions.

    Args:
        truth: what the data are; two dimensions or more.
        eps: budgets E||delta||^2, in the panels' order.
        name: beginning of the ids in the SVG.
        n: samples shown, half of each class.
    Raises:
        BrittleError: one dimension; no eps; a mean without a part in the plane that would be shown.
    Random: the samples, always the same.
    Source: figure 4, whose mean and covariance are not printed.
    """
    if not eps:
        raise BrittleError("a figure needs at least one eps")
    plane, directions = _plane(truth)
    fits = [robust_likelihood(truth, one) for one in eps]
    x, y = truth.draw(n)
    points = x @ plane
    half = _half_widths(fits, points, plane)
    across = WIDTH - LEFT - 6
    up = across * half[1] / half[0]
    row = up + BELOW + ABOVE
    with drawing(name, height=HEAD + row * len(fits) + FOOT) as figure:
        height = 72 * figure.get_size_inches()[1]
        _legend(panel(figure, 0, height - HEAD, WIDTH, height))
        for i, fit in enumerate(fits):
            bottom = height - HEAD - row * (i + 1) + BELOW
            axes = panel(figure, LEFT, bottom, LEFT + across, bottom + up)
            axes.set(xlim=(-half[0], half[0]), ylim=(-half[1], half[1]))
            _draw(axes, fit, points, y, plane)
            axes.set_title(_words(fit), loc="left", pad=7)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(5))
                axis.set_major_formatter(plain())
            if i == len(fits) - 1:
                axes.set_xlabel(directions)
        told = "; ".join(f"{_words(fit)}, condition number {fit.learned.condition:.3g}" for fit in fits)
        return inline(figure, name, f"Two Gaussians and what robust likelihood learns of them. {told}.")


def _plane(truth: Gaussians) -> tuple[Plane, str]:
    d = len(truth.mu)
    if d == 1:
        raise BrittleError(
            "a figure needs two dimensions, and mu has one entry; give mu and the covariance two or more"
        )
    if d == 2:
        return np.eye(2), "x1; upwards x2"
    plane = truth.vectors[:, [-1, 0]]
    within = truth.mu @ plane
    if np.linalg.norm(within) < 1e-6 * np.linalg.norm(truth.mu):
        raise BrittleError(
            "mu has no part along the widest and the narrowest direction, which would be shown; leave out the figure"
        )
    return plane * np.where(within < 0, -1.0, 1.0), "direction of the largest eigenvalue; upwards of the smallest"


def _half_widths(fits: Sequence[Robust], points: NDArray[np.float64], plane: Plane) -> tuple[float, float]:
    """Half the panels' width and height: all samples and ellipses are inside, and the shape is neither flat nor
    steep."""
    reach = np.abs(points).max(axis=0, initial=0)
    for fit in fits:
        spread = np.sqrt(np.einsum("di,de,ei->i", plane, fit.learned.sigma, plane))
        reach = np.maximum(reach, np.abs(fit.truth.mu @ plane) + 2 * spread)
    wide, high = 1.05 * reach
    high = max(high, FLATTEST * wide, 1.1 * float(np.linalg.norm(fits[0].truth.mu @ plane)))
    return float(max(wide, high / STEEPEST)), float(high)


def _draw(axes: Axes, fit: Robust, points: NDArray[np.float64], y: NDArray[np.float64], plane: Plane) -> None:
    axes.grid(visible=True, axis="both")
    mean, gradient = fit.truth.mu @ plane, fit.learned.weights @ plane
    values, vectors = np.linalg.eigh(plane.T @ fit.learned.sigma @ plane)
    tilt = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    for side, colour, sign in SIDES:
        axes.scatter(
            points[y == side, 0],
            points[y == side, 1],
            s=9,
            marker=sign,
            color=colour,
            alpha=0.55,
            linewidth=0 if sign == "o" else 0.9,
        )
        for sigmas in (1, 2):
            size = 2 * sigmas * np.sqrt(values)
            edge = {"edgecolor": colour, "linewidth": 1.6, "linestyle": DASHES[sigmas - 1]}
            axes.add_patch(Ellipse(tuple(side * mean), size[1], size[0], angle=tilt, fill=False, **edge))
    axes.axline((0, 0), (-gradient[1], gradient[0]), color=INK, linewidth=1.4, linestyle=DASHES[3])
    length = max(float(np.linalg.norm(mean)), SEEN * axes.get_ylim()[1])
    turned = mean[0] * gradient[1] - mean[1] * gradient[0] >= 0
    for tip, text, colour, left in (
        (mean * length / np.linalg.norm(mean), "mean", GREY, not turned),
        (gradient * length / np.linalg.norm(gradient), "gradient", INK, turned),
    ):
        for paint, width in ((PAPER, 6.5), (colour, 2.6)):
            axes.annotate(
                "", (tip[0], tip[1]), xytext=(0, 0), arrowprops=ARROW | {"color": paint, "linewidth": width}, zorder=5
            )
        normal = np.array([-tip[1], tip[0]]) / length * (1 if left else -1)
        axes.annotate(
            text,
            (tip[0], tip[1]),
            xytext=(10 * normal[0] + 4 * tip[0] / length, 10 * normal[1] + 4 * tip[1] / length),
            textcoords="offset points",
            ha="left" if normal[0] > 0.3 else "right" if normal[0] < -0.3 else "center",
            va="center",
            color=colour,
            weight="bold",
            bbox=HALO,
            zorder=6,
        )


def _words(fit: Robust) -> str:
    angle = math.degrees(math.acos(min(1.0, fit.learned.alignment)))
    return f"eps {fit.eps:g}: gradient and mean {angle:.0f}° apart (cosine {fit.learned.alignment:.2f})"


def _legend(axes: Axes) -> None:
    axes.set(xlim=(0, WIDTH), ylim=(0, HEAD))
    axes.set_axis_off()
    x = 4.0
    for _, colour, sign in SIDES:
        axes.plot([x + 4], [HEAD - 9], marker=sign, color=colour, markersize=6, linestyle="")
        axes.text(x + 14, HEAD - 9, "y = +1" if sign == "o" else "y = −1", va="center")
        x += 74
    for x, y, line, colour, text in (
        (160, HEAD - 9, DASHES[3], INK, "decision line"),
        (4, HEAD - 28, DASHES[0], GREY, "learned covariance, 1 sigma"),
        (230, HEAD - 28, DASHES[1], GREY, "2 sigma"),
    ):
        axes.plot([x, x + 26], [y, y], color=colour, linestyle=line)
        axes.text(x + 34, y, text, va="center")
