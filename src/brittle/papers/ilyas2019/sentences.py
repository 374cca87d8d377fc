"""The sentences of the paper's argument, and of its discussion, as tests on our figures."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from brittle.audits import mean_interval
from brittle.science import (
    Gaussians,
    adversarial_gap,
    adversarial_training,
    example,
    fitted,
    folded,
    maximum_likelihood,
    plain_and_robust,
    robust_likelihood,
)
from brittle.studies import Node

from ..paper import Finding, Results, Share, Statement, ruled
from .lab import D_DET, D_RAND, Lab
from .tables import four, strongest, three

THEOREMS = "Gaussian model"


def statements(lab: Lab) -> tuple[Statement, ...]:
    """The paper's sentences, each with what counts as agreement and why."""
    judge, chance = _Judge(lab), "chance is the share of the commonest test label"
    return (
        Statement(
            "Table 1",
            "non-robust features suffice",
            "A net that only sees labels that non-robust features carry is accurate on the real test set.",
            "section 3.2 and Table 1",
            f"for D_rand and for D_det the interval of the accuracy on the real test set lies above chance; {chance}",
            judge.suffice,
            tuple(lab.answered(model) for model in three(lab).values()),
        ),
        Statement(
            "Figure 2",
            "robust features give robustness",
            "Standard training on D_R gives a net that is accurate and robust.",
            "section 3.1 and Figure 2",
            "robust accuracy of standard training on D_R lies above that of standard training on D and on D_NR "
            "(intervals apart), and "
            "its accuracy above chance",
            judge.robust_features,
            judge.four(),
        ),
        Statement(
            "Figure 2",
            "non-robust features give accuracy alone",
            "Standard training on D_NR gives a net that is accurate and not robust.",
            "section 3.1 and Figure 2",
            "accuracy of standard training on D_NR is above half of that on D, and its robust accuracy below that of "
            "D_R (intervals "
            "apart)",
            judge.brittle_features,
            judge.four(),
        ),
        Statement(
            "D.2",
            "the robustness of D_R is no masking",
            "Stronger attacks take no more than two points from the net that learned D_R.",
            "appendix D.2",
            "on the same images, what all attacks together break beyond plain PGD has an interval below 2 points",
            judge.no_masking,
            judge.strong(),
        ),
        Statement(
            "Figure 3",
            "transfer goes with what is learned of D_det",
            "Architectures that learn more from the source's non-robust features are fooled more by its adversarial examples.",
            "section 3.2 and Figure 3",
            "the rank correlation over architectures is positive with one-sided p below 0.05 (five points need it to be 1 or 0.9)",
            judge.transfer,
            judge.transfers(),
        ),
        Statement(
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
        Statement(
            "Leakage",
            "no robust feature leaks into D_det",
            "The labels of D_det cannot be told from robust features.",
            "Goh 2019",
            "the interval through robust linear features lies below the share of the rarest test label for D_det; "
            "D_rand's figure and "
            "those of all features stand beside it",
            judge.leakage,
            tuple(lab.leak(wanted) for wanted in (D_RAND, D_DET)),
        ),
        Statement(
            "Just bugs",
            "some adversarial examples are bugs",
            "There are perturbations that fool a net, do not transfer, and teach nothing about the true labels.",
            "Nakkiran 2019",
            "without transfer the attack still succeeds on most images; what transfers lies below the same for PGD "
            "(intervals apart), "
            "and what is learned of them about the test set is not above chance",
            judge.just_bugs,
            judge.perturbed(),
        ),
        Statement(
            "Mislabelled",
            "mistakes teach",
            "A net that learns nothing but another net's mistakes is right on the real test set more often than chance.",
            "Wallace 2019",
            f"the interval lies above chance; {chance}",
            judge.mistakes,
            (lab.answered(lab.learned(lab.mislabelled())),),
        ),
        Statement(
            "D.10",
            "robust and accurate at once",
            "There is a distribution where training uses a feature that is useful but not robust, and robust training "
            "is perfectly "
            "accurate and robust without it.",
            "appendix D.10 and Figure 14",
            "on our toy (the coordinates of the paper are not known) both trainings are accurate on all points, only "
            "robust training is "
            "robust on all, and its weight on the brittle feature is 0",
            judge.toy,
        ),
        Statement(
            THEOREMS,
            "theorems 1 to 3",
            "Adversarial loss exceeds the plain one by what theorem 1 says; robust likelihood of two Gaussians learns "
            "the true mean and a "
            "covariance that nears a multiple of I as eps grows; gradients then point more from one class to the other.",
            "section 4, theorems 1 to 3",
            "on 5,000 samples the gap lies within 4 standard errors of the formula, adversarial training arrives at "
            "the closed form of its "
            "own samples (1e-3, relative), the condition number falls with eps, and the worst cosine between gradient "
            "and mean grows",
            judge.theorems,
        ),
    )


@dataclass(frozen=True)
class _Judge:
    """Reads the figures that the sentences rest on."""

    lab: Lab

    @property
    def chance(self) -> float:
        """What always answering the commonest class gets."""
        return float(self._counts.max() / self._counts.sum())

    @property
    def _counts(self) -> Tensor:
        test = self.lab.data.load().test
        return torch.bincount(test.labels, minlength=len(test.classes)).double()

    def four(self) -> tuple[Node, ...]:
        return tuple(self.lab.judged(model) for model in four(self.lab).values())

    def strong(self) -> tuple[Node, ...]:
        model = self.lab.learned(self.lab.matched("D_R"))
        return tuple(self.lab.judged(model, attack=attack) for attack in strongest(self.lab).values())

    def relabelled(self) -> tuple[Node, ...]:
        return tuple(
            self.lab.answered(self.lab.learned(self.lab.targeted(D_DET, model))) for model in (self.lab.standard, self.lab.robust)
        )

    def transfers(self) -> tuple[Node, ...]:
        learned = tuple(self.lab.answered(self.lab.learned(self.lab.targeted(D_DET), net)) for net in self.lab.scale.nets)
        return (*learned, *(self.lab.transfer(net) for net in self.lab.scale.nets))

    def perturbed(self) -> tuple[Node, ...]:
        made, lab = [self.lab.bugs(transfers) for transfers in (True, False)], self.lab
        moved = [lab.answered(lab.other(lab.scale.net, 30), one) for one in made]
        return (*made, *moved, *(lab.answered(lab.learned(one)) for one in made))

    def suffice(self, results: Results) -> Finding:
        shares = {name: results.share(self.lab.answered(model), "clean") for name, model in three(self.lab).items()}
        asked = [shares["D_rand"], shares["D_det"]]
        return ruled(_told(shares), [_low(one) > self.chance for one in asked], [_high(one) < self.chance for one in asked])

    def robust_features(self, results: Results) -> Finding:
        on_d, _, on_r, on_nr = self.four()
        d, r, nr = (results.share(node, "robust") for node in (on_d, on_r, on_nr))
        clean = results.share(on_r, "clean")
        said = f"robust accuracy {_told({'D': d, 'D_R': r, 'D_NR': nr})}; accuracy of D_R {_percent(clean)}"
        return ruled(
            said, [_low(r) > _high(d), _low(r) > _high(nr), _low(clean) > self.chance], [_high(r) < _low(d), _high(r) < _low(nr)]
        )

    def brittle_features(self, results: Results) -> Finding:
        on_d, _, on_r, on_nr = self.four()
        d, nr = (results.share(node, "clean") for node in (on_d, on_nr))
        robust = {name: results.share(node, "robust") for name, node in (("D_R", on_r), ("D_NR", on_nr))}
        said = f"accuracy {_told({'D': d, 'D_NR': nr})}; robust accuracy {_told(robust)}"
        holds = [_low(nr) > d["accuracy"] / 2, _high(robust["D_NR"]) < _low(robust["D_R"])]
        return ruled(said, holds, [_high(nr) < d["accuracy"] / 2, _low(robust["D_NR"]) > _high(robust["D_R"])])

    def no_masking(self, results: Results) -> Finding:
        withstood = [~results.tensors(node)["broken"] for node in self.strong()]
        shares = {name: results.share(node, "robust") for name, node in zip(strongest(self.lab), self.strong(), strict=True)}
        lost = (withstood[0] & ~torch.stack(withstood).all(0)).double()
        drop = mean_interval(lost.numpy(), self.lab.seed)
        taken = f"{100 * drop.mean:.1f} [{100 * drop.low:.1f}, {100 * drop.high:.1f}]"
        said = f"{_told(shares)}; together they take {taken} points more than the first"
        return ruled(said, [drop.high <= 0.02], [drop.low > 0.02])

    def transfer(self, results: Results) -> Finding:
        nodes, count = self.transfers(), len(self.lab.scale.nets)
        x = [results.share(node, "clean")["accuracy"] for node in nodes[:count]]
        y = [results.share(node, "fooled")["accuracy"] for node in nodes[count:]]
        line = fitted(x, y)
        if line is None:
            return Finding("open", "too few architectures, or no difference between them")
        said = (
            f"over {count} architectures the rank correlation is {line.rank:.2f} (one-sided p {line.p:.2g}), slope {line.slope:.2f}"
        )
        return ruled(said, [line.rank > 0, line.p < 0.05], [line.rank < 0])

    def associations(self, results: Results) -> Finding:
        of_standard, of_robust = self.relabelled()
        shares = {
            f"{name}, {said}": results.share(node, read)
            for name, node in (("standard net", of_standard), ("robust net", of_robust))
            for said, read in (("y", "clean"), ("y + 1", "shifted"))
        }
        a, b, c, d = shares.values()
        return ruled(_told(shares), [_low(a) > _high(b), _high(c) < _low(d)], [_high(a) < _low(b), _low(c) > _high(d)])

    def leakage(self, results: Results) -> Finding:
        shares = {name: results.share(self.lab.leak(name_), "clean") for name, name_ in (("D_rand", D_RAND), ("D_det", D_DET))}
        det, rarest = shares["D_det"], float(self._counts.min() / self._counts.sum())
        return ruled(_told(shares), [_high(det) < rarest], [_low(det) > self.chance])

    def just_bugs(self, results: Results) -> Finding:
        nodes = self.perturbed()
        reached = {name: results.share(node, "reached") for name, node in zip(("PGD", "without transfer"), nodes[:2], strict=True)}
        moved, learned = (
            {name: results.share(node, "clean") for name, node in zip(reached, pair, strict=True)}
            for pair in (nodes[2:4], nodes[4:])
        )
        said = f"success {_told(reached)}; transfer {_told(moved)}; learned, on the test set {_told(learned)}"
        ours = [one["without transfer"] for one in (reached, moved, learned)]
        holds = [_low(ours[0]) > 0.5, _high(ours[1]) < _low(moved["PGD"]), _low(ours[2]) <= self.chance]
        return ruled(said, holds, [_high(ours[0]) < 0.5, _low(ours[1]) > _high(moved["PGD"]), _low(ours[2]) > self.chance])

    def mistakes(self, results: Results) -> Finding:
        share = results.share(self.lab.answered(self.lab.learned(self.lab.mislabelled())), "clean")
        return ruled(_percent(share), [_low(share) > self.chance], [_high(share) < self.chance])

    def toy(self, results: Results) -> Finding:
        plain, robust = plain_and_robust()
        said = (
            f"plain weights {_numbers(plain.weights)}: clean {plain.clean:.1%}, robust {plain.robust:.1%}; "
            f"robust weights {_numbers(robust.weights)}: clean {robust.clean:.1%}, robust {robust.robust:.1%}"
        )
        holds = [plain.clean == 1, robust.clean == 1, robust.robust == 1, plain.robust < 1, robust.weights[1] == 0]
        return ruled(said, holds, [not one for one in holds])

    def theorems(self, results: Results) -> Finding:
        truth, budgets = example(), (0.0, 1.0, 10.0)
        samples = folded(*truth.draw(5000, self.lab.seed))
        own = maximum_likelihood(samples)
        away = max(adversarial_training(samples, eps).distance(robust_likelihood(own, eps).learned) for eps in budgets)
        learned = [robust_likelihood(truth, eps).learned for eps in budgets]
        worst, conditions = ([getattr(one, name) for one in learned] for name in ("worst_alignment", "condition"))
        errors = _gap_in_errors(truth, samples)
        said = (
            f"the gap lies {abs(errors):.1f} standard errors from the formula; training ends {away:.1e} from the closed "
            f"form at most; "
            f"for eps 0, 1, 10 the condition number is {_numbers(tuple(conditions))} and the worst cosine "
            f"{_numbers(tuple(worst))}"
        )
        holds = [abs(errors) < 4, away < 1e-3, bool((np.diff(worst) > 0).all()), bool((np.diff(conditions) < 0).all())]
        return ruled(said, holds, [not one for one in holds])


def _gap_in_errors(truth: Gaussians, samples: NDArray[np.float64]) -> float:
    """How many standard errors the mean adversarial loss lies from theorem 1's formula, the true parameters known."""
    penalty, precision = 2 / truth.values[0], np.linalg.inv(truth.sigma)
    away = samples - truth.mu
    moved = away + away @ np.linalg.inv(penalty * truth.sigma - np.eye(len(truth.mu)))
    gap = np.einsum("ni,ij,nj->n", moved, precision, moved) - np.einsum("ni,ij,nj->n", away, precision, away)
    return float((gap.mean() - adversarial_gap(truth, penalty)) / (gap.std(ddof=1) / math.sqrt(len(gap))))


def _low(share: Share) -> float:
    return float(share["interval"][0])


def _high(share: Share) -> float:
    return float(share["interval"][1])


def _percent(share: Share) -> str:
    return f"{100 * share['accuracy']:.1f} [{100 * _low(share):.1f}, {100 * _high(share):.1f}] %"


def _told(shares: dict[str, Share]) -> str:
    return ", ".join(f"{name} {_percent(one)}" for name, one in shares.items())


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.2g}" for value in values) + ")"
