"""Li, Chen, Wang, Carin 2019, *On Norm-Agnostic Robustness of Adversarial Training* (arXiv 1905.06455), as
declarations.

The paper trains four defences in L2, in Linf and in a mix of both, and attacks each with PGD and with its second-order
attack. Which column of its table means what, and the sizes of the perturbations, are read from figures that later
leaderboards and the authors' code share with it; the certainty stands beside each figure.
"""

from dataclasses import replace

from brittle.ground import BrittleError

from ..paper import Exhibit, Paper
from .lab import Lab
from .printed import BIBTEX
from .scales import SCALES
from .sentences import claims


def li2019(scale: str = "laptop", data_dir: str | None = None, seeds: tuple[int, ...] = (0,)) -> Paper:
    """The paper at `smoke`, `laptop` or `full`.

    Args:
        seeds: each trains every net once more. Tables hold all of them; figures, sentences and images are the first
            one's.
    Raises:
        BrittleError: an unknown scale, or a data set that cannot be had.
    """
    if scale not in SCALES:
        raise BrittleError(f"no scale is called {scale!r}; known: {', '.join(SCALES)}")
    return _paper([Lab(SCALES[scale], data_dir, seed) for seed in seeds])


def _paper(labs: list[Lab]) -> Paper:
    lab = labs[0]
    same = zip(*(each.figures() for each in labs), strict=True)
    tables = tuple(replace(group[0], nodes=tuple(one.nodes[0] for one in group)) for group in same)
    return Paper(
        "li2019",
        "On Norm-Agnostic Robustness of Adversarial Training",
        lab.scale.name,
        tuple(each.seed for each in labs),
        lab.scale.carries,
        BIBTEX,
        tables,
        claims(lab),
        _exhibits(lab),
        f"a printed figure agrees if it lies within our 95 % interval widened by {lab.scale.slack:g} points: here "
        "trainings are shorter than the paper's, and its recipes for L2, Mix, ensemble and ATDA are not known",
        _deviations(lab, len(labs)),
    )


def _exhibits(lab: Lab) -> tuple[Exhibit, ...]:
    named = {"natural net": lab.natural} | {f"{name} {norm}": model for (name, norm), model in lab.defended.items()}
    audits = {name: lab.audit(model) for name, model in named.items()} | {
        n: lab.audit_of_three(m) for n, m in lab.several.items()
    }
    return (
        Exhibit(
            "walks",
            "Figure 1",
            "Gradient along the attack",
            "Mean gradient length at each step: the natural net and TRADES (Linf) under PGD, and TRADES under the "
            "second-order attack, in L2; bands are 95 % intervals.",
            lab.walks(),
        ),
        Exhibit(
            "curvature",
            "Curvature",
            "Curvature of the loss",
            "Means with 95 % intervals, at the data and at the ends of two attack paths.",
            lab.curves(),
        ),
        Exhibit(
            "turned",
            "Figure 2",
            "Images that turn the model",
            f"Drawn at random among those with which the second-order attack in {lab.small} turned TRADES (Linf).",
            {"attack": lab.attack_in(lab.defended["TRADES", "Linf"], "second_order", lab.small)},
        ),
        Exhibit("audits", "What is left", "What the strongest attacks leave", "The sentence of each audit.", audits),
    )


def _deviations(lab: Lab, seeds: int) -> tuple[str, ...]:
    scale = lab.scale
    return (
        f"Training: {scale.epochs:g} epochs of batch {scale.batch} (Adam, triangular to {scale.lr:g}), inner attacks "
        f"of {scale.steps} steps (Ensemble and ATDA: one step of FGSM, as their authors), eps rising over the first "
        "quarter.",
        "The paper's recipes are known for Linf only.",
        "One training of each net: intervals hold the error of the test sample alone."
        if seeds == 1
        else f"{seeds} trainings of each net: an interval is the hull of theirs.",
        f"Sizes: Linf {scale.linf}, L2 {scale.l2} (from the authors' code); the reduced size {scale.small_l2} is "
        "inferred.",
        f"PGD on {scale.n} test images, S-O on {scale.averaged} with {scale.draws} draws (sigma 0.15 in L2, 0.1 in "
        f"Linf), audits on {scale.audited}.",
        f"CIFAR-10 remark: {scale.remark.said}."
        if lab.other
        else f"The CIFAR-10 remark is left out: its data are not at hand (brittle data {scale.remark.data} gets them).",
        f"Static nets of the ensemble: {' and '.join(scale.static)}, naturally trained; which the paper used is not "
        "known.",
        "Here a success counts where any point of the walk fools, verified in float32; the paper counts the last "
        "point.",
        *(
            ("Digits of 8 x 8 pixels and tiny nets: this scale shows that everything runs, not what is true.",)
            if not scale.carries
            else ()
        ),
    )
