"""Reads the figures that the paper's sentences rest on, and rules: one method for each sentence of `sentences.py`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brittle.audits import Proportion, paired_p_value
from brittle.science import (
    adversarial_gap,
    adversarial_training,
    example,
    fit_line,
    folded,
    gap_of_samples,
    maximum_likelihood,
    plain_and_robust,
    robust_likelihood,
)
from brittle.studies import Node

from ..paper import Results, Ruling, Share, rule_on
from .lab import D_DET, D_RAND, Lab
from .tables import four, strongest, three


@dataclass(frozen=True)
class Judge:
    """The rules of one lab's sentences, and the nodes that each reads."""

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

    def control(self) -> Node:
        return self.lab.judged(self.lab.control)

    def strong(self) -> tuple[Node, ...]:
        model = self.lab.learned(self.lab.matched("D_R"))
        return tuple(self.lab.judged(model, attack=attack) for attack in strongest(self.lab).values())

    def relabelled(self) -> tuple[Node, ...]:
        return tuple(
            self.lab.answered(self.lab.learned(self.lab.targeted(D_DET, model)))
            for model in (self.lab.standard, self.lab.robust)
        )

    def transfers(self) -> tuple[Node, ...]:
        learned = tuple(
            self.lab.answered(self.lab.learned(self.lab.targeted(D_DET), net)) for net in self.lab.scale.nets
        )
        return (*learned, *(self.lab.transfer(net) for net in self.lab.scale.nets))

    def perturbed(self) -> tuple[Node, ...]:
        made, lab = [self.lab.bugs(transfers) for transfers in (True, False)], self.lab
        moved = [lab.answered(lab.other(lab.scale.net, 30), one) for one in made]
        return (*made, *moved, *(lab.answered(lab.learned(one)) for one in made))

    def suffice(self, results: Results) -> Ruling:
        shares = {name: results.share(self.lab.answered(model), "clean") for name, model in three(self.lab).items()}
        asked = [shares["D_rand"], shares["D_det"]]
        return rule_on(
            _told(shares), [_low(one) > self.chance for one in asked], [_high(one) < self.chance for one in asked]
        )

    def robust_features(self, results: Results) -> Ruling:
        *_, on_r, on_nr = self.four()
        d, r, nr = (results.share(node, "robust") for node in (self.control(), on_r, on_nr))
        clean = results.share(on_r, "clean")
        shares = {"as much of D": d, "D_R": r, "D_NR": nr}
        ours, theirs = (~results.tensors(node)["broken"] for node in (on_r, self.control()))
        p = paired_p_value(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()))
        said = (
            f"robust accuracy {_told(shares)}; on the same images D_R lies above as much of D with p {p:.2g} "
            f"(McNemar, one-sided); accuracy of D_R {_percent(clean)}"
        )
        return rule_on(
            said,
            [_low(r) > _high(d), _low(r) > _high(nr), _low(clean) > self.chance],
            [_high(r) < _low(d), _high(r) < _low(nr)],
        )

    def brittle_features(self, results: Results) -> Ruling:
        on_d, *_, on_r, on_nr = self.four()
        d, nr = (results.share(node, "clean") for node in (on_d, on_nr))
        robust = {name: results.share(node, "robust") for name, node in (("D_R", on_r), ("D_NR", on_nr))}
        said = f"accuracy {_told({'D': d, 'D_NR': nr})}; robust accuracy {_told(robust)}"
        holds = [_low(nr) > d["accuracy"] / 2, _high(robust["D_NR"]) < _low(robust["D_R"])]
        return rule_on(said, holds, [_high(nr) < d["accuracy"] / 2, _low(robust["D_NR"]) > _high(robust["D_R"])])

    def no_masking(self, results: Results) -> Ruling:
        withstood = [~results.tensors(node)["broken"] for node in self.strong()]
        shares = {
            name: results.share(node, "robust") for name, node in zip(strongest(self.lab), self.strong(), strict=True)
        }
        lost = withstood[0] & ~torch.stack(withstood).all(0)
        drop = Proportion(int(lost.sum()), len(lost)).record()
        said = f"{_told(shares)}; together they break {_percent(drop)} more than the first"
        return rule_on(said, [_high(drop) <= 0.02], [_low(drop) > 0.02])

    def transfer(self, results: Results) -> Ruling:
        nodes, count = self.transfers(), len(self.lab.scale.nets)
        x = [results.share(node, "clean")["accuracy"] for node in nodes[:count]]
        y = [results.share(node, "fooled")["accuracy"] for node in nodes[count:]]
        line = fit_line(x, y)
        if line is None:
            return Ruling("open", "too few architectures, or no difference between them")
        rank = f"the rank correlation is {line.rank:.2f} (one-sided p {line.p:.2g})"
        said = f"over {count} architectures {rank}, slope {line.slope:.2f}"
        return rule_on(said, [line.rank > 0, line.p < 0.05], [line.rank < 0])

    def associations(self, results: Results) -> Ruling:
        of_standard, of_robust = self.relabelled()
        shares = {
            f"{name}, {said}": results.share(node, read)
            for name, node in (("standard net", of_standard), ("robust net", of_robust))
            for said, read in (("y", "clean"), ("y + 1", "shifted"))
        }
        a, b, c, d = shares.values()
        return rule_on(
            _told(shares), [_low(a) > _high(b), _high(c) < _low(d)], [_high(a) < _low(b), _low(c) > _high(d)]
        )

    def leakage(self, results: Results) -> Ruling:
        shares = {
            name: results.share(self.lab.leak(name_), "clean") for name, name_ in (("D_rand", D_RAND), ("D_det", D_DET))
        }
        det, rarest = shares["D_det"], float(self._counts.min() / self._counts.sum())
        return rule_on(_told(shares), [_high(det) < rarest], [_low(det) > self.chance])

    def just_bugs(self, results: Results) -> Ruling:
        nodes = self.perturbed()
        reached = {
            name: results.share(node, "reached")
            for name, node in zip(("PGD", "without transfer"), nodes[:2], strict=True)
        }
        moved, learned = (
            {name: results.share(node, "clean") for name, node in zip(reached, pair, strict=True)}
            for pair in (nodes[2:4], nodes[4:])
        )
        said = f"success {_told(reached)}; transfer {_told(moved)}; learned, on the test set {_told(learned)}"
        ours = [one["without transfer"] for one in (reached, moved, learned)]
        holds = [_low(ours[0]) > 0.5, _high(ours[1]) < _low(moved["PGD"]), _low(ours[2]) <= self.chance]
        return rule_on(
            said, holds, [_high(ours[0]) < 0.5, _low(ours[1]) > _high(moved["PGD"]), _low(ours[2]) > self.chance]
        )

    def mistakes(self, results: Results) -> Ruling:
        share = results.share(self.lab.answered(self.lab.learned(self.lab.mislabelled())), "clean")
        return rule_on(_percent(share), [_low(share) > self.chance], [_high(share) < self.chance])

    def toy(self, results: Results) -> Ruling:
        plain, robust = plain_and_robust()
        said = (
            f"plain weights {_numbers(plain.weights)}: clean {plain.clean:.1%}, robust {plain.robust:.1%}; robust "
            f"weights {_numbers(robust.weights)}: clean {robust.clean:.1%}, robust {robust.robust:.1%}"
        )
        holds = [plain.clean == 1, robust.clean == 1, robust.robust == 1, plain.robust < 1, robust.weights[1] == 0]
        return rule_on(said, holds, [not one for one in holds])

    def theorems(self, results: Results) -> Ruling:
        truth, budgets = example(), (0.0, 1.0, 10.0)
        samples = folded(*truth.draw(5000, self.lab.seed))
        own = maximum_likelihood(samples)
        away = max(adversarial_training(samples, eps).distance(robust_likelihood(own, eps).learned) for eps in budgets)
        learned = [robust_likelihood(truth, eps).learned for eps in budgets]
        worst, conditions = ([getattr(one, name) for one in learned] for name in ("worst_alignment", "condition"))
        gap = gap_of_samples(truth, samples, penalty := 2 / truth.values[0])
        errors = (gap[0] - adversarial_gap(truth, penalty)) / gap[1]
        said = (
            f"the gap lies {abs(errors):.1f} standard errors from the formula; training ends {away:.1e} from the "
            f"closed form at most; for eps 0, 1, 10 the condition number is {_numbers(tuple(conditions))} and the "
            f"worst cosine {_numbers(tuple(worst))}"
        )
        holds = [abs(errors) < 4, away < 1e-3, bool((np.diff(worst) > 0).all()), bool((np.diff(conditions) < 0).all())]
        return rule_on(said, holds, [not one for one in holds])


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
