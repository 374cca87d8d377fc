"""Ilyas et al. 2019, *Adversarial Examples Are Not Bugs, They Are Features*, and its discussion on Distill, as
declarations.

The text of the paper's appendices is known in part only; how sure each printed figure is stands beside it.
"""

import math
from dataclasses import replace
from pathlib import Path

from brittle.ground import BrittleError
from brittle.studies import Directions, Node

from ..paper import Exhibit, Paper
from .lab import D_DET, D_RAND, Lab
from .printed import BIBTEX, DIRECTIONS, FIGURE_2
from .scales import SCALES
from .sentences import THEOREMS, claims
from .tables import figures, four, three

CLASSES = (9, 6)  # Goh: truck against frog, of CIFAR-10


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
        seeds: each trains every net and makes every set once more. Tables hold all of them; sentences and images are
            the first's.
        data: another data set than the scale's, such as `restricted:PATH@64`, whose sizes are then those of the paper.
        net: another architecture, such as `resnet50`.
    Raises:
        BrittleError: an unknown scale, or a data set that cannot be had.
    """
    if scale not in SCALES:
        raise BrittleError(f"no scale is called {scale!r}; known: {', '.join(SCALES)}")
    taken = SCALES[scale].on(data) if data else SCALES[scale]
    taken = replace(taken, net=net) if net else taken
    labs = [Lab(taken, Path(data_dir) if data_dir else None, seed) for seed in seeds]
    lab = labs[0]
    same = zip(*(figures(each) for each in labs), strict=True)
    return Paper(
        "ilyas2019",
        "Adversarial Examples Are Not Bugs, They Are Features",
        lab.scale.name,
        tuple(seeds),
        lab.scale.carries,
        BIBTEX,
        tuple(replace(group[0], nodes=tuple(one.nodes[0] for one in group)) for group in same),
        claims(lab),
        _exhibits(lab),
        "nothing is said about agreement with single printed figures at this scale, whose nets, budgets and numbers "
        "of images are others; the sentences are judged"
        if lab.scale.slack is None
        else f"a printed figure agrees if it lies within our 95 % interval widened by {lab.scale.slack:g} points",
        _deviations(lab, len(labs)),
    )


def _exhibits(lab: Lab) -> tuple[Exhibit, ...]:
    made = {
        "D_R": lab.matched("D_R"),
        "D_NR": lab.matched("D_NR"),
        "D_rand": lab.targeted(D_RAND),
        "D_det": lab.targeted(D_DET),
    }
    learned = {name: model for name, model in three(lab).items() if name != "D"} | {
        "D_R": lab.learned(made["D_R"]),
        "D_NR": lab.learned(made["D_NR"]),
    }
    points, nodes = {}, dict[str, Node]()
    for net in lab.scale.nets:
        nodes |= {f"{net} x": lab.answered(lab.learned(lab.targeted(D_DET), net)), f"{net} y": lab.transfer(net)}
        points[net] = (f"{net} x", "clean", f"{net} y", "fooled")
    return (
        Exhibit(
            "bars",
            "Figure 2",
            "Four trainings",
            f"Accuracy and accuracy in {lab.tested} with 95 % intervals; ticks are the printed figures.",
            {name: lab.judged(model) for name, model in four(lab).items()},
            {"printed": FIGURE_2 if lab.scale.compared else {}},
        ),
        Exhibit(
            "sets",
            "Figure 2",
            "The made sets",
            "The first examples of each, beside the images that they were made of.",
            made,
        ),
        Exhibit(
            "curves",
            "D.5",
            "What is learned from made sets, epoch by epoch",
            "Accuracy on real validation images, of which none was used to make a set.",
            learned,
        ),
        Exhibit(
            "scatter",
            "Figure 3",
            "Transfer against what is learned",
            "Each architecture once: its test accuracy when it learns D_det, and how often untargeted adversarial "
            "examples of the source net fool it when it learns the data as they are.",
            nodes,
            {"points": points, "x": "test accuracy from D_det", "y": "transfer rate"},
        ),
        Exhibit(
            "features",
            "Features",
            "Useful and robustly useful features",
            "The units before the last layer of both nets: the higher, the more an adversary leaves of a unit's use.",
            {"standard net": lab.score(lab.standard), "robust net": lab.score(lab.robust)},
        ),
        *_directions(lab),
        Exhibit(
            "gaussians",
            THEOREMS,
            "Robust likelihood of two Gaussians",
            "Figure 4, of a mean and a covariance of our own, since the paper prints none: ellipses of the learned "
            "covariance, the decision line, and the gradient beside the mean.",
            {},
            {"eps": (0.0, 1.0, 10.0)},
        ),
    )


def _directions(lab: Lab) -> tuple[Exhibit, ...]:
    """Goh's picture, on data that have his classes by number, and images small enough to decompose."""
    data = lab.data.load()
    if len(data.classes) <= max(CLASSES) or math.prod(data.shape) > 4096:
        return ()
    return (
        Exhibit(
            "directions",
            "Directions",
            "Linear features by usefulness and robustness",
            "Goh's picture: singular vectors of the images of two classes; further left is more fragile. Two made "
            "features are useful and fragile: the ensemble of all fragile directions, and a useless direction that "
            "contains a useful one. Goh prints "
            + " and ".join(f"{name} at ({x:g}, {y:g})" for name, (x, y) in DIRECTIONS.items())
            + ", of truck against frog, in units of pixels that he does not say.",
            {"directions": Directions(lab.data, *CLASSES)},
        ),
    )


