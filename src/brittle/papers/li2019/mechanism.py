"""Which part of the second-order attack carries its effect: the same images under attacks that have one part each, and
the claims on that."""

from torch import Tensor

from brittle.attacks import AttackSpec
from brittle.audits import Interval, mean_interval
from brittle.studies import RunAttack, Train

from ..paper import Claim
from ..results import Results, gaps, paired_difference
from .evidence import HALF, TOGETHER, Explains, OneDrawSuffices
from .lab import SIGMA_L2, Li2019Lab

DRAWS, SIGMAS = (1, 5, 20), (0.05, 0.1, 0.2, 0.3, 0.5)  # averaged at a step; of the noise of a single draw
DIFFERENCES = (0.42, 4.2)  # over which equation 3 takes gradients: a tenth of the length of S-O's noise, and all of it
PGD, AUTHORS, ONE_DRAW, EXACT = "PGD", "S-O, 20 draws", "S-O with APGD steps, 1 draw", "exact curvature"


def over(difference: float) -> str:
    """What equation 3 over a finite step is called."""
    return f"equation 3, differences over {difference:g}"


def variants(lab: Li2019Lab, net: Train) -> dict[str, RunAttack]:
    """PGD and what else could explain that S-O breaks more, in L2 of the reduced size, by its name.

    PGD also on the margin loss, and as often from random starts as S-O with 20 draws asks for gradients; S-O with few
    draws and many, with the authors' steps and APGD's, with other noise; and equation 3, over finite steps and over an
    infinitely small one: the top eigenvector of the Hessian by exact products.
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
    exact = lab.authors_attack("hessian", threat)
    attacks |= {"APGD": lab.run(net, plain, threat), EXACT: lab.run(net, exact, threat)}
    return attacks | {over(one): lab.run(net, exact.changed(difference=one), threat) for one in DIFFERENCES}


def variants_on_the_way(lab: Li2019Lab, net: Train) -> dict[str, tuple[RunAttack, str]]:
    """Of the same attacks those that tell most, and clean and robust accuracy in the net's own Linf: which node, and
    which of its figures."""
    own, chosen = lab.attack_in_row(net, "PGD Linf"), (PGD, AUTHORS, ONE_DRAW, EXACT)
    every = variants(lab, net)
    return {"clean": (own, "clean"), "PGD in Linf": (own, "robust")} | {
        name: (every[name], "robust") for name in chosen
    }


def trained_in_linf(lab: Li2019Lab) -> dict[str, Train]:
    """The nets whose mechanism is looked at."""
    return {name: lab.defences[name, "Linf"] for name in ("TRADES", "Madry")}


def curvature_explains(lab: Li2019Lab) -> Claim:
    """Equation 3 for an infinitely small step: does the attack that follows the Hessian's top eigenvector exactly break
    what S-O breaks?"""
    return _explains(
        lab,
        EXACT,
        name="curvature at the point explains it",
        claim="The second-order attack succeeds since it finds the direction of largest curvature at the point.",
        where="equation 3, for an infinitely small step",
        what="exact products with the Hessian",
        beside="Of nets with ReLU the Hessian at a point may vanish where a difference over a finite step does not: the"
        " next claim",
    )


def differences_explain(lab: Li2019Lab) -> Claim:
    """Equation 3 as it is printed, over a step as long as S-O's noise: does it break what S-O breaks?"""
    return _explains(
        lab,
        over(DIFFERENCES[-1]),
        name="a difference of two gradients explains it",
        claim="The second-order attack succeeds since it finds the direction in which the gradient differs most, over "
        "a step as long as its noise.",
        where="equation 3, over a finite step",
        what=f"differences of gradients over {DIFFERENCES[-1]:g}",
        beside="The step is not printed: the length of S-O's noise is taken",
    )


def _explains(lab: Li2019Lab, part: str, *, name: str, claim: str, where: str, what: str, beside: str) -> Claim:
    """Whether a variant breaks half of what S-O breaks beyond PGD."""
    nets = trained_in_linf(lab)
    runs = {name: variants(lab, net) for name, net in nets.items()}

    def read(results: Results) -> Explains:
        kept = {
            name: {one: results.survivors(attacks[one]) for one in (PGD, AUTHORS, part)}
            for name, attacks in runs.items()
        }
        of_part = {name: paired_difference(of[PGD], of[part]) for name, of in kept.items()}
        of_second = {name: paired_difference(of[PGD], of[AUTHORS]) for name, of in kept.items()}
        beyond = {name: beyond_half(*(of[one].double() for one in of)) for name, of in kept.items()}
        return Explains(what, beyond, of_part, of_second)

    def beyond_half(pgd: Tensor, authors: Tensor, of_part: Tensor) -> Interval:
        return mean_interval((pgd - of_part - HALF * (pgd - authors)).numpy(), lab.seed)

    return Claim(
        part="Reduced size",
        name=name,
        claim=claim,
        where=where,
        rule=f"in {lab.small_l2}, what {what} break beyond PGD is more than {100 * HALF:g} % of what S-O breaks beyond "
        "PGD, image by image, with its interval; it fails where it is less, and is undecided where S-O breaks nothing "
        f"beyond PGD. {beside}",
        nodes=tuple(attacks[one] for attacks in runs.values() for one in (PGD, AUTHORS, part)),
        evidence=read,
    )


def one_draw_suffices(lab: Li2019Lab) -> Claim:
    """Not the paper's: with APGD's steps, does one draw of noise do what 20 draws do with the authors' steps?"""
    runs = {name: variants(lab, net) for name, net in trained_in_linf(lab).items()}
    pairs = {name: (attacks[ONE_DRAW], attacks[AUTHORS]) for name, attacks in runs.items()}
    return Claim(
        part="Reduced size",
        name="one draw suffices",
        claim="With APGD's steps one draw of noise breaks as much as 20 draws with the authors' steps.",
        where="not in the paper: a finding on a public net",
        rule=f"in {lab.small_l2}, what one draw leaves beyond the authors' form, on the same images, has an interval "
        f"below {100 * TOGETHER:g} points; it fails where one lies above",
        nodes=tuple(node for pair in pairs.values() for node in pair),
        evidence=lambda results: OneDrawSuffices(gaps(results, pairs)),
    )
