"""A model with curved boundaries and the geometry of the threats, written out in numpy: what attacks are held to."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brittle.attacks import (
    L0,
    Attack,
    Threat,
    session,
)
from brittle.attacks.minimum import MinimumNormWalk
from brittle.ground import keys_of

Vector = NDArray[np.float64]
Point = Callable[[Vector], Vector]
SIZE = 6


class Curved:
    """Logits b_k + <w_k, x> + a_k ||x||^2 / 2, in torch for the attacks and in numpy for the formulas.

    `asked` holds the points that it was shown.
    """

    def __init__(self, classes: int = 5, size: int = SIZE, seed: int = 0, curvature: float = 1.0) -> None:
        draws = np.random.default_rng(seed)
        self.w, self.a = draws.normal(size=(classes, size)), curvature * draws.normal(size=classes)
        self.b = np.zeros(classes)
        self.b = -self.logits(np.full(size, 0.5))
        self.asked: list[Vector] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked += [x.detach().flatten(1).numpy().copy()]
        flat, (w, a, b) = x.flatten(1), (torch.from_numpy(part) for part in (self.w, self.a, self.b))
        return b + flat @ w.T + a * flat.square().sum(1, keepdim=True) / 2

    def logits(self, x: Vector) -> Vector:
        return self.b + self.w @ x + self.a * (x @ x) / 2

    def slopes(self, x: Vector) -> Vector:
        """The gradient of each logit [C, D]."""
        return self.w + self.a[:, None] * x

    def entropy_grad(self, x: Vector, y: int) -> Vector:
        return (softmax(self.logits(x)) - one_hot(y, self.logits(x))) @ self.slopes(x)

    def gap(self, x: Vector, y: int) -> tuple[float, Vector]:
        """The margin and its gradient."""
        z, slopes = self.logits(x), self.slopes(x)
        other = max((k for k in range(len(z)) if k != y), key=lambda k: z[k])
        return z[other] - z[y], slopes[other] - slopes[y]


def softmax(z: Vector) -> Vector:
    power = np.exp(z - z.max())
    return power / power.sum()


def one_hot(y: int, like: Vector) -> Vector:
    return np.eye(len(like))[y]


def by_loss(z: Vector, y: int, t: int) -> dict[str, float]:
    """Every loss of one example."""
    p, down = softmax(z), np.sort(z)[::-1]
    others = [k for k in range(len(z)) if k != y]
    gap, aimed = max(z[k] for k in others) - z[y], z[t] - z[y]
    return {
        "cross_entropy": -math.log(p[y]),
        "margin": gap,
        "probability_margin": max(p[k] for k in others) - p[y],
        "dlr": gap / (down[0] - down[2]) if len(z) >= 3 else gap,
        "targeted_margin": aimed,
        "targeted_dlr": aimed / (down[0] - (down[2] + down[3]) / 2) if len(z) >= 4 else aimed,
    }


def examples(model: Curved, count: int = 6, shape: tuple[int, ...] = (SIZE,), seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images far from the edges of the box, and what the model answers."""
    x = torch.from_numpy(0.35 + 0.3 * np.random.default_rng(seed).random((count, *shape)))
    y = model(x).argmax(1)
    model.asked.clear()
    return x, y


# the geometry: nearest points by bisection, steepest directions by their definition


def nearest(threat: Threat, x0: Vector, moved: Vector, eps: float | None = None) -> Vector:
    """The nearest point of ball and box: the multiplier of the constraint by bisection."""
    eps, kind = threat.radius if eps is None else eps, str(threat).partition(":")[0]
    d, low, high = moved - x0, -x0, 1 - x0
    if kind == "Linf":
        return x0 + np.clip(np.clip(d, -eps, eps), low, high)
    if kind == "L0":
        room = np.clip(d, low, high)
        kept = np.argsort(-(d**2 - (d - room) ** 2), kind="stable")[: int(eps)]
        return x0 + np.where(np.isin(np.arange(len(d)), kept), room, 0)

    def shrunk(t: float) -> Vector:
        near = d / (1 + t) if kind == "L2" else np.sign(d) * np.maximum(np.abs(d) - t, 0)
        return np.clip(near, low, high)

    def size(change: Vector) -> float:
        return float(np.linalg.norm(change, 2 if kind == "L2" else 1))

    if size(shrunk(0)) <= eps:
        return x0 + shrunk(0)
    least, most = 0.0, 1e6
    for _ in range(200):
        middle = (least + most) / 2
        least, most = (middle, most) if size(shrunk(middle)) > eps else (least, middle)
    return x0 + shrunk(most)


def steepest_in(threat: Threat, grad: Vector) -> Vector:
    kind = str(threat).partition(":")[0]
    if kind == "Linf":
        return np.sign(grad)
    if kind == "L2":
        return grad / np.linalg.norm(grad) if grad.any() else grad
    moved = threat.count if isinstance(threat, L0) else 1
    return np.sign(grad) * np.isin(np.arange(len(grad)), np.argsort(-np.abs(grad))[:moved])


def trace(attack: Attack, x: Tensor, y: Tensor) -> Vector:
    """The points of the walk [steps + 1, B, D]."""
    assert attack.path is not None
    return np.stack([point.x.flatten(1).numpy() for point in attack.path(x, y, attack.seed)])


def minimum_trace(search: MinimumNormWalk, x: Tensor, y: Tensor) -> Vector:
    with session(search.objective) as evaluate:
        return np.stack([point.x.flatten(1).numpy() for point in search.path(evaluate, x, y, search.seed)])


def same_path(found: Vector, expected: list[list[Vector]], tolerance: float = 1e-12) -> None:
    """`expected` holds the points of each image, all or the first ones [B][steps + 1][D]."""
    for row, points in enumerate(expected):
        assert np.abs(np.stack(points) - points[0]).max() > 1e-3  # it does move
        np.testing.assert_allclose(found[: len(points), row], points, rtol=0, atol=tolerance)


def images(x: Tensor, y: Tensor) -> Iterator[tuple[Vector, int]]:
    return zip(x.flatten(1).numpy(), y.tolist(), strict=True)


def noise(kind: Callable[..., Tensor], x: Tensor, seed: int, draw: int) -> Vector:
    return kind(keys_of(x), x.shape[1:], seed=seed, draw=draw).double().flatten(1).numpy()


def ascent(start: Vector, steps: int, advance: Callable[[Vector, int], Vector]) -> list[Vector]:
    found = [start]
    for t in range(steps):
        found.append(advance(found[-1], t))
    return found
