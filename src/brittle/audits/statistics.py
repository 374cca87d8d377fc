"""Accuracies as what they are: counts of n examples, with intervals."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, ndtri  # scipy.stats takes half a second to import

NEXT = 1e-12  # beside a difference that was found


@dataclass(frozen=True)
class Proportion:
    """`correct` of `n`, with its exact (Clopper-Pearson) 95 % interval."""

    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        """correct / n; 0 of 0 is 0."""
        return self.correct / self.n if self.n else 0.0

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (low, high). Source: Clopper and Pearson 1934."""
        if not self.n:
            return 0.0, 1.0
        right, wrong = self.correct, self.n - self.correct
        low = betaincinv(right, wrong + 1, 0.025) if right else 0.0
        high = betaincinv(right + 1, wrong, 0.975) if wrong else 1.0
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]".replace("%", " %")

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {"correct": self.correct, "n": self.n, "accuracy": self.accuracy, "interval": list(self.interval)}


def paired_p_value(only_first: int, only_second: int) -> float:
    """The chance that `only_first` so far exceeds `only_second` if neither is more likely: McNemar's exact test,
    one-sided."""
    both = only_first + only_second
    return float(bdtrc(only_first - 1, both, 0.5)) if only_first else 1.0


def chance_p_value(correct: int, n: int, chance: float) -> float:
    """The chance of at least `correct` of `n`, where each is right with this `chance`."""
    return float(bdtrc(correct - 1, n, chance)) if correct else 1.0


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_interval(only_first: int, only_second: int, n: int) -> Interval:
    """By how much a share of `n` exceeds another of the same examples, of which `only_first` are in the first alone and
    `only_second` in the second alone: the difference with its 95 % score interval.

    Those differences that the score test does not reject, so that without any discordant example the interval is no
    point: it reaches z^2 / (n + z^2) to each side.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design".
    """
    from scipy.optimize import brentq  # here: a fifth of a second

    first, second = only_first, only_second
    mean, z = (first - second) / n, float(ndtri(0.975))

    def beyond(difference: float, side: float) -> float:
        """What was found, less `difference`, less `side` standard deviations, of the likeliest shares that differ so:
        `alone` only in the second, `alone + difference` only in the first."""
        half = (2 * n - first + second) * difference - first - second
        alone = (math.sqrt(half**2 + 8 * n * second * difference * (1 - difference)) - half) / (4 * n)
        spread = math.sqrt(max(0.0, n * (2 * alone + difference * (1 - difference))))
        return first - second - n * difference - side * spread

    low = -1.0 if mean == -1 else brentq(beyond, -1.0, mean - NEXT, args=(z,))
    high = 1.0 if mean == 1 else brentq(beyond, mean + NEXT, 1.0, args=(-z,))
    return Interval(mean, float(low), float(high))


def mean_interval(values: NDArray[np.float64], seed: int = 0) -> Interval:
    """The mean of some values [n] with its bootstrap interval (percentile, 2,000 resamples, drawn from `seed`)."""
    from scipy.stats import bootstrap  # here: half a second

    mean = float(values.mean())
    if len(values) < 2 or float(np.ptp(values)) == 0:
        return Interval(mean, mean, mean)
    found = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(seed))
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))
