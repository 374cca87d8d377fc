"""Li, Chen, Wang, Carin 2019, *On Norm-Agnostic Robustness of Adversarial Training* (arXiv 1905.06455), as
declarations.

The paper trains four defences in L2, in Linf and in a mix of both, and attacks each with PGD and with its second-order
attack. Which column of its table means what, and the sizes of the perturbations, are read from figures that later
leaderboards and the authors' code share with it; the certainty stands beside each figure.
"""

from pathlib import Path

from brittle.ground import BrittleError

from ..paper import Paper, across_seeds
from .claims import all_claims
from .deviations import all_deviations
from .exhibits import all_exhibits
from .lab import FLOOR, Li2019Lab
from .printed import ABOUT, BIBTEX
from .scales import SCALES
from .tables import all_figures


def li2019(scale: str = "laptop", data_dir: str | None = None, seeds: tuple[int, ...] = (0,)) -> Paper:
    """The paper at `smoke`, `laptop` or `full`.

    Args:
        seeds: each trains every net once more. Tables hold all of them; figures, claims and images are the first one's.
    Raises:
        BrittleError: an unknown scale, or a data set that cannot be had.
    """
    if scale not in SCALES:
        raise BrittleError(f"no scale is called {scale!r}; known: {', '.join(SCALES)}")
    chosen = SCALES[scale]
    labs = [Li2019Lab(chosen, Path(data_dir) if data_dir else None, seed) for seed in seeds]
    first = labs[0]
    return Paper(
        name="li2019",
        title="On Norm-Agnostic Robustness of Adversarial Training",
        link="https://arxiv.org/abs/1905.06455",
        about=ABOUT,
        scale=chosen.name,
        seeds=seeds,
        carries=chosen.carries,
        bibtex=BIBTEX,
        figures=across_seeds([all_figures(lab) for lab in labs]),
        claims=all_claims(first),
        exhibits=all_exhibits(first),
        slack=f"a printed figure agrees if it lies within our 95 % interval widened by {chosen.slack:g} points: here "
        "trainings are shorter than the paper's, and its recipes for L2, Mix, ensemble and ATDA are not known. A net "
        f"that keeps less than {100 * FLOOR:g} % under S-O in its own norm (Mix: in both of them) is not trained, and "
        "not judged",
        deviations=all_deviations(first, len(labs)),
    )
