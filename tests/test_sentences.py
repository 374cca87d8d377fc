"""The rules of the features paper's sentences, on made-up figures: each agrees, differs and stays open where it
should."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from brittle.audits import Proportion
from brittle.papers import Ruling, ilyas2019
from brittle.papers.ilyas2019.judge import Judge
from brittle.papers.ilyas2019.lab import D_DET, D_RAND, Lab
from brittle.papers.ilyas2019.scales import SCALES
from brittle.papers.paper import Results
from brittle.studies import Node

LAB = Lab(SCALES["smoke"], None, 0)
JUDGE = Judge(LAB)
N = 1000


class MadeUp(Results):
    """Figures as they are wished for: shares in per cent of 1,000, by node and what is read; what attacks broke."""

    def __init__(self, shares: dict[tuple[Node, str], float], broken: dict[Node, Tensor] | None = None) -> None:
        self.held, self.broken = shares, broken or {}

    def share(self, node: Node, read: str) -> dict[str, Any]:
        return Proportion(round(self.held[node, read] * N / 100), N).record()

    def tensors(self, node: Node) -> dict[str, Tensor]:
        return {"broken": self.broken[node]}


def verdict(
    judge: Callable[[Any], Ruling], shares: dict[tuple[Node, str], float], broken: dict[Node, Tensor] | None = None
) -> str:
    return judge(MadeUp(shares, broken)).verdict


def learned(wanted: str) -> Node:
    return LAB.answered(LAB.learned(LAB.targeted(wanted)))


@pytest.mark.parametrize(("rand", "det", "said"), [(60, 40, "agrees"), (60, 5, "differs"), (60, 10.5, "open")])
def test_non_robust_features_suffice_above_chance(rand: float, det: float, said: str) -> None:
    shares = {
        (LAB.answered(LAB.standard), "clean"): 95.0,
        (learned(D_RAND), "clean"): rand,
        (learned(D_DET), "clean"): det,
    }
    assert verdict(JUDGE.suffice, shares) == said


def test_chance_is_what_the_commonest_class_gets() -> None:
    test = LAB.data.load().test
    assert JUDGE.chance == pytest.approx(float(torch.bincount(test.labels).max()) / len(test))


@pytest.mark.parametrize(
    ("d", "r", "nr", "said"),
    [(5, 48, 1, "agrees"), (60, 48, 1, "differs"), (47, 48, 1, "open"), (5, 20, 48, "differs")],
)
def test_robust_features_give_robustness(d: float, r: float, nr: float, said: str) -> None:
    on_d, control, _, on_r, on_nr = JUDGE.four()
    assert control == JUDGE.control()
    shares = {
        (control, "robust"): d,
        (on_r, "robust"): r,
        (on_nr, "robust"): nr,
        (on_r, "clean"): 85.0,
        (on_d, "robust"): 90.0,
    }
    broken = {node: torch.arange(N) >= share * N / 100 for node, share in ((control, d), (on_r, r))}
    assert verdict(JUDGE.robust_features, shares, broken) == said


@pytest.mark.parametrize(
    ("clean", "robust", "said"), [(88, 1, "agrees"), (30, 1, "differs"), (88, 60, "differs"), (88, 47, "open")]
)
def test_non_robust_features_give_accuracy_alone(clean: float, robust: float, said: str) -> None:
    on_d, _, _, on_r, on_nr = JUDGE.four()
    shares = {(on_d, "clean"): 95.0, (on_nr, "clean"): clean, (on_r, "robust"): 48.0, (on_nr, "robust"): robust}
    assert verdict(JUDGE.brittle_features, shares) == said


@pytest.mark.parametrize(("more", "said"), [(0, "agrees"), (5, "agrees"), (20, "open"), (180, "differs")])
def test_no_masking_counts_what_stronger_attacks_take_from_the_same_images(more: int, said: str) -> None:
    nodes = JUDGE.strong()
    plain = torch.arange(N) < 500
    broken = {node: plain.clone() for node in nodes}
    broken[nodes[-1]] = torch.arange(N) < 500 + more
    shares = {(node, "robust"): 100 * float((~flags).double().mean()) for node, flags in broken.items()}
    assert verdict(JUDGE.no_masking, shares, broken) == said


def test_transfer_needs_ranks_that_chance_does_not_give() -> None:
    nodes, count = JUDGE.transfers(), len(LAB.scale.nets)
    shares = {(node, "clean"): 20.0 + 5 * k for k, node in enumerate(nodes[:count])}
    assert (
        verdict(JUDGE.transfer, shares | {(node, "fooled"): 60.0 + k for k, node in enumerate(nodes[count:])}) == "open"
    )  # three
    assert (
        verdict(JUDGE.transfer, shares | {(node, "fooled"): 60.0 - k for k, node in enumerate(nodes[count:])})
        == "differs"
    )


@pytest.mark.parametrize(
    ("y", "shifted", "robust_y", "robust_shifted", "said"),
    [(44, 16, 25, 41, "agrees"), (16, 44, 25, 41, "differs"), (44, 16, 41, 25, "differs"), (30, 29, 25, 41, "open")],
)
def test_standard_and_robust_sets_teach_opposite_labels(
    y: float, shifted: float, robust_y: float, robust_shifted: float, said: str
) -> None:
    standard, robust = JUDGE.relabelled()
    shares = {
        (standard, "clean"): y,
        (standard, "shifted"): shifted,
        (robust, "clean"): robust_y,
        (robust, "shifted"): robust_shifted,
    }
    assert verdict(JUDGE.associations, shares) == said


@pytest.mark.parametrize(("det", "said"), [(6.8, "agrees"), (23, "differs"), (10, "open")])
def test_leakage_is_what_lies_above_chance(det: float, said: str) -> None:
    shares = {(LAB.leak(D_RAND), "clean"): 23.5, (LAB.leak(D_DET), "clean"): det}
    assert verdict(JUDGE.leakage, shares) == said


@pytest.mark.parametrize(
    ("reached", "moved", "taught", "said"),
    [(99, 2, 3, "agrees"), (30, 2, 3, "differs"), (99, 90, 3, "differs"), (99, 2, 60, "differs"), (99, 80, 3, "open")],
)
def test_bugs_must_succeed_stay_and_teach_nothing(reached: float, moved: float, taught: float, said: str) -> None:
    pgd, ours, pgd_moved, ours_moved, pgd_taught, ours_taught = JUDGE.perturbed()
    shares = {
        (pgd, "reached"): 99.0,
        (ours, "reached"): reached,
        (pgd_moved, "clean"): 82.0,
        (ours_moved, "clean"): moved,
        (pgd_taught, "clean"): 66.0,
        (ours_taught, "clean"): taught,
    }
    assert verdict(JUDGE.just_bugs, shares) == said


def test_mistakes_teach_above_chance() -> None:
    node = LAB.answered(LAB.learned(LAB.mislabelled()))
    assert [verdict(JUDGE.mistakes, {(node, "clean"): share}) for share in (50.0, 10.5, 4.0)] == [
        "agrees",
        "open",
        "differs",
    ]


def test_theory_agrees_wherever_it_is_asked() -> None:
    assert verdict(JUDGE.toy, {}) == verdict(JUDGE.theorems, {}) == "agrees"


def test_every_sentence_names_the_nodes_that_its_rule_reads() -> None:
    paper = ilyas2019("smoke")

    class Noting(MadeUp):
        def __init__(self) -> None:
            super().__init__({})
            self.read: set[Node] = set()

        def share(self, node: Node, read: str) -> dict[str, Any]:
            self.read.add(node)
            return Proportion(500, N).record()

        def tensors(self, node: Node) -> dict[str, Tensor]:
            self.read.add(node)
            return {"broken": torch.zeros(N, dtype=torch.bool)}

    for one in paper.claims:
        noting = Noting()
        one.judge(noting)  # type: ignore[arg-type]
        assert noting.read <= set(one.nodes), one.name
