"""The claims of the paper, and of its discussion: what each says, what counts as agreement, and what is read for it."""

import torch

from brittle.audits import paired_p_value
from brittle.science import fit_line

from ..paper import Claim
from ..results import Results, Share
from .evidence import (
    CORRELATED_P,
    FOOLED,
    MASKED,
    SHARE_OF_D,
    MistakesTeach,
    NoLeakage,
    NoMasking,
    NonRobustFeaturesGiveAccuracyAlone,
    NonRobustFeaturesSuffice,
    OppositeLabels,
    RobustFeaturesGiveRobustness,
    SomeAreBugs,
    TransferFollowsLearning,
)
from .lab import Ilyas2019Lab
from .tables import four_nets, strong_attacks, three_nets
from .theory import theory_claims

CHANCE = "chance is the share of the commonest test label"


def all_claims(lab: Ilyas2019Lab) -> tuple[Claim, ...]:
    """The paper's claims, each with what counts as agreement and why."""
    return (
        non_robust_features_suffice(lab),
        robust_features_give_robustness(lab),
        non_robust_features_give_accuracy_alone(lab),
        no_masking(lab),
        transfer_follows_learning(lab),
        opposite_labels(lab),
        no_leakage(lab),
        some_are_bugs(lab),
        mistakes_teach(lab),
        *theory_claims(lab.seed),
    )


def label_shares(lab: Ilyas2019Lab) -> list[float]:
    """The share of each test label, from the rarest to the commonest: what always answering it gets."""
    test = lab.data.load().test
    counts = torch.bincount(test.labels, minlength=len(test.classes)).double()
    return sorted((counts / counts.sum()).tolist())


def chance(lab: Ilyas2019Lab) -> float:
    """What always answering the commonest class gets."""
    return max(label_shares(lab))


def non_robust_features_suffice(lab: Ilyas2019Lab) -> Claim:
    """Table 1: nets trained on D, D_rand and D_det, on the real test set; does the interval lie above chance?"""
    d, d_rand, d_det = (lab.answers_of(three_nets(lab)[name]) for name in ("D", "D_rand", "D_det"))
    return Claim(
        part="Table 1",
        name="non-robust features suffice",
        claim="A net that only sees labels that non-robust features carry is accurate on the real test set.",
        where="section 3.2 and Table 1",
        rule="for D_rand and for D_det the interval of the accuracy on the real test set lies above chance; " + CHANCE,
        nodes=(d, d_rand, d_det),
        evidence=lambda results: NonRobustFeaturesSuffice(
            d=results.share(d, "clean"),
            d_rand=results.share(d_rand, "clean"),
            d_det=results.share(d_det, "clean"),
            chance=chance(lab),
        ),
    )


