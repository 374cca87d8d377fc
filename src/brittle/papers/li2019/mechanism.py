"""Which part of the second-order attack carries its effect: the same images under attacks that have one part each."""

from brittle.attacks import AttackSpec
from brittle.studies import RunAttack, Train

from .lab import SIGMA_L2, Li2019Lab

DRAWS, SIGMAS = (1, 5, 20), (0.05, 0.1, 0.2, 0.3, 0.5)  # averaged at a step; of the noise of a single draw
PGD, AUTHORS, ONE_DRAW, EXACT = "PGD", "S-O, 20 draws", "S-O with APGD steps, 1 draw", "exact curvature"


def variants(lab: Li2019Lab, net: Train) -> dict[str, RunAttack]:
    """PGD and what else could explain that S-O breaks more, in L2 of the reduced size, by its name.

    PGD also on the margin loss, and as often from random starts as S-O with 20 draws asks for gradients; S-O with few
    draws and many, with the authors' steps and APGD's, with other noise; and equation 3 without its approximation: the
    top eigenvector of the Hessian by exact products.
    """
    threat, draws = lab.small_l2, lab.scale.draws
    pgd, authors = lab.authors_attack("pgd", threat), lab.authors_attack("second_order", threat)
    apgd = lab.authors_attack("second_order_apgd", threat)
    attacks = {PGD: lab.run(net, pgd, threat), "PGD on the margin": lab.run(net, pgd.changed(loss="margin"), threat)}
    attacks[f"PGD, {draws} random starts"] = lab.run(net, pgd.changed(start="random"), threat, restarts=draws)
    for kind, spec in (("S-O", authors), ("S-O with APGD steps", apgd)):
        attacks |= {f"{kind}, {k} draw{'s' * (k > 1)}": lab.run(net, spec.changed(draws=k), threat) for k in DRAWS}
    for sigma in SIGMAS:
        name = f"S-O with APGD steps, 1 draw of {sigma:g} for {SIGMA_L2:g}"
        attacks[name] = lab.run(net, apgd.changed(draws=1, sigma=sigma), threat)
    plain = AttackSpec.of("apgd", steps=lab.scale.attack_steps, start="random")
    return attacks | {
        "APGD": lab.run(net, plain, threat),
        EXACT: lab.run(net, lab.authors_attack("hessian", threat), threat),
    }


def variants_on_the_way(lab: Li2019Lab, net: Train) -> dict[str, tuple[RunAttack, str]]:
    """Of the same attacks those that tell most, and clean and robust accuracy in the net's own Linf: which node, and
    which of its figures."""
    own, chosen = lab.attack_in_row(net, "PGD Linf"), (PGD, AUTHORS, ONE_DRAW, EXACT)
    every = variants(lab, net)
    return {"clean": (own, "clean"), "PGD in Linf": (own, "robust")} | {
        name: (every[name], "robust") for name in chosen
    }
