"""The claims of the paper, and of its discussion: what each says, what counts as agreement, and what is read for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from brittle.audits import Interval, mean_interval, paired_p_value
from brittle.science import LEAST, fit_line

from ..paper import Claim
from ..results import Results, Share
from .evidence import (
    CORRELATED_P,
    FOOLED,
    KEPT,
    LITTLE,
    MASKED,
    SHARE_OF_D,
    EquationsHold,
    MistakesTeach,
    NoLeakage,
    NoMasking,
    NonRobustFeaturesGiveAccuracyAlone,
    NonRobustFeaturesSuffice,
    OppositeLabels,
    RobustFeaturesGiveRobustness,
    SomeAreBugs,
    SurvivesAnAudit,
    TransferFollowsLearning,
)
from .lab import Ilyas2019Lab
from .tables import CONTROL, four_nets, strong_attacks, three_nets
from .theory import theory_claims

REDRAWN = 200  # times, to tell what the uncertainty of points does to their ranks
CHANCE = "chance is the share of the commonest test label"


def all_claims(lab: Ilyas2019Lab) -> tuple[Claim, ...]:
    """The paper's claims, each with what counts as agreement and why."""
    return (
        non_robust_features_suffice(lab),
        robust_features_give_robustness(lab),
        non_robust_features_give_accuracy_alone(lab),
        no_masking(lab),
        survives_an_audit(lab),
        equations_hold(lab),
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
    """Table 1: nets trained on D, D_rand and D_det, on the real test set: more than chance, and than what leaks?"""
    d, d_rand, d_det = (tuple(map(lab.answers_of, three_nets(lab)[name])) for name in ("D", "D_rand", "D_det"))
    leaks = [lab.robust_leakage_of(made) for made in (lab.random_set(), lab.shifted_set())]
    return Claim(
        part="Table 1",
        name="non-robust features suffice",
        claim="A net that only sees labels that non-robust features carry is accurate on the real test set.",
        where="section 3.2 and Table 1",
        rule="for D_rand and for D_det the interval of the accuracy on the real test set, over all trainings, lies "
        "above chance and above what a linear classifier learns of the set through a robust net's features; it fails "
        "where one lies below; " + CHANCE,
        nodes=(*d, *d_rand, *d_det, *leaks),
        evidence=lambda results: NonRobustFeaturesSuffice(
            d=results.pooled(d, "clean"),
            d_rand=results.pooled(d_rand, "clean"),
            d_det=results.pooled(d_det, "clean"),
            leak_rand=results.share(leaks[0], "clean"),
            leak_det=results.share(leaks[1], "clean"),
            chance=chance(lab),
        ),
    )


def robust_features_give_robustness(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_R more robust than on as much of D (paired) and than on D_NR?"""
    nets = four_nets(lab)
    control, d_r, d_nr = (
        tuple(map(lab.attack_on, nets[name])) for name in (CONTROL, "standard on D_R", "standard on D_NR")
    )

    def read(results: Results) -> RobustFeaturesGiveRobustness:
        ours, theirs = results.survivors(d_r[0]), results.survivors(control[0])
        return RobustFeaturesGiveRobustness(
            control=results.pooled(control, "robust"),
            d_r=results.pooled(d_r, "robust"),
            d_nr=results.pooled(d_nr, "robust"),
            d_r_clean=results.pooled(d_r, "clean"),
            p=paired_p_value(int((ours & ~theirs).sum()), int((theirs & ~ours).sum())),
            chance=chance(lab),
        )

    return Claim(
        part="Figure 2",
        name="robust features give robustness",
        claim="Standard training on D_R gives a net that is accurate and robust.",
        where="section 3.1 and Figure 2",
        rule="robust accuracy of standard training on D_R lies above that of standard training on as much of D and on "
        "D_NR (intervals over all trainings apart), and its accuracy above chance; it fails where one lies below; "
        + CHANCE,
        nodes=(*control, *d_r, *d_nr),
        evidence=read,
    )


def non_robust_features_give_accuracy_alone(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_NR about as accurate as on D, and less robust than on D_R?"""
    nets = four_nets(lab)
    d, d_r, d_nr = (
        tuple(map(lab.attack_on, nets[name])) for name in ("standard on D", "standard on D_R", "standard on D_NR")
    )
    return Claim(
        part="Figure 2",
        name="non-robust features give accuracy alone",
        claim="Standard training on D_NR gives a net that is accurate and not robust.",
        where="section 3.1 and Figure 2",
        rule=f"accuracy of standard training on D_NR is above {100 * SHARE_OF_D:g} % of that on D, and its robust "
        "accuracy below that of D_R (intervals over all trainings apart); it fails where they lie the other way round",
        nodes=(*d, *d_r, *d_nr),
        evidence=lambda results: NonRobustFeaturesGiveAccuracyAlone(
            d=results.pooled(d, "clean"),
            d_nr=results.pooled(d_nr, "clean"),
            d_r_robust=results.pooled(d_r, "robust"),
            d_nr_robust=results.pooled(d_nr, "robust"),
        ),
    )


def no_masking(lab: Ilyas2019Lab) -> Claim:
    """Appendix D.2: what do stronger attacks break of the net of D_R beyond plain PGD, image by image?"""
    model = lab.net_trained_on(lab.matched_set("D_R"))
    n = lab.scale.testing.long_n
    attacks = {name: lab.attack_on(model, attack=attack, n=n) for name, attack in strong_attacks(lab).items()}

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
        f"{100 * MASKED:g} points; it fails where one lies above",
        nodes=tuple(attacks.values()),
        evidence=read,
    )


def survives_an_audit(lab: Ilyas2019Lab) -> Claim:
    """Does the robustness of the net of D_R survive an audit, and lie above that of as much of D?"""
    model, control = lab.net_trained_on(lab.matched_set("D_R")), lab.control_nets[0]
    audits, pgd, name = [lab.audit_of(net) for net in (model, control)], lab.attack_on(model), str(lab.threat)

    def read(results: Results) -> SurvivesAnAudit:
        ours, theirs = (results.tensors(node)["withstands"][0].double() for node in audits)
        return SurvivesAnAudit(
            d_r=results.share(audits[0], name),
            control=results.share(audits[1], name),
            gained=mean_interval((ours - theirs).numpy(), lab.seed),
            pgd=results.share(pgd, "robust"),
        )

    return Claim(
        part="D.2",
        name="the robustness of D_R survives an audit",
        claim="A net that learned D_R in the standard way is robust against the strongest attacks too.",
        where="section 3.1; doubted by Li et al. 2023",
        rule=f"on the same images an audit in {lab.threat} leaves more than of the net that learned as much of D, with "
        f"its interval, and more than {100 * LITTLE:g} %; it fails where it leaves less",
        nodes=(*audits, pgd),
        evidence=read,
    )


def equations_hold(lab: Ilyas2019Lab) -> Claim:
    """Equations 4, 7 and 8: what are features worth on the made sets?"""
    standard, robust = lab.correlations_of(lab.standard_net), lab.correlations_of(lab.robust_net)

    def read(results: Results) -> EquationsHold:
        return EquationsHold(*(worth_of(results.record_of(node)["rho"], lab.seed) for node in (standard, robust)))

    return Claim(
        part="Equations 4, 7, 8",
        name="the sets are what the equations say",
        claim="On D_R robust features keep what they are worth; on D_rand and D_det non-robust ones are worth "
        "something; on D_det robust ones speak against the label.",
        where="equations 4, 7 and 8",
        rule=f"over the features that are worth more than {LEAST:g} on D, the mean of E[y f(x)] is, with its interval "
        f"over features: of a robust net on D_R more than {100 * KEPT:g} % of that on D; of a standard net on D_rand "
        "and D_det above 0; of a robust net on D_det below 0; it fails where one lies on the other side",
        nodes=(standard, robust),
        evidence=read,
    )


def worth_of(rho: Mapping[str, Sequence[float]], seed: int) -> dict[str, Interval]:
    """Of features that are worth something on D, the mean on each set."""
    useful = np.array(rho["D"]) > LEAST
    return {name: mean_interval(np.array(values)[useful], seed) for name, values in rho.items()}


def transfer_follows_learning(lab: Ilyas2019Lab) -> Claim:
    """Figure 3: over architectures, does transfer rise with what is learned of D_det (rank correlation)?"""
    nets = lab.scale.architectures
    learned = [lab.answers_of(lab.net_trained_on(lab.shifted_set(), net)) for net in nets]
    fooled = [lab.transfer_to(net) for net in nets]

    def read(results: Results) -> TransferFollowsLearning:
        across = [results.share(node, "clean") for node in learned]
        upwards = [results.share(node, "fooled") for node in fooled]
        line = fit_line([one.accuracy for one in across], [one.accuracy for one in upwards])
        return TransferFollowsLearning(len(nets), line, p_of_redrawn(across, upwards, lab.seed))

    return Claim(
        part="Figure 3",
        name="transfer goes with what is learned of D_det",
        claim="Architectures that learn more from the source's non-robust features are fooled more by its adversarial "
        "examples.",
        where="section 3.2 and Figure 3",
        rule=f"the rank correlation over architectures is positive with one-sided p below {CORRELATED_P:g} (five "
        f"points need it to be 1 or 0.9), on average over {REDRAWN} draws of each point from its own test; it fails "
        "where it is negative",
        nodes=(*learned, *fooled),
        evidence=read,
    )


def p_of_redrawn(across: Sequence[Share], upwards: Sequence[Share], seed: int) -> float:
    """The mean one-sided p of the rank correlation where each share is drawn anew from its own test; 1 without one."""
    random = np.random.default_rng(seed)

    def drawn(shares: Sequence[Share]) -> list[float]:
        return [random.binomial(one.n, one.accuracy) / max(one.n, 1) for one in shares]

    lines = (fit_line(drawn(across), drawn(upwards)) for _ in range(REDRAWN))
    return float(np.mean([1.0 if line is None else line.p for line in lines]))


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
        "robust net's (intervals apart); it fails where either lies the other way round",
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
        "D_rand's figure and those of all features stand beside it; it fails where it lies above the commonest label's",
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
        "not above chance; it fails where one lies on the other side; " + CHANCE,
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
        rule="the interval lies above chance; it fails where it lies below; " + CHANCE,
        nodes=(answers,),
        evidence=lambda results: MistakesTeach(accuracy=results.share(answers, "clean"), chance=chance(lab)),
    )
