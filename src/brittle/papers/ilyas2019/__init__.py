"""Ilyas et al. 2019, *Adversarial Examples Are Not Bugs, They Are Features*, and its discussion on Distill, as
declarations.

The text of the paper's appendices is known in part only; how sure each printed figure is stands beside it.
"""

from dataclasses import replace
from pathlib import Path

from brittle.ground import BrittleError

from ..paper import Paper, across_seeds
from .claims import all_claims
from .deviations import all_deviations
from .exhibits import all_exhibits
from .lab import Ilyas2019Lab
from .printed import ABOUT, BIBTEX
from .scales import SCALES
from .tables import all_figures


def ilyas2019(
    scale: str = "laptop",
    data_dir: str | None = None,
    seeds: tuple[int, ...] = (0,),
    *,
    data: str | None = None,
    net: str | None = None,
) -> Paper:
    """The paper at `smoke`, `laptop` or `full`.

    Args:
        seeds: each trains every net and makes every set once more. Tables hold all of them; claims and images are the
            first's.
        data: another data set than the scale's, such as `restricted:PATH@64`, whose sizes are then those of the paper.
        net: another architecture, such as `resnet50`.
    Raises:
        BrittleError: an unknown scale, or a data set that cannot be had.
    """
    if scale not in SCALES:
        raise BrittleError(f"no scale is called {scale!r}; known: {', '.join(SCALES)}")
    chosen = SCALES[scale].on(data) if data else SCALES[scale]
    chosen = replace(chosen, net=net) if net else chosen
    labs = [Ilyas2019Lab(chosen, Path(data_dir) if data_dir else None, seed) for seed in seeds]
    first = labs[0]
    return Paper(
        name="ilyas2019",
        title="Adversarial Examples Are Not Bugs, They Are Features",
        link="https://arxiv.org/abs/1905.02175",
        about=ABOUT,
        scale=chosen.name,
        seeds=seeds,
        carries=chosen.carries,
        bibtex=BIBTEX,
        figures=across_seeds([all_figures(lab) for lab in labs]),
        claims=all_claims(first),
        exhibits=all_exhibits(first),
        slack="nothing is said about agreement with single printed figures at this scale, whose nets, budgets and "
        "numbers of images are others; the claims are tested"
        if chosen.slack is None
        else f"a printed figure agrees if it lies within our 95 % interval widened by {chosen.slack:g} points",
        deviations=all_deviations(first, len(labs)),
    )
