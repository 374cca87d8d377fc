"""Theorem 1 of Ilyas et al. 2019: how much an adversary harms the likelihood of a Gaussian, and where that is least."""

import math

import numpy as np

from brittle.ground import BrittleError

from .gaussian import Gaussians, Points


def adversarial_gap(truth: Gaussians, penalty: float) -> float:
    """L_adv - L of the true parameters, tr[(I + (C Sigma - I)^-1)^2] - d: how much an adversary harms the likelihood.

    L is the mean of l = (x - mu)' Sigma^-1 (x - mu) + logdet Sigma (no factor 1/2), L_adv that of l at x + delta, where
    delta maximises l - C ||delta||^2; the penalty chooses delta and is not counted in L_adv. With l/2 the gap is half
    of this and the penalty (C/2) ||delta||^2.

    Args:
        penalty: C, in 1 / squared units of x; more than 1 / s_min(Sigma), or the maximum is infinite.
    Raises:
        BrittleError: a penalty that is too small, or NaN.
    Source: theorem 1, appendix E.3.2. It prints C ||delta||; its result is that of the square.
    """
    least = 1 / float(truth.values[0])
    if not penalty > least:
        raise BrittleError(
            f"the penalty C is {penalty}; below 1 / (smallest eigenvalue) = {least:.6g} the adversary has no bound"
        )
    r = 1 / (penalty * truth.values - 1)
    return float((r * (2 + r)).sum())


def excess_gap(truth: Gaussians, penalty: float) -> float:
    """How much larger the gap is than at the multiple of I of the same trace: their ratio less 1; 0 there only.

    The gap is the sum of f(s) - 1 over the eigenvalues s of Sigma, f(s) = (C s / (C s - 1))^2. f is strictly convex, so
    that for a fixed trace k the sum is smallest where all s are k/d (Jensen).

    Args:
        penalty: C, as in `adversarial_gap`; the same for both covariances.
    Raises:
        BrittleError: a penalty that is too small, or NaN.
    Source: theorem 1, appendix E.3.2.
    """
    d = len(truth.mu)
    even = Gaussians(truth.mu, np.trace(truth.sigma) / d * np.eye(d))
    return adversarial_gap(truth, penalty) / adversarial_gap(even, penalty) - 1


def gap_of_samples(truth: Gaussians, samples: Points, penalty: float) -> tuple[float, float]:
    """L_adv - L of the true parameters as samples show it, and its standard error: what `adversarial_gap` gives in
    closed form.

    The mean of l(x + delta) - l(x), l = (x - mu)' Sigma^-1 (x - mu), where delta = (C Sigma - I)^-1 (x - mu) maximises
    l - C ||delta||^2.

    Args:
        samples: y x [n, d], drawn from `truth`; penalty: C, more than 1 / s_min(Sigma).
    Source: theorem 1, appendix E.3.2, in the reading of `adversarial_gap`.
    """
    precision, away = np.linalg.inv(truth.sigma), samples - truth.mu
    moved = away + away @ np.linalg.inv(penalty * truth.sigma - np.eye(len(truth.mu)))
    gap = np.einsum("ni,ij,nj->n", moved, precision, moved) - np.einsum("ni,ij,nj->n", away, precision, away)
    return float(gap.mean()), float(gap.std(ddof=1) / math.sqrt(len(gap)))
