"""Estimators: at which points the gradient of a step is taken. `at_point` (loop.py) is the plain one."""

import torch

from brittle.ground import Images, Labels, keys_of, normal

from .loop import Estimator, at_point
from .objectives import See, Seen


def smoothed(x0: Images, sigma: float, draws: int, seed: int) -> Estimator:
    """The mean gradient over x + eta, eta ~ N(0, sigma^2 I): the gradient of the Gaussian-smoothed loss.

    `E_eta grad L(x + eta)`, Li et al. 2019 (Norm-Agnostic Robustness), eq. 3-4; the loss and the success are those at x itself.
    Cost: `draws` gradients and one forward pass.
    Random: a function of (clean image x0, seed, step, draw); rounding errors along the walk do not change the noise.
    """

    keys = keys_of(x0)

    def estimate(see: See, x: Images, y: Labels, t: int) -> tuple[Seen, Images]:
        total = torch.zeros_like(x)
        for k in range(draws):
            eta = normal(keys, x.shape[1:], seed=seed, draw=t * draws + k).to(x.dtype)
            total += at_point(see, x + sigma * eta, y, t)[1]
        with torch.no_grad():
            return see(x, y).detach(), total / draws

    return estimate
