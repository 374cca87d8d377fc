"""The adversary of any Gaussian model, and training against it by gradient descent: it arrives at
`robust_likelihood`."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from brittle.ground import BrittleError

from .gaussian import EXACT, WIDER, Gaussians, Points, Vector, checked_budget, maximum_likelihood

STAGE = 20  # steps of LBFGS between two changes of coordinates
ROUNDING = 1e-13  # a fall of the loss that is smaller says nothing


def robust_loss(truth: Gaussians, learned: Gaussians, eps: float) -> float:
    """The mean negative log-likelihood of `learned` on the worst perturbed data, E||delta||^2 = eps; lowest at Theta_r.

    min over lam > 1/s_min(S) of  1/2 tr[M (S - I/lam)^-1] + lam eps/2 + 1/2 logdet S,  M = Sigma + (mu - m)(mu - m)',
    for learned (m, S); without the constant d/2 log(2 pi). The sum of the first two is the dual of the inner maximum.

    Raises:
        BrittleError: eps is negative, NaN or infinite; dimensions that differ.
    Source: appendix E.3.3, its relaxation: one multiplier for all samples instead of one for each. Ours in this form.
    """
    if learned.mu.shape != truth.mu.shape:
        raise BrittleError(f"the truth has {len(truth.mu)} dimensions, what was learned has {len(learned.mu)}")
    moment = truth.sigma + np.outer(truth.mu - learned.mu, truth.mu - learned.mu)
    along = np.einsum("di,de,ei->i", learned.vectors, moment, learned.vectors)
    s, lam = learned.values, multiplier(learned.values, along, eps)
    return float((along / (s - 1 / lam)).sum() + (lam * eps if eps else 0.0) + np.log(s).sum()) / 2


def multiplier(values: Vector, along: Vector, eps: float) -> float:
    """The lam with E||(lam S - I)^-1 (x - m)||^2 = sum of a_i / (lam s_i - 1)^2 = eps, for any parameters (m, S).

    Args:
        values: eigenvalues s of S [d].
        along: mean squares a of x - m along the eigenvectors of S [d], positive.
        eps: the budget; 0 gives infinity.
    """
    checked_budget(eps)
    if eps == 0:
        return math.inf
    edge = float(values.min())
    past = values / edge - 1
    # each term alone is at most eps, and terms of at most eps / d are together at most eps
    low, high = (math.log(((np.sqrt(part * along / eps) - past) / values).max()) for part in (1, len(values)))

    def excess(log_beyond: float) -> float:  # of lam - 1 / edge, so that nothing cancels near the edge
        return float(np.log((along / (values * math.exp(log_beyond) + past) ** 2).sum() / eps))

    return 1 / edge + math.exp(brentq(excess, low - WIDER, high + WIDER, xtol=EXACT, rtol=EXACT))


@dataclass(frozen=True, eq=False)
class Trained:
    """Where adversarial training ended, and how it went there.

    Attributes:
        learned: the parameters (mu, Sigma).
        lam: the adversary's last multiplier; infinite for eps = 0.
        losses: mean negative log-likelihood of the perturbed samples at each evaluation, without d/2 log(2 pi).
        gradient: largest entry of the last gradient; near 0 if training has arrived.
    """

    learned: Gaussians
    lam: float
    losses: tuple[float, ...]
    gradient: float

    def distance(self, to: Gaussians) -> float:
        """The larger of ||mu - mu'|| / ||mu'|| and ||Sigma - Sigma'|| / ||Sigma'|| (Frobenius)."""
        pairs = ((self.learned.mu, to.mu), (self.learned.sigma, to.sigma))
        return max(float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)) for ours, theirs in pairs)


def adversarial_training(samples: Points, eps: float, *, steps: int = 1000, tolerance: float = 1e-6) -> Trained:
    """The parameters at which descent on the loss of perturbed samples comes to rest: `robust_likelihood` of the
    samples' own.

    min over (mu, Sigma) of  mean over x of max over delta of  1/2 (x + delta - mu)' Sigma^-1 (x + delta - mu) + 1/2
    logdet Sigma, mean ||delta||^2 <= eps. Each evaluation perturbs every sample to the exact maximiser of the current
    parameters, (lam Sigma - I)^-1 (x - mu), holds the perturbations still and differentiates the loss by the
    parameters, which is the gradient of the maximum (Danskin). The parameters are the mean and a triangular factor A of
    the precision, Sigma^-1 = A A', from 0 and a multiple of I. LBFGS with a line search descends, in coordinates
    relative to where it is (mu + A'^-1 m, A B), renewed every 20 steps, so that a condition number of 10^4 costs tens
    of steps and not thousands.

    Args:
        samples: folded samples y x [n, d] (see `folded`).
        eps: the budget, mean ||delta||^2 over the samples, in squared units of x; at least 0.
        steps: LBFGS iterations at most.
        tolerance: largest entry of the gradient at which training stops.
    Raises:
        BrittleError: eps is negative or NaN; samples with NaN or without a positive definite covariance.
    Cost: one eigendecomposition [d, d] and one gradient over all samples for each evaluation. Random: nothing.
    Source: section 4.1 and appendix E.3.4, with one multiplier for all samples (E.3.3), on all samples at once, with
    LBFGS in place of plain gradient descent.
    """
    maximum_likelihood(samples)  # refuses what cannot be learned from
    if steps < 1 or not tolerance >= 0:
        raise BrittleError(f"training takes at least 1 step and a tolerance of at least 0, not {steps} and {tolerance}")
    x = torch.tensor(samples)
    d = x.shape[1]
    mean, factor = x.new_zeros(d), torch.eye(d, dtype=x.dtype) / x.square().mean().sqrt()
    losses: list[float] = []
    gradient, before, left = math.inf, math.inf, steps
    while left > 0 and gradient > tolerance:
        mean, factor, gradient, taken = _descent(x, eps, mean, factor, min(STAGE, left), tolerance, losses)
        if before - losses[-1] <= ROUNDING:
            break
        before, left = losses[-1], left - taken
    learned = Gaussians(mean.numpy(), torch.cholesky_inverse(factor).numpy())
    return Trained(learned, _maximisers(x - mean, factor, eps)[1], tuple(losses), gradient)


def _descent(
    x: Tensor, eps: float, mean: Tensor, factor: Tensor, steps: int, tolerance: float, losses: list[float]
) -> tuple[Tensor, Tensor, float, int]:
    """`steps` of LBFGS from (mean, factor), the coordinates relative to them: where it ended, the gradient, the steps
    taken."""
    shift, below, diagonal = parameters = [torch.zeros_like(part).requires_grad_() for part in (mean, factor, mean)]
    back = torch.linalg.inv(factor).T

    def place() -> tuple[Tensor, Tensor]:
        return mean + back @ shift, factor @ (below.tril(-1) + diagonal.exp().diag())

    def evaluate() -> Tensor:
        at, root = place()
        with torch.no_grad():
            worst = x + _maximisers(x - at, root, eps)[0]
        loss = ((worst - at) @ root).square().sum(1).mean() / 2 - root.diagonal().log().sum()
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        losses.append(float(loss.detach()))
        return loss.detach()

    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=steps,
        tolerance_grad=tolerance,
        tolerance_change=ROUNDING,
        history_size=steps,
        line_search_fn="strong_wolfe",
    )
    optimizer.step(evaluate)  # type: ignore[no-untyped-call]
    evaluate()
    largest = max(float(parameter.grad.abs().max()) for parameter in parameters if parameter.grad is not None)
    with torch.no_grad():
        return *place(), largest, int(optimizer.state[shift]["n_iter"])


def _maximisers(away: Tensor, factor: Tensor, eps: float) -> tuple[Tensor, float]:
    """(lam Sigma - I)^-1 (x - mu) of each sample, Sigma^-1 = A A', and lam: their mean square is eps."""
    vectors, roots, _ = torch.linalg.svd(factor)
    along, values = away @ vectors, roots**-2.0
    lam = multiplier(values.numpy(), along.square().mean(0).numpy(), eps)
    return (along / (lam * values - 1)) @ vectors.T, lam
