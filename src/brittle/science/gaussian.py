"""The two Gaussians of Ilyas et al. 2019 (section 4, appendix E) in closed form: x ~ N(y mu, Sigma), y = +1 or -1.

`eps` is a budget: it bounds the mean *square*, E||delta||^2 <= eps, in squared units of x. The paper calls eps the size
of delta, but its bounds on the multiplier, (1 + eps^1/2) / (eps^1/2 + eps^3/2) <= lam <= (1 + eps^1/2) / eps^1/2 up to
constants, hold for
the square (lam ~ eps^-1/2 as eps -> 0, ~ d / eps as eps -> inf) and not for the length (lam ~ 1 / eps as eps -> 0).
Everything is float64 and exact up to rounding; `gaussian_training.py` arrives at the same by adversarial training.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

from brittle.ground import BrittleError

Numbers = NDArray[np.float64]
Vector = Float64[Numbers, "d"]
Matrix = Float64[Numbers, "d d"]
Points = Float64[Numbers, "n d"]
PerPoint = Float64[Numbers, "n"]
EXACT = 4 * float(np.finfo(np.float64).eps)
LARGEST = 1e300  # of eps, and of a tenth of an entry: so that no sum overflows
WIDER = 1e-6  # in log lam, so that no rounding puts the root outside its bracket


@dataclass(frozen=True, eq=False, init=False)
class Gaussians:
    """Two classes y = +1 and -1 with x ~ N(y mu, sigma); or the parameters (mu, sigma) that someone learned of them.

    Attributes:
        mu: mean of class +1 [d], not 0.
        sigma: covariance of both classes [d, d], positive definite.
    Raises:
        BrittleError: shapes that do not fit, NaN, a mean of zeros, a covariance that is not symmetric or not positive
            definite.
    """

    mu: Numbers
    sigma: Numbers

    def __init__(self, mu: ArrayLike, sigma: ArrayLike) -> None:
        try:
            mu, sigma = np.array(mu, dtype=np.float64), np.array(sigma, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BrittleError(f"mu and sigma are arrays of numbers ({error})") from error
        if mu.ndim != 1 or not mu.size or sigma.shape != (mu.size, mu.size):
            raise BrittleError(
                f"mu is a vector [d] and sigma a matrix [d, d], not {list(mu.shape)} and {list(sigma.shape)}"
            )
        if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
            raise BrittleError("mu or sigma has an entry that is NaN or infinite; give finite numbers")
        if max(np.abs(mu).max(), np.abs(sigma).max()) > 10 * LARGEST:
            raise BrittleError(f"mu or sigma has an entry beyond {10 * LARGEST:g}; give both in larger units")
        if not mu.any():
            raise BrittleError("mu is 0, so the classes are the same; give a mean with an entry other than 0")
        if np.abs(sigma - sigma.T).max() > 1e-9 * np.abs(sigma).max():
            raise BrittleError("sigma is not symmetric; a covariance is: give (sigma + sigma') / 2")
        held: dict[str, Numbers] = {"mu": mu, "sigma": (sigma + sigma.T) / 2}
        for name, value in held.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        if self.values[0] <= mu.size * EXACT * self.values[-1]:
            low = float(self.values[0])
            raise BrittleError(
                f"sigma is not positive definite (smallest eigenvalue {low:.3g}); drop features that others "
                "determine, or add c I"
            )

    @cached_property
    def _eigen(self) -> tuple[Vector, Matrix]:
        values, vectors = np.linalg.eigh(self.sigma)
        return values, vectors

    @property
    def values(self) -> Vector:
        """The eigenvalues of sigma, ascending [d]."""
        return self._eigen[0]

    @property
    def vectors(self) -> Matrix:
        """The eigenvectors of sigma as columns, in the order of `values` [d, d]."""
        return self._eigen[1]

    @property
    def weights(self) -> Vector:
        """w = sigma^-1 mu [d]: the rule sign(w'x) of largest likelihood, and half its logit's gradient by x."""
        return self.vectors @ (self.vectors.T @ self.mu / self.values)

    @property
    def condition(self) -> float:
        """The condition number k of sigma: its largest eigenvalue over its smallest."""
        return float(self.values[-1] / self.values[0])

    @property
    def alignment(self) -> float:
        """cos(mu, sigma^-1 mu), how far the gradient points from one class to the other; in (0, 1]."""
        return float(_unit(self.mu) @ _unit(self.weights))

    @property
    def worst_alignment(self) -> float:
        """min over mu of cos(mu, sigma^-1 mu) = 2 sqrt(k) / (1 + k), k = `condition` (Kantorovich); `worst_mean`
        attains it.

        Source: theorem 3, which says that this minimum is larger after robust training. The value itself is ours.
        """
        root = math.sqrt(self.condition)
        return 2 / (root + 1 / root)

    @property
    def worst_mean(self) -> Vector:
        """A mean that attains `worst_alignment` [d]: sqrt(s) along the eigenvectors of the largest and of the smallest
        s."""
        if len(self.values) == 1:
            return np.sqrt(self.values)
        ends = [0, -1]
        return self.vectors[:, ends] @ np.sqrt(self.values[ends])

    def accuracy(self, w: Vector, radius: float = 0.0) -> float:
        """The share of (x, y) that sign(w'x) labels right at every point within `radius` (L2) of x.

        Phi((w'mu - radius ||w||) / sqrt(w' sigma w)): y w'x is normal, and the adversary takes radius ||w|| from it.

        Args:
            w: the rule [d], not 0.
            radius: length of each single delta, in units of x; 0 gives clean accuracy. A budget `eps` is a mean square:
                its root is comparable to a radius.
        Raises:
            BrittleError: a negative radius, or weights that make no rule.
        """
        if not np.abs(w).max() > 0 or not 0 <= radius < math.inf:
            raise BrittleError(f"a rule has weights other than 0 and a radius is at least 0, not {radius}")
        w = _unit(w)
        return float(ndtr((w @ self.mu - radius) / math.sqrt(float(w @ self.sigma @ w))))

    def draw(self, n: int, seed: int = 0) -> tuple[Points, PerPoint]:
        """Samples x [n, d] and labels y [n], +1 and -1 in turn. y x (`folded`) is distributed as class +1.

        Random: a function of `seed`.
        """
        y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
        noise = np.random.default_rng(seed).standard_normal((n, len(self.mu)))
        return y[:, None] * self.mu + (noise * np.sqrt(self.values)) @ self.vectors.T, y


def example() -> Gaussians:
    """Two long, tilted Gaussians beside each other, mu = (5, 0), sigma = [[14, 5.5], [5.5, 3]]: the gradient is 61
    degrees off mu.

    Source: in the manner of figure 4, whose mean and covariance are not printed; these are ours.
    """
    return Gaussians(np.array([5.0, 0.0]), np.array([[14.0, 5.5], [5.5, 3.0]]))


def folded(x: Points, y: PerPoint) -> Points:
    """y x [n, d]: both classes as samples of class +1, which loses nothing since sigma is the same for both."""
    return y[:, None] * x


def maximum_likelihood(samples: Points) -> Gaussians:
    """The Gaussians under which the folded samples [n, d] are likeliest: their mean, and their covariance (divided by
    n).

    Raises:
        BrittleError: too few samples for a positive definite covariance (at least d + 1 are needed).
    """
    if len(samples) <= samples.shape[1]:
        raise BrittleError(f"{len(samples)} samples have no covariance in {samples.shape[1]} dimensions; draw more")
    mean = samples.mean(axis=0)
    return Gaussians(mean, (samples - mean).T @ (samples - mean) / len(samples))


@dataclass(frozen=True, eq=False)
class Robust:
    """The Gaussians of largest robust likelihood. `robust_likelihood` makes one.

    Attributes:
        truth: what the data are.
        eps: the budget E||delta||^2.
        lam: the multiplier of the budget; infinite for eps = 0.
        learned: (mu_r, Sigma_r).
    """

    truth: Gaussians
    eps: float
    lam: float
    learned: Gaussians

    def perturbation(self, samples: Points) -> Points:
        """delta*(x) = (lam Sigma_r - I)^-1 (x - mu) for folded samples [n, d]: what the adversary adds; E||delta*||^2 =
        eps.

        The matrix is that of the *learned* covariance, the mean square is over the true one: it equals eps at Theta_r
        only, where it is tr(Sigma_r^-1) / lam^2.

        Source: appendix E.3.2; the paper writes Sigma for any parameters.
        """
        if self.eps == 0:
            return np.zeros_like(samples)
        v = self.truth.vectors
        return (samples - self.truth.mu) @ v / np.expm1(_log_growth(self.truth.values, math.log(self.lam))) @ v.T

    def record(self) -> dict[str, Any]:
        """The figures as JSON: accuracies of the learned rule, and of the rule of eps 0, on the truth; the radius is
        sqrt(eps)."""
        learned, w = self.learned, self.learned.weights
        return {
            "eps": self.eps,
            "lambda": None if math.isinf(self.lam) else self.lam,
            "mu": learned.mu.tolist(),
            "sigma": learned.sigma.tolist(),
            "eigenvalues": learned.values.tolist(),
            "condition": learned.condition,
            "gradient": w.tolist(),
            "alignment": learned.alignment,
            "worst_alignment": learned.worst_alignment,
            "clean_accuracy": self.truth.accuracy(w),
            "robust_accuracy": self.truth.accuracy(w, math.sqrt(self.eps)),
            "standard_robust_accuracy": self.truth.accuracy(self.truth.weights, math.sqrt(self.eps)),
            "radius": math.sqrt(self.eps),
        }


def robust_likelihood(truth: Gaussians, eps: float) -> Robust:
    """The Gaussians that maximise the likelihood of the worst perturbed samples, E||delta||^2 = eps.

    mu_r = mu,  Sigma_r = Sigma/2 + I/lam + sqrt(Sigma/lam + Sigma^2/4),  lam the root of tr(Sigma_r^-1) / lam^2 = eps.

    With lam s = 4 sinh(u)^2 for an eigenvalue s of Sigma, that of Sigma_r is s_r = exp(2u) / lam: no cancellation at
    any eps.

    Args:
        truth: what the data are.
        eps: the budget, the mean square of delta (see the module), in squared units of x; at least 0.
    Raises:
        BrittleError: eps is negative, NaN or infinite.
    Source: theorem 2, appendix E.3.3. The paper bounds lam and says that it depends on eps; the equation for it is
    ours.
    """
    checked_budget(eps)
    if eps == 0:
        return Robust(truth, 0.0, math.inf, truth)
    s = truth.values

    def excess(log_lam: float) -> float:
        return float(logsumexp(-log_lam - _log_growth(s, log_lam))) - math.log(
            eps
        )  # tr(Sigma_r^-1) / lam^2 as logarithms

    # max(lam, lam^2 s) <= lam^2 s_r <= 3/2 (lam + lam^2 s) brackets the root, since the sum of 1 / (lam^2 s_r) falls in
    # lam: above by d / lam and tr(Sigma^-1) / lam^2, below by the root of lam + lam^2 s_max = q := 2d / (3 eps).
    q = math.log(2 * len(s) / 3) - math.log(eps)
    low = math.log(2) + q - np.logaddexp(0, 0.5 * np.logaddexp(0, math.log(4 * s[-1]) + q))
    high = min(math.log(len(s)) - math.log(eps), (math.log((1 / s).sum()) - math.log(eps)) / 2)
    log_lam = float(brentq(excess, low - WIDER, high + WIDER, xtol=EXACT, rtol=EXACT))
    robust = np.exp(_log_growth(s, log_lam) - log_lam)
    return Robust(truth, float(eps), math.exp(log_lam), Gaussians(truth.mu, truth.vectors * robust @ truth.vectors.T))


def _log_growth(s: Vector, log_lam: float) -> Vector:
    """log(lam s_r) = 2 asinh(sqrt(lam s) / 2) of each true eigenvalue s."""
    growth: Vector = 2 * np.arcsinh(np.exp((np.log(s) + log_lam) / 2) / 2)
    return growth


def _unit(w: Vector) -> Vector:
    w = w / np.abs(w).max()
    return w / np.linalg.norm(w)


def checked_budget(eps: float) -> None:
    """Refuse what is no budget."""
    if not isinstance(eps, int | float | np.number) or not 0 <= eps <= LARGEST:
        raise BrittleError(f"eps is E||delta||^2, a number of at least 0 (and at most {LARGEST:g}), not {eps!r}")
