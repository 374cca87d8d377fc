"""The claims of appendix D on made sets: what each says, what counts as agreement, and what is read for it."""

import torch

from ..paper import Claim
from ..results import Results, Share, paired_difference
from .evidence import LITTLE, MASKED, NoMasking, OppositeLabels, SurvivesAnAudit, most_lost
from .lab import Ilyas2019Lab
from .learners import OF_TRAINED, NotTrained, untrained
from .tables import strong_attacks


def no_masking(lab: Ilyas2019Lab) -> Claim:
    """Appendix D.2: what do stronger attacks break of the net of D_R beyond plain PGD, image by image?"""
    model = lab.net_trained_on(lab.matched_set("D_R"))
    n = lab.scale.testing.long_n
    attacks = {name: lab.attack_on(model, attack=attack, n=n) for name, attack in strong_attacks(lab).items()}

    def read(results: Results) -> NoMasking | NotTrained:
        if left_out := untrained(lab, results, {"D_R": (model,)}):
            return NotTrained(left_out)
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
        f"{100 * MASKED:g} points ({most_lost(n)}); it fails where one lies above{OF_TRAINED}",
        nodes=(*attacks.values(), model),
        evidence=read,
    )


def survives_an_audit(lab: Ilyas2019Lab) -> Claim:
    """Does the robustness of the net of D_R survive an audit, and lie above that of as much of D?"""
    model, control = lab.net_trained_on(lab.matched_set("D_R")), lab.control_nets[0]
    audits, pgd, name = [lab.audit_of(net) for net in (model, control)], lab.attack_on(model), str(lab.threat)

    def read(results: Results) -> SurvivesAnAudit | NotTrained:
        if left_out := untrained(lab, results, {"D_R": (model,), "as much of D": (control,)}):
            return NotTrained(left_out)
        ours, theirs = (results.tensors(node)["withstands"][0] for node in audits)
        return SurvivesAnAudit(
            d_r=results.share(audits[0], name),
            control=results.share(audits[1], name),
            gained=paired_difference(ours, theirs),
            pgd=results.share(pgd, "robust"),
        )

    return Claim(
        part="D.2",
        name="the robustness of D_R survives an audit",
        claim="A net that learned D_R in the standard way is robust against the strongest attacks too.",
        where="section 3.1; doubted by Li et al. 2023",
        rule=f"on the same images an audit in {lab.threat} leaves more than of the net that learned as much of D, with "
        f"its interval, and more than {100 * LITTLE:g} %; it fails where it leaves less{OF_TRAINED}",
        nodes=(*audits, pgd, model, control),
        evidence=read,
    )


def opposite_labels(lab: Ilyas2019Lab) -> Claim:
    """Appendix D.6: which label of D_det does a net learn, of a standard and of a robust net's set?"""
    sources = {"standard net": lab.standard_net, "robust net": lab.robust_net}
    nets = {f"D_det of the {name}": (lab.net_trained_on(lab.shifted_set(net)),) for name, net in sources.items()}
    standard, robust = (lab.answers_of(net) for (net,) in nets.values())

    def read(results: Results) -> OppositeLabels | NotTrained:
        if left_out := untrained(lab, results, nets):
            return NotTrained(left_out)
        return OppositeLabels(
            standard_y=results.share(standard, "clean"),
            standard_next=results.share(standard, "shifted"),
            robust_y=results.share(robust, "clean"),
            robust_next=results.share(robust, "shifted"),
        )

    return Claim(
        part="D.6",
        name="D_det teaches non-robust features",
        claim="Of a standard net's D_det a net learns the label t more than y + 1 of the robust features; of a robust "
        "net's, the reverse.",
        where="appendix D.6",
        rule="accuracy on true labels lies above that on labels y + 1 for the standard net's set, and below it for the "
        "robust net's (intervals apart); it fails where either lies the other way round",
        nodes=(standard, robust, *(net for (net,) in nets.values())),
        evidence=read,
    )
