"""The claims of the paper's main part: what each says, what counts as agreement, and what is read for it."""

from collections.abc import Mapping, Sequence

import numpy as np

from brittle.audits import Interval, mean_interval
from brittle.science import LEAST, fit_line

from ..paper import Claim
from ..results import Results, Share
from .appendix import no_masking, opposite_labels, survives_an_audit
from .discussion import mistakes_teach, no_leakage, some_are_bugs
from .evidence import (
    CORRELATED_P,
    KEPT,
    NOTHING,
    SHARE_OF_D,
    EquationsHold,
    NonRobustFeaturesGiveAccuracyAlone,
    NonRobustFeaturesSuffice,
    RobustFeaturesGiveRobustness,
    TransferFollowsLearning,
)
from .lab import Ilyas2019Lab
from .learners import CHANCE, OF_TRAINED, trained, untrained
from .tables import CONTROL, four_nets, three_nets
from .theory_claims import theory_claims

REDRAWN = 200  # times, to tell what the uncertainty of points does to their ranks


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


def non_robust_features_suffice(lab: Ilyas2019Lab) -> Claim:
    """Table 1: nets trained on D, D_rand and D_det, on the real test set: more than chance, and than what leaks?"""
    nets = three_nets(lab)
    leaks = [lab.robust_leakage_of(made) for made in (lab.random_set(), lab.shifted_set())]

    def read(results: Results) -> NonRobustFeaturesSuffice:
        d, d_rand, d_det = (
            results.pooled([lab.answers_of(net) for net in trained(lab, results, some)], "clean")
            for some in nets.values()
        )
        return NonRobustFeaturesSuffice(
            d=d,
            d_rand=d_rand,
            d_det=d_det,
            leak_rand=results.share(leaks[0], "clean"),
            leak_det=results.share(leaks[1], "clean"),
            chance=lab.chance,
            untrained=untrained(lab, results, nets),
        )

    answers = [lab.answers_of(net) for some in nets.values() for net in some]
    return Claim(
        part="Table 1",
        name="non-robust features suffice",
        claim="A net that only sees labels that non-robust features carry is accurate on the real test set.",
        where="section 3.2 and Table 1",
        rule="for D_rand and for D_det the interval of the accuracy on the real test set, over all trainings, lies "
        "above chance and above what a linear classifier learns of the set through a robust net's features; it fails "
        "where one lies below; " + CHANCE + OF_TRAINED,
        nodes=(*answers, *leaks, *nets["D_rand"], *nets["D_det"]),
        evidence=read,
    )


