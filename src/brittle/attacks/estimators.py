"""Estimators: at which points the gradient of a step is taken. `PLAIN` (loop.py) takes it at x."""

from collections.abc import Callable
from typing import Any

import torch

from brittle.ground import Flags, Images, Keys, PerExample, grad_and_hessian, keys_of, normal, unit, value_and_grad

from .loop import Estimator, Iterate, evaluation_at, gradient_at
from .losses import Aim, Loss
from .objectives import Evaluate, Evaluation


def smoothed_gradient(sigma: float, draws: int, seed: int, look: int = 1) -> Estimator:
    """The mean gradient over x + eta, eta ~ N(0, sigma^2 I): the gradient of the Gaussian-smoothed loss.

    `E_eta grad L(x + eta)`, Li et al. 2019 (Norm-Agnostic Robustness), eq. 3-4; loss and success are those at x itself.

    Args:
        look: at every so many steps the model is shown x itself; between them only the images that succeed with noise.
    Cost: `draws` gradients and one forward pass, fewer forward passes with a larger `look`.
    Random: a function of (clean image, seed, step, draw); rounding errors along the walk do not change the noise.
    """

    def noise(keys: Keys, at: Iterate, draw: int) -> Images:
        return normal(keys, at.x.shape[1:], seed=seed, draw=at.t * draws + draw).to(at.x.dtype)

    def update(evaluate: Evaluate, at: Iterate, keys: Keys) -> tuple[Evaluation, Images, Keys]:
        total, near = torch.zeros_like(at.x), torch.zeros(len(at.x), dtype=torch.bool, device=at.x.device)
        for draw in range(draws):
            noisy, grad = gradient_at(evaluate, at.x + sigma * noise(keys, at, draw), at.y)
            total, near = total + grad, near | noisy.success
        wanted = evaluation_at(evaluate, at.x, at.y) if (at.t + 1) % look == 0 else _seen(evaluate, at, noisy, near)
        return wanted, total / draws, keys

    return Estimator(keys_of, update)


def _seen(evaluate: Evaluate, at: Iterate, like: Evaluation, near: Flags) -> Evaluation:
    """What the model shows at x of the images `near` [B]; of the others neither success nor any loss (-inf)."""
    if at.x.device.type != "cpu":  # to choose some would wait for the device
        whole = evaluation_at(evaluate, at.x, at.y)
        return whole._replace(loss=torch.where(near, whole.loss, -torch.inf), success=whole.success & near)
    rows, unseen = near.nonzero().squeeze(1), torch.full_like(like.loss, -torch.inf)
    if len(rows) == 0:
        return like._replace(loss=unseen, success=near)
    some = evaluation_at(evaluate, at.x[rows], at.y[rows])
    return like._replace(
        logits=like.logits.index_copy(0, rows, some.logits),
        loss=unseen.index_copy(0, rows, some.loss),
        success=near.index_copy(0, rows, some.success),
    )


def eot_gradient(augment: Callable[[Images, int], Images], copies: int, seed: int) -> Estimator:
    """The mean gradient over `copies` augmented copies of x; loss and success are those at x itself.

    Args:
        augment: `(x, seed) -> x'` of the same shape, differentiable, such as `learning.Augment(4, True)`.
    Cost: `copies` gradients and one forward pass. Random: a function of (seed, step, copy) and of the batch.
    Source: expectation over transformation (Athalye et al. 2018).
    """

    def update(evaluate: Evaluate, at: Iterate, memory: Any) -> tuple[Evaluation, Images, Any]:
        total = torch.zeros_like(at.x)
        for copy in range(copies):

            def on_copy(x: Images, y: Aim, key: int = seed + at.t * copies + copy) -> Evaluation:
                return evaluate(augment(x, key), y)

            total += gradient_at(on_copy, at.x, at.y)[1]
        return evaluation_at(evaluate, at.x, at.y), total / copies, memory

    return Estimator(lambda x0: (), update)


def hessian_gradient(reach: float, iterations: int, seed: int, difference: float = 0.0) -> Estimator:
    """grad L(x) + H d for the d of length `reach` that power iteration arrives at: d <- reach * unit(grad L + H d).

    H u of a unit u is exact, or with a `difference` h above 0 what eq. 3 puts in its place:
    (grad L(x + h u) - grad L(x)) / h.

    Cost: 1 + 2 `iterations` gradients in time, with differences 1 + `iterations`. Random: the first d, a function of
    (clean image, seed, step).
    """

    def update(evaluate: Evaluate, at: Iterate, keys: Keys) -> tuple[Evaluation, Images, Keys]:
        def f(x: Images) -> tuple[PerExample, Evaluation]:
            evaluation = evaluate(x, at.y)
            return evaluation.loss, evaluation.detach()

        if difference:
            evaluation, grad = gradient_at(evaluate, at.x, at.y)
        else:
            evaluation, grad, exact = grad_and_hessian(f, at.x)

        def product(u: Images) -> Images:
            if not difference:
                return exact(reach * u)
            return reach / difference * (gradient_at(evaluate, at.x + difference * u, at.y)[1] - grad)

        move = normal(keys, at.x.shape[1:], seed=seed, draw=at.t).to(at.x.dtype)
        for _ in range(iterations):
            move = grad + product(unit(move))
        return evaluation, move, keys

    return Estimator(keys_of, update)


def gradient_of(loss_at: Callable[[int], Loss]) -> Estimator:
    """The gradient of `loss_at(t)` at x: for an attack whose loss changes from step to step. Cost: one gradient."""

    def update(evaluate: Evaluate, at: Iterate, memory: Any) -> tuple[Evaluation, Images, Any]:
        def f(x: Images) -> tuple[PerExample, Evaluation]:
            evaluation = evaluate(x, at.y)
            return loss_at(at.t)(evaluation.logits, at.y), evaluation.detach()

        return (*value_and_grad(f, at.x), memory)

    return Estimator(lambda x0: (), update)