def robust_features_give_robustness(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_R more robust than on as much of D (paired) and than on D_NR?"""
    nets = four_nets(lab)
    control, d_r, d_nr = (
        lab.attack_on(net) for net in (lab.control_net, nets["standard on D_R"], nets["standard on D_NR"])
    )

    def read(results: Results) -> RobustFeaturesGiveRobustness:
        ours, theirs = results.survivors(d_r), results.survivors(control)
        return RobustFeaturesGiveRobustness(
            control=results.share(control, "robust"),
            d_r=results.share(d_r, "robust"),
            d_nr=results.share(d_nr, "robust"),
            d_r_clean=results.share(d_r, "clean"),
            p=paired_p_value(int((ours & ~theirs).sum()), int((theirs & ~ours).sum())),
            chance=chance(lab),
        )

    return Claim(
        part="Figure 2",
        name="robust features give robustness",
        claim="Standard training on D_R gives a net that is accurate and robust.",
        where="section 3.1 and Figure 2",
        rule="robust accuracy of standard training on D_R lies above that of standard training on as much of D and on "
        "D_NR (intervals apart), and its accuracy above chance; " + CHANCE,
        nodes=(control, d_r, d_nr),
        evidence=read,
    )


def non_robust_features_give_accuracy_alone(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_NR about as accurate as on D, and less robust than on D_R?"""
    nets = four_nets(lab)
    d, d_r, d_nr = (lab.attack_on(nets[name]) for name in ("standard on D", "standard on D_R", "standard on D_NR"))
    return Claim(
        part="Figure 2",
        name="non-robust features give accuracy alone",
        claim="Standard training on D_NR gives a net that is accurate and not robust.",
        where="section 3.1 and Figure 2",
        rule=f"accuracy of standard training on D_NR is above {100 * SHARE_OF_D:g} % of that on D, and its robust "
        "accuracy below that of D_R (intervals apart)",
        nodes=(d, d_r, d_nr),
        evidence=lambda results: NonRobustFeaturesGiveAccuracyAlone(
            d=results.share(d, "clean"),
            d_nr=results.share(d_nr, "clean"),
            d_r_robust=results.share(d_r, "robust"),
            d_nr_robust=results.share(d_nr, "robust"),
        ),
    )


def no_masking(lab: Ilyas2019Lab) -> Claim:
    """Appendix D.2: what do stronger attacks break of the net of D_R beyond plain PGD, image by image?"""
    model = lab.net_trained_on(lab.matched_set("D_R"))
    attacks = {name: lab.attack_on(model, attack=attack) for name, attack in strong_attacks(lab).items()}

    def read(results: Results) -> NoMasking:
        withstood = torch.stack([results.survivors(attack) for attack in attacks.values()])
        first, every = withstood[0], withstood.all(0)
        return NoMasking(
            robust={name: results.share(attack, "robust") for name, attack in attacks.items()},
            lost=Share.of(int((first & ~every).sum()), len(first)),
        )

    return Claim(
        part="D.2",
        name="the robustness of D_R is no masking",
        claim=f"Stronger attacks take no more than {100 * MASKED:g} points from the net that was trained on D_R.",
        where="appendix D.2",
        rule="on the same images, what all attacks together break beyond plain PGD has an interval below "
        f"{100 * MASKED:g} points",
        nodes=tuple(attacks.values()),
        evidence=read,
    )


def transfer_follows_learning(lab: Ilyas2019Lab) -> Claim:
    """Figure 3: over architectures, does transfer rise with what is learned of D_det (rank correlation)?"""
    nets = lab.scale.architectures
    learned = [lab.answers_of(lab.net_trained_on(lab.shifted_set(), net)) for net in nets]
    fooled = [lab.transfer_to(net) for net in nets]
    return Claim(
        part="Figure 3",
        name="transfer goes with what is learned of D_det",
        claim="Architectures that learn more from the source's non-robust features are fooled more by its adversarial "
        "examples.",
        where="section 3.2 and Figure 3",
        rule=f"the rank correlation over architectures is positive with one-sided p below {CORRELATED_P:g} (five "
        "points need it to be 1 or 0.9)",
        nodes=(*learned, *fooled),
        evidence=lambda results: TransferFollowsLearning(
            architectures=len(nets),
            line=fit_line(
                [results.share(node, "clean").accuracy for node in learned],
                [results.share(node, "fooled").accuracy for node in fooled],
            ),
        ),
    )


def opposite_labels(lab: Ilyas2019Lab) -> Claim:
    """Appendix D.6: which label of D_det does a net learn, of a standard and of a robust net's set?"""
    standard, robust = (
        lab.answers_of(lab.net_trained_on(lab.shifted_set(source))) for source in (lab.standard_net, lab.robust_net)
    )
    return Claim(
        part="D.6",
        name="D_det teaches non-robust features",
        claim="Of a standard net's D_det a net learns the label t more than y + 1 of the robust features; of a robust "
        "net's, the reverse.",
        where="appendix D.6",
        rule="accuracy on true labels lies above that on labels y + 1 for the standard net's set, and below it for the "
        "robust net's (intervals apart)",
        nodes=(standard, robust),
        evidence=lambda results: OppositeLabels(
            standard_y=results.share(standard, "clean"),
            standard_next=results.share(standard, "shifted"),
            robust_y=results.share(robust, "clean"),
            robust_next=results.share(robust, "shifted"),
        ),
    )


def no_leakage(lab: Ilyas2019Lab) -> Claim:
    """Goh 2019: what do robust linear features of D_rand and D_det tell of true labels?"""
    d_rand, d_det = lab.leakage_of(lab.random_set()), lab.leakage_of(lab.shifted_set())
    return Claim(
        part="Leakage",
        name="no robust leakage in D_det",
        claim="What robust features tell of the labels of D_det does not carry over to true labels.",
        where="Goh 2019",
        rule="the interval through robust linear features lies below the share of the rarest test label for D_det; "
        "D_rand's figure and those of all features stand beside it",
        nodes=(d_rand, d_det),
        evidence=lambda results: NoLeakage(
            d_rand=results.share(d_rand, "clean"),
            d_det=results.share(d_det, "clean"),
            rarest=min(label_shares(lab)),
            commonest=chance(lab),
        ),
    )


def some_are_bugs(lab: Ilyas2019Lab) -> Claim:
    """Nakkiran 2019: perturbations that fool one net alone; do they transfer, and do they teach?"""
    pgd, bugs = lab.bug_set(transfers=True), lab.bug_set(transfers=False)
    receiver = lab.receiving_net(lab.scale.net)
    to_pgd, to_bugs = (lab.answers_of(receiver, made) for made in (pgd, bugs))
    of_pgd, of_bugs = (lab.answers_of(lab.net_trained_on(made)) for made in (pgd, bugs))
    return Claim(
        part="Just bugs",
        name="some adversarial examples are bugs",
        claim="There are perturbations that fool a net, do not transfer, and teach nothing about the true labels.",
        where="Nakkiran 2019",
        rule=f"without transfer the attack still succeeds on more than {100 * FOOLED:g} % of the images; what "
        "transfers lies below the same for PGD (intervals apart), and what is learned of them about the test set is "
        "not above chance; " + CHANCE,
        nodes=(pgd, bugs, to_pgd, to_bugs, of_pgd, of_bugs),
        evidence=lambda results: SomeAreBugs(
            fooling_pgd=results.share(pgd, "reached"),
            fooling=results.share(bugs, "reached"),
            transfer_pgd=results.share(to_pgd, "clean"),
            transfer=results.share(to_bugs, "clean"),
            learned_pgd=results.share(of_pgd, "clean"),
            learned=results.share(of_bugs, "clean"),
            chance=chance(lab),
        ),
    )


def mistakes_teach(lab: Ilyas2019Lab) -> Claim:
    """Wallace 2019: is a net that learns another's mistakes right more often than chance?"""
    answers = lab.answers_of(lab.net_trained_on(lab.mistakes()))
    return Claim(
        part="Mislabelled",
        name="mistakes teach",
        claim="A net that learns nothing but another net's mistakes is right on the real test set more often than "
        "chance.",
        where="Wallace 2019",
        rule="the interval lies above chance; " + CHANCE,
        nodes=(answers,),
        evidence=lambda results: MistakesTeach(accuracy=results.share(answers, "clean"), chance=chance(lab)),
    )
