"""The claims that need no net: a toy where robust training is accurate too, and the theorems on two Gaussians."""

from dataclasses import dataclass
from itertools import pairwise

from brittle.science import (
    LinearRule,
    adversarial_gap,
    adversarial_training,
    example,
    folded,
    gap_of_samples,
    maximum_likelihood,
    plain_and_robust,
    robust_likelihood,
)

from ..paper import Claim, Ruling

GAUSSIANS = "Gaussian model"  # the part of the paper
SAMPLES = 5000
BUDGETS = (0.0, 1.0, 10.0)
PENALTY = 2.0  # of the adversary in theorem 1, times the least for which the maximum is finite
STANDARD_ERRORS = 4.0  # between the gap of the samples and the formula
RELATIVE = 1e-3  # between adversarial training and the closed form


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
        conditions, cosines: the condition number of the learned covariance and the worst cosine between gradient and
            mean (theorem 3), at each budget.
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
        cosines=tuple(one.worst_alignment for one in learned),
    )


def theory_claims(seed: int) -> tuple[Claim, ...]:
    """The claims, each with what counts as agreement and why."""
    return (
        Claim(
            part="D.10",
            name="robust and accurate at once",
            claim="There is a distribution where training uses a feature that is useful but not robust, and robust "
            "training is perfectly accurate and robust without it.",
            where="appendix D.10 and Figure 14",
            rule="on our toy (the coordinates of the paper are not known) both trainings are accurate on all points, "
            "only robust training is robust on all, and its weight on the brittle feature is 0",
            nodes=(),
            evidence=lambda results: compare_trainings(),
        ),
        Claim(
            part=GAUSSIANS,
            name="theorems 1 to 3",
            claim="Adversarial loss exceeds the plain one by what theorem 1 says; robust likelihood of two Gaussians "
            "learns the true mean and a covariance that nears a multiple of I as eps grows; gradients then point more "
            "from one class to the other.",
            where="section 4, theorems 1 to 3",
            rule=f"on {SAMPLES:,} samples the gap lies within {STANDARD_ERRORS:g} standard errors of the formula, "
            f"adversarial training arrives at the closed form of its own samples ({RELATIVE:g}, relative), the "
            "condition number falls with eps, and the worst cosine between gradient and mean grows",
            nodes=(),
            evidence=lambda results: check_theorems(seed),
        ),
    )


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.2g}" for value in values) + ")"
