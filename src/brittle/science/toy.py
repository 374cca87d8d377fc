"""Two features, one brittle: training uses both, robust training ignores the one within the adversary's reach.

After the illustration of Ilyas et al. 2019, appendix D.10 (figure 14). Its coordinates are not printed; these are ours.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from brittle.ground import BrittleError

Points = Float64[NDArray[np.float64], "n d"]
PerPoint = Float64[NDArray[np.float64], "n"]
Weights = Float64[NDArray[np.float64], "d"]
EPS = 1.0
BEYOND, WITHIN = (
    (1.02, 1.2),
    (0.3, 0.7),
)  # y x_1 is always more than eps, y x_2 always less: each alone tells the classes apart


@dataclass(frozen=True)
class LinearRule:
    """A linear rule sign(w'x) and its shares of right answers; all exact on the given points.

    Attributes:
        weights: w.
        clean: on the points.
        robust: at every point within eps (Linf) of them.
        eps: that radius, in units of x.
    """

    weights: tuple[float, ...]
    clean: float
    robust: float
    eps: float

    def record(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


def toy(n: int = 1000, seed: int = 0) -> tuple[Points, PerPoint]:
    """Points x [n, 2] and labels y [n], +1 and -1 in turn: y x_1 uniform in 1.02 to 1.2, y x_2 in 0.3 to 0.7,
    independent.

    Random: a function of `seed`.
    """
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    low, high = np.array([BEYOND, WITHIN]).T
    return y[:, None] * np.random.default_rng(seed).uniform(low, high, (n, 2)), y


def linear_training(x: Points, y: PerPoint, eps: float = 0.0, *, decay: float = 1e-3) -> LinearRule:
    """The linear rule of adversarial training in Linf; for eps = 0 plain logistic regression. Its robust share is at
    `eps`.

    min over w of  mean log(1 + exp(-(y w'x - eps ||w||_1))) + decay/2 ||w||^2, where ||.||_1 is the dual norm of Linf:
    the inner maximum is exact. With w = p - q and p, q >= 0 it is smooth, so a weight of 0 is exactly 0.

    A feature with |x_j| <= eps everywhere gets weight 0: it adds y w_j x_j - eps |w_j| <= 0 to every margin, whatever
    the others.

    Args:
        x: points [n, d].
        y: labels [n], +1 or -1.
        eps: the adversary's radius in Linf, in units of x; at least 0.
        decay: pulls the weights towards 0; positive, since separable points have no finite best weights without it.
    Raises:
        BrittleError: eps is negative or NaN, decay is not positive.
    """
    _checked(eps)
    if not 0 < decay < math.inf:
        raise BrittleError(f"decay is more than 0, not {decay}")
    d, z = x.shape[1], y[:, None] * x
    signed = np.hstack([z - eps, -z - eps])  # what p and q add to each margin

    def loss(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = signed @ parts
        slope = -(signed * expit(-margin)[:, None]).mean(axis=0)
        return float(np.logaddexp(0, -margin).mean() + decay / 2 * (parts @ parts)), slope + decay * parts

    found = minimize(
        loss, np.zeros(2 * d), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2 * d, options={"gtol": 1e-9}
    )
    return judge_rule(found.x[:d] - found.x[d:], x, y, eps)


def judge_rule(w: Weights, x: Points, y: PerPoint, eps: float) -> LinearRule:
    """The rule with its clean share, y w'x > 0, and its robust share in Linf, y w'x > eps ||w||_1."""
    _checked(eps)
    margin = y * (x @ w)
    robust = margin > eps * np.abs(w).sum()
    return LinearRule(tuple(w.tolist()), float((margin > 0).mean()), float((robust & (margin > 0)).mean()), float(eps))


def plain_and_robust(n: int = 1000, seed: int = 0, eps: float = EPS) -> tuple[LinearRule, LinearRule]:
    """The rules of plain and of robust training on `toy`, both judged at `eps` (Linf).

    At eps = 1 both are right on every point; the plain one uses both features and few of its answers withstand the
    adversary, the robust one has weight 0 for x_2 and all of its answers do.

    Source: appendix D.10; points, norm and decay are ours.
    """
    x, y = toy(n, seed)
    plain = judge_rule(np.array(linear_training(x, y).weights), x, y, eps)
    return plain, linear_training(x, y, eps)


def _checked(eps: float) -> None:
    if not 0 <= eps < math.inf:
        raise BrittleError(f"eps is at least 0, not {eps}")
