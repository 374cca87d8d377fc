"""Estimators: at which points the gradient of a step is taken. `at_point` (loop.py) is the plain one."""

from collections.abc import Callable

import torch

from brittle.ground import Images, Labels, PerExample, grad_and_hessian, keys_of, norm_named, normal

from .loop import Estimator, plain_gradient
from .objectives import Evaluate, Evaluation


def smoothed_gradient(x0: Images, sigma: float, draws: int, seed: int) -> Estimator:
    """The mean gradient over x + eta, eta ~ N(0, sigma^2 I): the gradient of the Gaussian-smoothed loss.

    `E_eta grad L(x + eta)`, Li et al. 2019 (Norm-Agnostic Robustness), eq. 3-4; the loss and the success are those at x
    itself.
    Cost: `draws` gradients and one forward pass.
    Random: a function of (clean image x0, seed, step, draw); rounding errors along the walk do not change the noise.
    """

    keys = keys_of(x0)

    def estimate(evaluate: Evaluate, x: Images, y: Labels, t: int) -> tuple[Evaluation, Images]:
        total = torch.zeros_like(x)
        for k in range(draws):
            eta = normal(keys, x.shape[1:], seed=seed, draw=t * draws + k).to(x.dtype)
            total += plain_gradient(evaluate, x + sigma * eta, y, t)[1]
        with torch.no_grad():
            return evaluate(x, y).detach(), total / draws

    return estimate


def eot_gradient(augment: Callable[[Images, int], Images], copies: int, seed: int) -> Estimator:
    """The mean gradient over `copies` augmented copies of x; the loss and the success are those at x itself.

    Args:
        augment: `(x, seed) -> x'` of the same shape, differentiable, such as `learning.Augment(4, True)`.
    Cost: `copies` gradients and one forward pass. Random: a function of (seed, step, copy) and of the batch.
    Source: expectation over transformation (Athalye et al. 2018).
    """

    def estimate(evaluate: Evaluate, x: Images, y: Labels, t: int) -> tuple[Evaluation, Images]:
        total = torch.zeros_like(x)
        for k in range(copies):

            def moved(at: Images, y: Labels, key: int = seed + t * copies + k) -> Evaluation:
                return evaluate(augment(at, key), y)

            total += plain_gradient(moved, x, y, t)[1]
        with torch.no_grad():
            return evaluate(x, y).detach(), total / copies

    return estimate


def hessian_gradient(x0: Images, reach: float, iterations: int, seed: int) -> Estimator:
    """grad L(x) + H d for the d of length `reach` that power iteration arrives at: d <- reach * unit(grad L + H d).

    Cost: 1 + 2 `iterations` gradients in time. Random: the first d, a function of (clean image x0, seed, step).
    """
    keys, l2 = keys_of(x0), norm_named("L2")

    def longest(direction: Images) -> Images:
        return reach * l2.steepest(direction.flatten(1)).view_as(direction)

    def estimate(evaluate: Evaluate, x: Images, y: Labels, t: int) -> tuple[Evaluation, Images]:
        def f(x: Images) -> tuple[PerExample, Evaluation]:
            seen = evaluate(x, y)
            return seen.loss, seen.detach()

        seen, grad, product = grad_and_hessian(f, x)
        move = normal(keys, x.shape[1:], seed=seed, draw=t).to(x.dtype)
        for _ in range(iterations):
            move = grad + product(longest(move))
        return seen, move

    return estimate
