"""The claims that need no net: what each says, and what counts as agreement."""

from ..paper import Claim
from .theory import (
    CONSTANT,
    DIMENSIONS,
    HIGHEST,
    LOWEST,
    NEAR,
    PENALTY,
    RELATIVE,
    ROUNDING,
    SAMPLES,
    SPECTRA,
    STANDARD_ERRORS,
    WIDEST,
    check_bounds,
    check_minimum,
    check_relaxation,
    check_theorems,
    compare_trainings,
    listed,
)

GAUSSIANS = "Gaussian model"  # the part of the paper


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
            "only robust training is robust on all, and its weight on the brittle feature is 0"
            "; it fails where one of these does not hold",
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
            "condition number falls with eps, and the worst cosine between gradient and mean, sought over means by "
            "descent, grows"
            "; it fails where one of these does not hold",
            nodes=(),
            evidence=lambda results: check_theorems(seed),
        ),
        Claim(
            part=GAUSSIANS,
            name="the minimum of theorem 1",
            claim="Among covariances of the same trace, an adversary costs least at the multiple of I.",
            where="section 4, theorem 1",
            rule=f"{SPECTRA} spectra are drawn uniformly from all of the same trace in each of {listed(DIMENSIONS)} "
            "dimensions; every gap lies above that at the multiple of I, and that of the multiple of I itself does "
            f"not ({ROUNDING:g}, relative); the penalty is {PENALTY:g} / s_min of the spectrum in both gaps"
            "; it fails where one of these does not hold",
            nodes=(),
            evidence=lambda results: check_minimum(seed),
        ),
        Claim(
            part=GAUSSIANS,
            name="one multiplier for all samples",
            claim="The relaxation, one budget for the mean of ||delta||^2, nears the exact problem, a budget for each "
            "sample, as the dimension grows.",
            where="appendix E.3.3",
            rule=f"at the robust parameters, eigenvalues from 1 to {WIDEST:g}, the relative difference of the inner "
            f"maxima falls from {listed(DIMENSIONS[:-1])} to {DIMENSIONS[-1]} dimensions at every budget, and ends "
            f"below {100 * NEAR:g} %; it fails where one of these does not hold",
            nodes=(),
            evidence=lambda results: check_relaxation(seed),
        ),
        Claim(
            part=GAUSSIANS,
            name="the bounds on the multiplier",
            claim="The multiplier lies between (1 + eps^1/2) / (eps^1/2 + eps^3/2) and (1 + eps^1/2) / eps^1/2, up to "
            "constants.",
            where="theorem 2 and appendix E.3.3",
            rule=f"for the example's Gaussians and eps = E||delta||^2 from {LOWEST:g} to {HIGHEST:g} it is more than "
            f"1/{CONSTANT:g} of the lower bound and less than {CONSTANT:g} times the upper one; it fails where one "
            "of these does not hold",
            nodes=(),
            evidence=lambda results: check_bounds(),
        ),
    )
