"""Linear features of a two-class task by their usefulness and robustness, and two useful ones that are not robust. Goh
2019."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from brittle.attacks import L2, NormBall
from brittle.ground import BrittleError, Images, Labels

EUCLIDEAN = L2(1)
Directions = Float[Tensor, "F D"]
One = Float[Tensor, "1 D"]


class Placed(NamedTuple):
    """Where directions stand: log usefulness log E[y f] and log robustness log(||a||_Sigma / ||a||_*), natural, both
    [F]."""

    usefulness: Tensor
    robustness: Tensor


class Task2(NamedTuple):
    """A two-class task, centred: vectors [N, D] in float64 and signs [N] in {-1, +1}."""

    x: Tensor
    y: Tensor


def two_classes(x: Images, labels: Labels, first: int, second: int) -> Task2:
    """The images of two classes as vectors with mean 0, `first` as +1 and `second` as -1.

    Raises:
        BrittleError: a class without images.
    """
    kept = (labels == first) | (labels == second)
    flat, signs = x[kept].flatten(1).double(), torch.where(labels[kept] == first, 1.0, -1.0).double()
    if len(torch.unique(signs)) < 2:
        raise BrittleError(f"a task of two classes needs images of both; one of {first} and {second} has none")
    return Task2(flat - flat.mean(0), signs)


def singular_directions(task: Task2) -> Directions:
    """The right singular vectors of the data [F, D], the most variable first, without those of variance 0."""
    _, sizes, directions = torch.linalg.svd(task.x, full_matrices=False)
    kept: Tensor = directions[sizes > 1e-9 * sizes[0]]
    return kept


def place_directions(directions: Directions, task: Task2, ball: NormBall = EUCLIDEAN) -> Placed:
    """Usefulness and robustness of the features f(x) = a'x / ||a||_Sigma, each with the sign that makes it useful.

    Robust usefulness within eps of a norm is exactly E[y f] - eps ||a||_* / ||a||_Sigma, so that a feature stays useful
    up to eps = usefulness times robustness. Source: Goh 2019, "Two examples of useful, non-robust features" (Distill).
    """
    values = task.x @ directions.T
    spread, dual = values.std(0, correction=0), ball.dual_size(directions)
    useful = (task.y[:, None] * values).mean(0).abs() / spread
    return Placed(useful.log(), (spread / dual).log())


def ensemble(directions: Directions, task: Task2, below: float, ball: NormBall = EUCLIDEAN) -> One:
    """sum_i sign(E[y a_i'x]) a_i over the directions with log robustness under `below`, of length 1 [1, D].

    Each is barely useful; together they are useful and still not robust.

    Raises:
        BrittleError: no direction is that fragile.
    """
    fragile = directions[place_directions(directions, task, ball).robustness < below]
    if not len(fragile):
        raise BrittleError(f"no direction has a log robustness under {below:g}")
    signs = (task.y[:, None] * (task.x @ fragile.T)).mean(0).sign()
    return _unit(signs @ fragile)


def containment(robust: Tensor, fragile: Tensor, alpha: float) -> One:
    """(1 - alpha) a_fragile + alpha a_robust, of length 1 [1, D]: a fragile, useless direction that contains a useful
    one."""
    return _unit((1 - alpha) * fragile + alpha * robust)


def _unit(direction: Tensor) -> One:
    unit: Tensor = direction / direction.norm()
    return unit[None]
