"""What is to be looked at in the paper."""

from .. import exhibits as kinds
from ..paper import Exhibit
from .lab import Li2019Lab
from .printed import DEFENCES


def all_exhibits(lab: Li2019Lab) -> tuple[Exhibit, ...]:
    """The exhibits, in the order of the page."""
    return _paths(lab), _training(lab), _curvature(lab), _fooling_images(lab), _audits(lab)


def _paths(lab: Li2019Lab) -> Exhibit:
    trades = lab.defences["TRADES", "Linf"]
    pgd, second_order = lab.walk(trades, "pgd"), lab.walk(trades, "second_order")
    walks = {
        "natural, PGD": (lab.walk(lab.natural_trades, "pgd"), "plain"),
        "TRADES, PGD": (pgd, "plain"),
        "TRADES, S-O": (second_order, "plain"),
        "TRADES, PGD, mean": (pgd, "averaged"),
        "TRADES, S-O, mean": (second_order, "averaged"),
    }
    return Exhibit(
        kind="walks",
        part="Figure 1",
        title="Gradient along the attack",
        note="Mean gradient length at each step in L2: the natural net and TRADES (Linf) under PGD, and TRADES under "
        f"the second-order attack; beside them the length of the mean over {lab.scale.draws} draws of noise, which "
        "that attack follows. Bands are 95 % intervals.",
        nodes=tuple(walk for walk, _ in walks.values()),
        show=lambda results: kinds.along_paths(results, walks),
    )


def _training(lab: Li2019Lab) -> Exhibit:
    nets = {f"{name} Mix": lab.defences[name, "Mix"] for name in DEFENCES} | lab.several_norms
    return Exhibit(
        kind="curves",
        part="Training",
        title="Robust accuracy as training goes",
        note="Of nets that are trained in several norms: validation images that withstand PGD-10 in the norm where it "
        "breaks most. It says whether a training was over, not how robust its net is.",
        nodes=tuple(nets.values()),
        show=lambda results: kinds.robust_curves(results, nets),
    )


def _curvature(lab: Li2019Lab) -> Exhibit:
    nets = {"natural net": lab.natural_madry} | {f"{name} Linf": lab.defences[name, "Linf"] for name in DEFENCES}
    curves = {name: lab.curvature_of(model) for name, model in nets.items()}
    return Exhibit(
        kind="curvature",
        part="Curvature",
        title="Curvature of the loss",
        note="Means with 95 % intervals, at the data and at the ends of two attack paths.",
        nodes=tuple(curves.values()),
        show=lambda results: kinds.curvature(results, curves),
    )


def _fooling_images(lab: Li2019Lab) -> Exhibit:
    attack = lab.attack_on(lab.defences["TRADES", "Linf"], "second_order", lab.small_l2)
    return Exhibit(
        kind="turned",
        part="Figure 2",
        title="Images that turn the model",
        note=f"Drawn at random among those with which the second-order attack in {lab.small_l2} turned TRADES (Linf).",
        nodes=(attack,),
        show=lambda results: kinds.fooling_images(results, attack),
    )


def _audits(lab: Li2019Lab) -> Exhibit:
    nets = {"natural net": lab.natural_madry} | {f"{name} {norm}": net for (name, norm), net in lab.defences.items()}
    audits = {name: lab.audit_of(net) for name, net in nets.items()} | {
        name: lab.audit_of_three(net) for name, net in lab.several_norms.items()
    }
    return Exhibit(
        kind="audits",
        part="What is left",
        title="What the strongest attacks leave",
        note="The sentence of each audit.",
        nodes=tuple(audits.values()),
        show=lambda results: kinds.audit_verdicts(results, audits),
    )