def _deviations(lab: Lab, seeds: int) -> tuple[str, ...]:
    scale, data = lab.scale, lab.data.load()
    (matched, steps, step), (moved, targeted, length) = scale.matched, scale.targeted
    told = [
        f"{scale.net} on {lab.data.name}; the paper: ResNet-50, CIFAR-10 and Restricted ImageNet.",
        f"Sets are made of the {len(data.train):,} images that are left when validation is held out, and a tenth of "
        "each set is held out again: nothing is chosen on test images. They are kept in 8 bits.",
        f"D_R and D_NR: {_many(matched)} images, {steps} steps of {step:g} (paper: all, 1,000 of 0.1; on Restricted "
        "ImageNet 2,000 of 1); the closest point is kept, not the last, and gradients are the model's own behind its "
        "last ReLU.",
        f"D_rand and D_det: {_many(moved)} images, L2 {scale.eps}, {targeted} steps of {length:g} (paper: all, "
        "L2 0.5, 100 of 0.1; on Restricted ImageNet L2 3); the best point is kept, not the last.",
        f"Trainings: {scale.natural.epochs:g} epochs on the data, {scale.robust.epochs:g} adversarial ones with "
        f"{scale.inner} steps in L2 {scale.trained}, {scale.learned.epochs:g} on made sets, all with one recipe "
        f"({scale.learned.optimizer}, lr {scale.learned.lr:g}); the paper searches learning rate, batch and "
        "augmentation for each set and does not say how long. Shifts and mirrored images where the data usually have "
        "them; no jitter, no rotation.",
        f"Robust accuracy: PGD-{scale.steps} on {scale.n:,} test images, a success where any point of the walk fools, "
        f"verified in float32; the strongest attacks take {scale.long:,} steps, of the usual length (the paper "
        "searches it, up to 2,500 steps).",
        f"From noise: {_many(scale.noised)} images. Perturbations that do not transfer, and plain ones beside them: "
        f"{_many(scale.bugs[1])} images, told from {scale.bugs[4]} other nets (Nakkiran: ten), in L2 {scale.bugs[0]} "
        f"(2.5). Nets that are only asked what transfers to them learned for {scale.other.epochs:g} epochs.",
        *(
            ()
            if lab.new_tests
            else ("D.7 is left out: CIFAR-10.1 is not at hand (brittle data cifar10.1 says how to get it).",)
        ),
        "D.8 is this paper with --data restricted:PATH@SIDE and the user's own ImageNet; in which size it tests "
        "there is not known (here L2 1.5).",
        "One training of each net: intervals hold the error of the test sample alone."
        if seeds == 1
        else f"{seeds} trainings of each net: an interval is the hull of theirs.",
    ]
    if scale.beside:
        small = scale.beside
        told.append(
            f"On {small.data}, which the paper has not: {small.net}, {small.natural.epochs:g} epochs; D_R and D_NR of "
            f"{small.matched[0]:,} images in {small.matched[1]} steps; D_rand and D_det of {small.targeted[0]:,} in "
            f"L2 {small.eps} and {small.targeted[1]} steps."
        )
    if not scale.carries:
        told.append("Digits of 8 x 8 pixels and tiny nets: this scale shows that everything runs, not what is true.")
    return tuple(told)


def _many(count: int) -> str:
    return f"{count:,}" if count else "all"
