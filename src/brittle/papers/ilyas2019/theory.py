"""What needs no net: a toy where robust training is accurate too, and the theorems on two Gaussians."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from brittle.science import (
    Gaussians,
    LinearRule,
    adversarial_gap,
    adversarial_training,
    example,
    excess_gap,
    folded,
    gap_of_samples,
    inner_maxima,
    maximum_likelihood,
    multiplier_bounds,
    plain_and_robust,
    robust_likelihood,
)

from ..paper import Ruling

SAMPLES = 5000
BUDGETS = (0.0, 1.0, 10.0)
PENALTY = 2.0  # of the adversary in theorem 1, times the least for which the maximum is finite
STANDARD_ERRORS = 4.0  # between the gap of the samples and the formula
RELATIVE = 1e-3  # between adversarial training and the closed form
STARTS = 10  # means from which the least aligned one is sought
DIMENSIONS = (2, 10, 50)
SPECTRA = 300  # in each dimension
ROUNDING = 1e-12  # relative, of a gap
BALLS = 1000  # samples that get a ball each
SHARES = (0.1, 1.0, 10.0)  # budgets as multiples of E||x - mu||^2
WIDEST = 16.0  # eigenvalue; the narrowest is 1
NEAR = 0.005  # relative difference of the relaxation from the exact problem in the most dimensions
LOWEST, HIGHEST = 1e-4, 1e4  # budgets in the printed bounds
CONSTANT = 4.0  # "up to constants"


@dataclass(frozen=True)
class RobustAndAccurate:
    """The rules of plain and of robust training on the toy."""

    plain: LinearRule
    robust: LinearRule

    def ruling(self) -> Ruling:
        _, brittle_weight = self.robust.weights
        holds = [
            self.plain.clean == 1,
            self.plain.robust < 1,
            self.robust.clean == 1,
            self.robust.robust == 1,
            brittle_weight == 0,
        ]
        evidence = "; ".join(
            f"{name} weights {_numbers(rule.weights)}: clean {rule.clean:.1%}, robust {rule.robust:.1%}"
            for name, rule in (("plain", self.plain), ("robust", self.robust))
        )
        return Ruling("agrees" if all(holds) else "differs", evidence)


@dataclass(frozen=True)
class TheoremsHold:
    """What the theorems say of two Gaussians, measured.

    Attributes:
        gap: of the samples' loss from the formula of theorem 1, in standard errors.
        distance: of adversarial training from the closed form of theorem 2, relative, the largest over budgets.
        conditions: the condition number of the learned covariance, at each budget.
        cosines: the worst cosine between gradient and mean (theorem 3), as a search over means finds it.
    """

    gap: float
    distance: float
    conditions: tuple[float, ...]
    cosines: tuple[float, ...]

    def ruling(self) -> Ruling:
        holds = [
            abs(self.gap) < STANDARD_ERRORS,
            self.distance < RELATIVE,
            all(larger < smaller for smaller, larger in pairwise(self.conditions)),
            all(larger > smaller for smaller, larger in pairwise(self.cosines)),
        ]
        return Ruling(
            "agrees" if all(holds) else "differs",
            f"the gap lies {abs(self.gap):.1f} standard errors from the formula; training ends {self.distance:.1e} "
            f"from the closed form at most; for eps {', '.join(f'{eps:g}' for eps in BUDGETS)} the condition number is "
            f"{_numbers(self.conditions)} and the worst cosine {_numbers(self.cosines)}",
        )


@dataclass(frozen=True)
class EvenIsLeast:
    """How much larger the gap of theorem 1 is than at the multiple of I of the same trace, as a share of the latter.

    Attributes:
        excess: of random spectra, in each dimension.
        even: of the multiple of I itself, in each dimension.
    """

    excess: tuple[tuple[float, ...], ...]
    even: tuple[float, ...]

    def ruling(self) -> Ruling:
        least, middle = (tuple(100 * float(of(one)) for one in self.excess) for of in (min, np.median))
        above = all(one > ROUNDING for row in self.excess for one in row)
        equal = all(abs(one) <= ROUNDING for one in self.even)
        return Ruling(
            "agrees" if above and equal else "differs",
            f"in {listed(DIMENSIONS)} dimensions the gap of {SPECTRA} random spectra each is larger than at the "
            f"multiple of I by {listed(least)} % at least and {listed(middle)} % in the median",
        )


@dataclass(frozen=True)
class RelaxationNears:
    """How far the inner maximum of the relaxation lies above that of the exact problem.

    Attributes:
        differences: relative; a row for each budget, a column for each dimension.
    """

    differences: tuple[tuple[float, ...], ...]

    def ruling(self) -> Ruling:
        falls = all(more < less for row in self.differences for less, more in pairwise(row))
        near = all(0 <= row[-1] < NEAR for row in self.differences)
        rows = (f"{listed(tuple(100 * one for one in row))} %" for row in self.differences)
        return Ruling(
            "agrees" if falls and near else "differs",
            f"in {listed(DIMENSIONS)} dimensions the relaxation lies above the exact problem by {'; '.join(rows)} for "
            f"budgets of {listed(SHARES)} times E||x - mu||^2 ({BALLS:,} samples)",
        )


@dataclass(frozen=True)
class MultiplierWithinBounds:
    """The multiplier of theorem 2 over its printed bounds, at each budget.

    Attributes:
        lower, upper: its ratio to the bounds, eps the mean square of delta.
        length_lower, length_upper: the same, were eps the length of delta.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    length_lower: tuple[float, ...]
    length_upper: tuple[float, ...]

    def ruling(self) -> Ruling:
        holds = [min(self.lower) > 1 / CONSTANT, max(self.upper) < CONSTANT]
        return Ruling(
            "agrees" if all(holds) else "differs",
            f"with eps the mean square the multiplier is at least {min(self.lower):.2g} times the lower bound and at "
            f"most {max(self.upper):.2g} times the upper one; were eps the length, it would be "
            f"{min(self.length_lower):.2g} and {max(self.length_upper):.3g} times",
        )


