"""The claims of the discussion on Distill: what each says, what counts as agreement, and what is read for it."""

from ..paper import Claim
from ..results import Results
from .evidence import FOOLED, MistakesTeach, NoLeakage, SomeAreBugs
from .lab import Ilyas2019Lab
from .learners import CHANCE, OF_TRAINED, NotTrained, untrained


def no_leakage(lab: Ilyas2019Lab) -> Claim:
    """Goh 2019: what do robust linear features of D_rand and D_det tell of true labels?"""
    d_rand, d_det = lab.leakage_of(lab.random_set()), lab.leakage_of(lab.shifted_set())
    return Claim(
        part="Leakage",
        name="no robust leakage in D_det",
        claim="What robust features tell of the labels of D_det does not carry over to true labels.",
        where="Goh 2019",
        rule="the interval through robust linear features lies below the share of the rarest test label for D_det; "
        "D_rand's figure and those of all features stand beside it; it fails where it lies above the commonest label's",
        nodes=(d_rand, d_det),
        evidence=lambda results: NoLeakage(
            d_rand=results.share(d_rand, "clean"),
            d_det=results.share(d_det, "clean"),
            rarest=min(lab.label_shares),
            commonest=lab.chance,
        ),
    )


def some_are_bugs(lab: Ilyas2019Lab) -> Claim:
    """Nakkiran 2019: perturbations that fool one net alone; do they transfer, and do they teach?"""
    pgd, bugs = lab.bug_set(transfers=True), lab.bug_set(transfers=False)
    receiver = lab.receiving_net(lab.scale.net)
    to_pgd, to_bugs = (lab.answers_of(receiver, made) for made in (pgd, bugs))
    nets = {"PGD": (lab.net_trained_on(pgd),), "without transfer": (lab.net_trained_on(bugs),)}
    of_pgd, of_bugs = (lab.answers_of(net) for (net,) in nets.values())

    def read(results: Results) -> SomeAreBugs | NotTrained:
        if left_out := untrained(lab, results, nets):
            return NotTrained(left_out)
        return SomeAreBugs(
            fooling_pgd=results.share(pgd, "reached"),
            fooling=results.share(bugs, "reached"),
            transfer_pgd=results.share(to_pgd, "clean"),
            transfer=results.share(to_bugs, "clean"),
            learned_pgd=results.share(of_pgd, "clean"),
            learned=results.share(of_bugs, "clean"),
            taught=results.share(of_bugs, "shifted"),
            chance=lab.chance,
        )

    return Claim(
        part="Just bugs",
        name="some adversarial examples are bugs",
        claim="There are perturbations that fool a net, do not transfer, and teach nothing about the true labels.",
        where="Nakkiran 2019",
        rule=f"without transfer the attack still succeeds on more than {100 * FOOLED:g} % of the images; what "
        "transfers lies below the same for PGD (intervals apart), and what is learned of them about the test set is "
        "not above chance; it fails where one lies on the other side; " + CHANCE + OF_TRAINED,
        nodes=(pgd, bugs, to_pgd, to_bugs, of_pgd, of_bugs, *(net for (net,) in nets.values())),
        evidence=read,
    )


def mistakes_teach(lab: Ilyas2019Lab) -> Claim:
    """Wallace 2019: is a net that learns another's mistakes right more often than chance?"""
    net = lab.net_trained_on(lab.mistakes())
    answers = lab.answers_of(net)

    def read(results: Results) -> MistakesTeach | NotTrained:
        left_out = untrained(lab, results, {"D_mis": (net,)})
        return NotTrained(left_out) if left_out else MistakesTeach(results.share(answers, "clean"), lab.chance)

    return Claim(
        part="Mislabelled",
        name="mistakes teach",
        claim="A net that learns nothing but another net's mistakes is right on the real test set more often than "
        "chance.",
        where="Wallace 2019",
        rule="the interval lies above chance; it fails where it lies below; " + CHANCE + OF_TRAINED,
        nodes=(answers, net),
        evidence=read,
    )
