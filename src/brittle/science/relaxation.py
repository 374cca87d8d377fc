"""The relaxation in appendix E.3.3 of Ilyas et al. 2019: one multiplier for all samples instead of one for each."""

import math

import numpy as np

from brittle.ground import BrittleError

from .gaussian import Gaussians, Points, Vector, checked_budget
from .gaussian_training import multiplier


def inner_maxima(learned: Gaussians, samples: Points, eps: float) -> tuple[float, float]:
    """The mean of 1/2 (x + delta - mu)' Sigma^-1 (x + delta - mu) at its largest: exact, and relaxed.

    Exact: ||delta||^2 <= eps for each sample. Relaxed: mean ||delta||^2 <= eps over all of them, which allows more, so
    that the second is never smaller. In both delta = (lam Sigma - I)^-1 (x - mu), where lam spends the whole budget:
    one for each sample, or one for all.

    Args:
        learned: the parameters (mu, Sigma).
        samples: folded samples y x [n, d] (see `folded`).
        eps: the budget, in squared units of x; at least 0.
    Raises:
        BrittleError: eps is negative, NaN or infinite; samples of another shape, with NaN, or exactly at the mean along
            an eigenvector of Sigma, where lam may not exist (of probability 0).
    Cost: one root search [d] for each sample. Random: nothing.
    Source: appendix E.3.3. The two maxima side by side are ours.
    """
    checked_budget(eps)
    if samples.shape[1:] != learned.mu.shape or not len(samples):
        raise BrittleError(f"samples are [n, {len(learned.mu)}], at least one, not {list(samples.shape)}")
    s, along = learned.values, ((samples - learned.mu) @ learned.vectors) ** 2
    if not (np.isfinite(along).all() and (along > 0).all()):
        raise BrittleError("a sample is NaN, infinite, or at the mean along an eigenvector; leave it out")

    def worst(along: Vector) -> float:
        return float((along * (1 + 1 / (multiplier(s, along, eps) * s - 1)) ** 2 / s).sum()) / 2

    return float(np.mean([worst(one) for one in along])), worst(along.mean(axis=0))


def multiplier_bounds(eps: float) -> tuple[float, float]:
    """What the paper prints as bounds on lam, up to constants: (1 + eps^1/2) / (eps^1/2 + eps^3/2) and
    (1 + eps^1/2) / eps^1/2.

    The constants are those of a covariance, in its units: lam eps^1/2 -> tr(Sigma^-1)^1/2 as eps -> 0, and
    lam eps -> d as eps -> inf.

    Args:
        eps: the budget E||delta||^2, at least 0; both bounds are infinite at 0, as lam is.
    Raises:
        BrittleError: eps is negative, NaN or infinite.
    Source: theorem 2, appendix E.3.3; that eps is the mean square and not the length is ours (see `gaussian.py`).
    """
    checked_budget(eps)
    if eps == 0:
        return math.inf, math.inf
    root = math.sqrt(eps)
    upper = (1 + root) / root
    return upper / (1 + eps), upper