def compare_trainings() -> RobustAndAccurate:
    """Plain and robust training on the toy."""
    plain, robust = plain_and_robust()
    return RobustAndAccurate(plain, robust)


def check_theorems(seed: int) -> TheoremsHold:
    """The theorems on samples of the example's Gaussians."""
    truth = example()
    samples = folded(*truth.draw(SAMPLES, seed))
    own = maximum_likelihood(samples)
    trained = ((adversarial_training(samples, eps), robust_likelihood(own, eps).learned) for eps in BUDGETS)
    learned = [robust_likelihood(truth, eps).learned for eps in BUDGETS]
    penalty = PENALTY / truth.values[0]
    gap, error = gap_of_samples(truth, samples, penalty)
    return TheoremsHold(
        gap=(gap - adversarial_gap(truth, penalty)) / error,
        distance=max(ours.distance(closed) for ours, closed in trained),
        conditions=tuple(one.condition for one in learned),
        cosines=tuple(least_alignment(one.sigma, seed) for one in learned),
    )


def least_alignment(sigma: NDArray[np.float64], seed: int) -> float:
    """min over mu of cos(mu, sigma^-1 mu), by descent from random means: nothing of `condition` goes in."""

    def cosine(mu: NDArray[np.float64]) -> float:
        gradient = np.linalg.solve(sigma, mu)
        return float(mu @ gradient / np.linalg.norm(mu) / np.linalg.norm(gradient))

    starts = np.random.default_rng(seed).standard_normal((STARTS, len(sigma)))
    return min(float(minimize(cosine, start).fun) for start in starts)


def check_minimum(seed: int) -> EvenIsLeast:
    """Theorem 1 at spectra drawn uniformly among all of trace 1, and at the multiple of I."""
    rng = np.random.default_rng(seed)

    def excess(spectrum: NDArray[np.float64]) -> float:
        truth = Gaussians(np.ones(len(spectrum)), np.diag(spectrum))
        return excess_gap(truth, PENALTY / float(truth.values[0]))

    return EvenIsLeast(
        excess=tuple(tuple(excess(one) for one in rng.dirichlet(np.ones(d), SPECTRA)) for d in DIMENSIONS),
        even=tuple(excess(np.full(d, 1 / d)) for d in DIMENSIONS),
    )


def check_relaxation(seed: int) -> RelaxationNears:
    """Both inner maxima at the parameters of largest robust likelihood, eigenvalues from 1 to `WIDEST`."""

    def difference(share: float, d: int) -> float:
        truth = Gaussians(np.ones(d), np.diag(np.geomspace(1, WIDEST, d)))
        eps = share * float(truth.values.sum())
        exact, relaxed = inner_maxima(robust_likelihood(truth, eps).learned, folded(*truth.draw(BALLS, seed)), eps)
        return relaxed / exact - 1

    return RelaxationNears(tuple(tuple(difference(share, d) for d in DIMENSIONS) for share in SHARES))


def check_bounds() -> MultiplierWithinBounds:
    """The multiplier of the example over its printed bounds, two budgets to a decade."""
    budgets = [float(eps) for eps in np.geomspace(LOWEST, HIGHEST, 17)]
    bounds = [multiplier_bounds(eps) for eps in budgets]

    def ratios(power: int, bound: int) -> tuple[float, ...]:
        found = (robust_likelihood(example(), eps**power).lam for eps in budgets)
        return tuple(lam / both[bound] for lam, both in zip(found, bounds, strict=True))

    return MultiplierWithinBounds(ratios(1, 0), ratios(1, 1), ratios(2, 0), ratios(2, 1))


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.2g}" for value in values) + ")"


def listed(values: tuple[float, ...]) -> str:
    """Numbers as they are read."""
    return ", ".join(f"{value:.3g}" for value in values)
