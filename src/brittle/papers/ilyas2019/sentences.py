"""The sentences of the paper's argument, and of its discussion: what each claims, and what would count as agreement."""

from ..paper import Claim
from .judge import Judge
from .lab import D_DET, D_RAND, Lab
from .tables import three

THEOREMS = "Gaussian model"


def claims(lab: Lab) -> tuple[Claim, ...]:
    """The paper's sentences, each with what counts as agreement and why."""
    judge, chance = Judge(lab), "chance is the share of the commonest test label"
    return (
        Claim(
            "Table 1",
            "non-robust features suffice",
            "A net that only sees labels that non-robust features carry is accurate on the real test set.",
            "section 3.2 and Table 1",
            f"for D_rand and for D_det the interval of the accuracy on the real test set lies above chance; {chance}",
            judge.suffice,
            tuple(lab.answered(model) for model in three(lab).values()),
        ),
        Claim(
            "Figure 2",
            "robust features give robustness",
            "Standard training on D_R gives a net that is accurate and robust.",
            "section 3.1 and Figure 2",
            "robust accuracy of standard training on D_R lies above that of standard training on as much of D and on "
            "D_NR (intervals apart), and its accuracy above chance",
            judge.robust_features,
            judge.four(),
        ),
        Claim(
            "Figure 2",
            "non-robust features give accuracy alone",
            "Standard training on D_NR gives a net that is accurate and not robust.",
            "section 3.1 and Figure 2",
            "accuracy of standard training on D_NR is above half of that on D, and its robust accuracy below that of "
            "D_R (intervals apart)",
            judge.brittle_features,
            judge.four(),
        ),
        Claim(
            "D.2",
            "the robustness of D_R is no masking",
            "Stronger attacks take no more than two points from the net that learned D_R.",
            "appendix D.2",
            "on the same images, what all attacks together break beyond plain PGD has an interval below 2 points",
            judge.no_masking,
            judge.strong(),
        ),
        Claim(
            "Figure 3",
            "transfer goes with what is learned of D_det",
            "Architectures that learn more from the source's non-robust features are fooled more by its adversarial "
            "examples.",
            "section 3.2 and Figure 3",
            "the rank correlation over architectures is positive with one-sided p below 0.05 (five points need it to "
            "be 1 or 0.9)",
            judge.transfer,
            judge.transfers(),
        ),
        Claim(
            "D.6",
            "D_det teaches non-robust features",
            "Of a standard net's D_det a net learns the label t more than y + 1 of the robust features; of a robust "
            "net's, the reverse.",
            "appendix D.6",
            "accuracy on true labels exceeds that on labels y + 1 for the standard net's set (intervals apart), and "
            "not for the robust net's",
            judge.associations,
            judge.relabelled(),
        ),
        Claim(
            "Leakage",
            "no robust leakage in D_det",
            "What robust features tell of the labels of D_det does not carry over to true labels.",
            "Goh 2019",
            "the interval through robust linear features lies below the share of the rarest test label for D_det; "
            "D_rand's figure and those of all features stand beside it",
            judge.leakage,
            tuple(lab.leak(wanted) for wanted in (D_RAND, D_DET)),
        ),
        Claim(
            "Just bugs",
            "some adversarial examples are bugs",
            "There are perturbations that fool a net, do not transfer, and teach nothing about the true labels.",
            "Nakkiran 2019",
            "without transfer the attack still succeeds on most images; what transfers lies below the same for PGD "
            "(intervals apart), and what is learned of them about the test set is not above chance",
            judge.just_bugs,
            judge.perturbed(),
        ),
        Claim(
            "Mislabelled",
            "mistakes teach",
            "A net that learns nothing but another net's mistakes is right on the real test set more often than "
            "chance.",
            "Wallace 2019",
            f"the interval lies above chance; {chance}",
            judge.mistakes,
            (lab.answered(lab.learned(lab.mislabelled())),),
        ),
        Claim(
            "D.10",
            "robust and accurate at once",
            "There is a distribution where training uses a feature that is useful but not robust, and robust "
            "training is perfectly accurate and robust without it.",
            "appendix D.10 and Figure 14",
            "on our toy (the coordinates of the paper are not known) both trainings are accurate on all points, only "
            "robust training is robust on all, and its weight on the brittle feature is 0",
            judge.toy,
        ),
        Claim(
            THEOREMS,
            "theorems 1 to 3",
            "Adversarial loss exceeds the plain one by what theorem 1 says; robust likelihood of two Gaussians "
            "learns the true mean and a covariance that nears a multiple of I as eps grows; gradients then point "
            "more from one class to the other.",
            "section 4, theorems 1 to 3",
            "on 5,000 samples the gap lies within 4 standard errors of the formula, adversarial training arrives at "
            "the closed form of its own samples (1e-3, relative), the condition number falls with eps, and the worst "
            "cosine between gradient and mean grows",
            judge.theorems,
        ),
    )
