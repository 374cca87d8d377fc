"""What is to be looked at in the paper."""

import math

from brittle.studies import Directions

from .. import exhibits as kinds
from ..paper import Exhibit
from ..results import Reading
from .lab import Ilyas2019Lab
from .printed import DIRECTIONS, FIGURE_2
from .tables import four_nets, three_nets
from .theory import BUDGETS
from .theory_claims import GAUSSIANS

CLASSES = (9, 6)  # Goh: truck against frog, of CIFAR-10
DECOMPOSED = 4096  # numbers in an image that is small enough for a decomposition


def all_exhibits(lab: Ilyas2019Lab) -> tuple[Exhibit, ...]:
    """The exhibits, in the order of the page."""
    return (
        _four_trainings(lab),
        _made_sets(lab),
        _learning_curves(lab),
        _transfer(lab),
        _features(lab),
        _correlations(lab),
        *_directions(lab),
        Exhibit(
            kind="gaussians",
            part=GAUSSIANS,
            title="Robust likelihood of two Gaussians",
            note="Figure 4, of a mean and a covariance of our own, since the paper prints none: ellipses of the "
            "learned covariance, the decision line, and the gradient beside the mean.",
            nodes=(),
            show=lambda results: kinds.gaussians(results, BUDGETS),
        ),
    )


def _four_trainings(lab: Ilyas2019Lab) -> Exhibit:
    attacks = {name: lab.attack_on(models[0]) for name, models in four_nets(lab).items()}
    return Exhibit(
        kind="bars",
        part="Figure 2",
        title="Four trainings",
        note=f"Accuracy and accuracy in {lab.threat} with 95 % intervals; ticks are the printed figures.",
        nodes=tuple(attacks.values()),
        show=lambda results: kinds.bars(results, attacks, FIGURE_2 if lab.scale.compared else {}),
    )


def _made_sets(lab: Ilyas2019Lab) -> Exhibit:
    sets = {
        "D_R": lab.matched_set("D_R"),
        "D_NR": lab.matched_set("D_NR"),
        "D_rand": lab.random_set(),
        "D_det": lab.shifted_set(),
    }
    return Exhibit(
        kind="sets",
        part="Figure 2",
        title="The made sets",
        note="The first examples of each, beside the images that they were made of.",
        nodes=tuple(sets.values()),
        show=lambda results: kinds.made_sets(results, sets),
    )


def _learning_curves(lab: Ilyas2019Lab) -> Exhibit:
    nets = {name: models[0] for name, models in three_nets(lab).items() if name != "D"} | {
        "D_R": lab.net_trained_on(lab.matched_set("D_R")),
        "D_NR": lab.net_trained_on(lab.matched_set("D_NR")),
    }
    return Exhibit(
        kind="curves",
        part="D.5",
        title="What is learned from made sets, epoch by epoch",
        note="Accuracy on real validation images, of which none was used to make a set.",
        nodes=tuple(nets.values()),
        show=lambda results: kinds.curves(results, nets),
    )


def _transfer(lab: Ilyas2019Lab) -> Exhibit:
    points = {
        net: (
            Reading(lab.answers_of(lab.net_trained_on(lab.shifted_set(), net)), "clean"),
            Reading(lab.transfer_to(net), "fooled"),
        )
        for net in lab.scale.architectures
    }
    return Exhibit(
        kind="scatter",
        part="Figure 3",
        title="Transfer against what is learned",
        note="Each architecture once: its test accuracy when it learns D_det, and how often untargeted adversarial "
        "examples of the source net fool it when it learns the data as they are.",
        nodes=tuple(reading.node for pair in points.values() for reading in pair),
        show=lambda results: kinds.scatter(results, points, x="test accuracy from D_det", y="transfer rate"),
    )


def _features(lab: Ilyas2019Lab) -> Exhibit:
    scores = {"standard net": lab.features_of(lab.standard_net), "robust net": lab.features_of(lab.robust_net)}
    return Exhibit(
        kind="features",
        part="Features",
        title="Useful and robustly useful features",
        note="The units before the last layer of both nets: the higher, the more an adversary leaves of a unit's use.",
        nodes=tuple(scores.values()),
        show=lambda results: kinds.features(results, scores),
    )


def _correlations(lab: Ilyas2019Lab) -> Exhibit:
    nodes = {
        "another standard net": lab.correlations_of(lab.other_standard_net),
        "robust net": lab.correlations_of(lab.robust_net),
    }
    return Exhibit(
        kind="correlations",
        part="Equations 4, 7, 8",
        title="What features are worth on the made sets",
        note="Each unit of either net once: E[y f(x)] - E[y] E[f(x)] on the test images across, on a made set upwards. "
        "The standard net is another than the one that the sets were made with. Equation 4: on D_R the robust net's "
        "features keep their worth, others lose it. Equations 7 and 8: on D_rand and D_det non-robust features have "
        "some; robust ones have none on D_rand, and on D_det speak for the class before the label.",
        nodes=tuple(nodes.values()),
        show=lambda results: kinds.correlations(results, nodes),
    )


def _directions(lab: Ilyas2019Lab) -> tuple[Exhibit, ...]:
    """Goh's picture, on data that have his classes by number, and images small enough to decompose."""
    data = lab.data.load()
    if len(data.classes) <= max(CLASSES) or math.prod(data.shape) > DECOMPOSED:
        return ()
    node = Directions(lab.data, *CLASSES)
    printed = " and ".join(f"{name} at ({x:g}, {y:g})" for name, (x, y) in DIRECTIONS.items())
    return (
        Exhibit(
            kind="directions",
            part="Directions",
            title="Linear features by usefulness and robustness",
            note="Goh's picture: singular vectors of the images of two classes; further left is more fragile. Two made "
            "features are useful and fragile: the ensemble of all fragile directions, and a useless direction that "
            f"contains a useful one. Goh prints {printed}, of truck against frog, in units of pixels that he does not "
            "say.",
            nodes=(node,),
            show=lambda results: kinds.directions(results, node),
        ),
    )