def robust_features_give_robustness(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_R more robust than on as much of D and than on D_NR?"""
    nets = {name: four_nets(lab)[name] for name in (CONTROL, "standard on D_R", "standard on D_NR")}
    attacks = [lab.attack_on(net) for some in nets.values() for net in some]

    def read(results: Results) -> RobustFeaturesGiveRobustness:
        control, d_r, d_nr = ([lab.attack_on(net) for net in trained(lab, results, some)] for some in nets.values())
        return RobustFeaturesGiveRobustness(
            control=results.pooled(control, "robust"),
            d_r=results.pooled(d_r, "robust"),
            d_nr=results.pooled(d_nr, "robust"),
            d_r_clean=results.pooled(d_r, "clean"),
            chance=lab.chance,
            untrained=untrained(lab, results, nets),
        )

    return Claim(
        part="Figure 2",
        name="robust features give robustness",
        claim="Standard training on D_R gives a net that is accurate and robust.",
        where="section 3.1 and Figure 2",
        rule="robust accuracy of standard training on D_R lies above that of standard training on as much of D and on "
        "D_NR (intervals over all trainings apart), and its accuracy above chance; it fails where one lies below; "
        + CHANCE
        + OF_TRAINED,
        nodes=(*attacks, *(net for some in nets.values() for net in some)),
        evidence=read,
    )


def non_robust_features_give_accuracy_alone(lab: Ilyas2019Lab) -> Claim:
    """Figure 2: is standard training on D_NR about as accurate as on D, and less robust than on D_R?"""
    nets = {name: four_nets(lab)[name] for name in ("standard on D", "standard on D_R", "standard on D_NR")}
    attacks = [lab.attack_on(net) for some in nets.values() for net in some]

    def read(results: Results) -> NonRobustFeaturesGiveAccuracyAlone:
        d, d_r, d_nr = ([lab.attack_on(net) for net in trained(lab, results, some)] for some in nets.values())
        return NonRobustFeaturesGiveAccuracyAlone(
            d=results.pooled(d, "clean"),
            d_nr=results.pooled(d_nr, "clean"),
            d_r_robust=results.pooled(d_r, "robust"),
            d_nr_robust=results.pooled(d_nr, "robust"),
            untrained=untrained(lab, results, nets),
        )

    return Claim(
        part="Figure 2",
        name="non-robust features give accuracy alone",
        claim="Standard training on D_NR gives a net that is accurate and not robust.",
        where="section 3.1 and Figure 2",
        rule=f"accuracy of standard training on D_NR is above {100 * SHARE_OF_D:g} % of that on D, and its robust "
        "accuracy below that of D_R (intervals over all trainings apart); it fails where they lie the other way round"
        + OF_TRAINED,
        nodes=(*attacks, *nets["standard on D_R"], *nets["standard on D_NR"]),
        evidence=read,
    )


def equations_hold(lab: Ilyas2019Lab) -> Claim:
    """Equations 4, 7 and 8: what are features worth on the made sets?"""
    standard, robust = lab.correlations_of(lab.other_standard_net), lab.correlations_of(lab.robust_net)

    def read(results: Results) -> EquationsHold:
        return EquationsHold(*(worth_of(results.record_of(node)["rho"], lab.seed) for node in (standard, robust)))

    return Claim(
        part="Equations 4, 7, 8",
        name="the sets are what the equations say",
        claim="On D_R robust features keep what they are worth and others lose it; on D_rand and D_det non-robust ones "
        "are worth something; robust ones are worth nothing on D_rand and speak against the label on D_det.",
        where="equations 4, 7 and 8",
        rule=f"over the features that are worth more than {LEAST:g} on D, the mean of E[y f(x)] - E[y] E[f(x)] is, "
        f"with its interval over features: of a robust net on D_R more than {100 * KEPT:g} % of that on D, and of a "
        f"standard net less than {100 * NOTHING:g} % to either side of 0; of a standard net on D_rand and D_det above "
        f"0; of a robust net on D_rand less than {100 * NOTHING:g} % of that on D to either side of 0, on D_det below "
        "0; it fails where one lies on the other side; the standard net is another than the one that the sets were "
        "made with, the robust net is that of D_R, so that its first half holds by construction: another would be "
        "another adversarial training. A unit may mix both kinds of features, and with ten classes a feature that "
        "tells one of them can speak against the next with a ninth of what it is worth on D",
        nodes=(standard, robust),
        evidence=read,
    )


def worth_of(rho: Mapping[str, Sequence[float]], seed: int) -> dict[str, Interval]:
    """Of features that are worth something on D, the mean on each set."""
    useful = np.array(rho["D"]) > LEAST
    return {name: mean_interval(np.array(values)[useful], seed) for name, values in rho.items()}


def transfer_follows_learning(lab: Ilyas2019Lab) -> Claim:
    """Figure 3: over architectures, does transfer rise with what is learned of D_det (rank correlation)?"""
    nets = {net: lab.net_trained_on(lab.shifted_set(), net) for net in lab.scale.architectures}
    learned = {net: lab.answers_of(learner) for net, learner in nets.items()}
    fooled = {net: lab.transfer_to(net) for net in nets}

    def read(results: Results) -> TransferFollowsLearning:
        asked = [net for net, learner in nets.items() if trained(lab, results, (learner,))]
        across = [results.share(learned[net], "clean") for net in asked]
        upwards = [results.share(fooled[net], "fooled") for net in asked]
        line = fit_line([one.accuracy for one in across], [one.accuracy for one in upwards])
        return TransferFollowsLearning(
            architectures=len(asked),
            line=line,
            p=p_of_redrawn(across, upwards, lab.seed),
            p_reverse=p_of_redrawn(across, upwards, lab.seed, sign=-1),
            untrained=untrained(lab, results, {net: (learner,) for net, learner in nets.items()}),
        )

    return Claim(
        part="Figure 3",
        name="transfer goes with what is learned of D_det",
        claim="Architectures that learn more from the source's non-robust features are fooled more by its adversarial "
        "examples.",
        where="section 3.2 and Figure 3",
        rule=f"the rank correlation over architectures is positive with one-sided p below {CORRELATED_P:g} (five "
        f"points need it to be 1 or 0.9), on average over {REDRAWN} draws of each point from its own test; it fails "
        "where it is negative with as small a p for that" + OF_TRAINED,
        nodes=(*learned.values(), *fooled.values(), *nets.values()),
        evidence=read,
    )


def p_of_redrawn(across: Sequence[Share], upwards: Sequence[Share], seed: int, sign: int = 1) -> float:
    """The mean one-sided p of a rank correlation of this sign where each share is drawn anew from its own test; 1
    without one."""
    random = np.random.default_rng(seed)

    def drawn(shares: Sequence[Share]) -> list[float]:
        return [random.binomial(one.n, one.accuracy) / max(one.n, 1) for one in shares]

    lines = (fit_line(drawn(across), [sign * one for one in drawn(upwards)]) for _ in range(REDRAWN))
    return float(np.mean([1.0 if line is None else line.p for line in lines]))
