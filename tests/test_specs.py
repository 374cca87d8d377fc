"""Attacks as they are written, and as they are combined: what is typed is what runs."""

import pytest
import torch
from torch import Tensor

from brittle.attacks import (
    L1,
    L2,
    Attack,
    AttackResult,
    AttackSpec,
    Linf,
    against,
    apgd,
    margin,
    stages,
    toward,
    worst_of,
)
from brittle.ground import BrittleError, keys_of, normal
from reference import Curved, examples, trace

WRITTEN = ["pgd", "mm:targets=9", "apgd:steps=40,loss=dlr", "fmn:longest=0.05,steps=3", "pgd:start=clean,steps=7"]


@pytest.mark.parametrize("text", WRITTEN)
def test_an_attack_is_written_as_it_is_read(text: str) -> None:
    spec = AttackSpec.parse(text)
    assert str(spec) == text
    assert AttackSpec.parse(str(spec)) == spec


def test_what_is_read_is_name_settings_and_loss() -> None:
    spec = AttackSpec.parse(" apgd : steps = 40 , loss = dlr, start=clean")
    assert (spec.name, dict(spec.given), spec.loss) == ("apgd", {"start": "clean", "steps": 40}, "dlr")
    assert spec.title == "apgd (dlr)"
    assert AttackSpec.parse("pgd:step=2/255").settings["step"] == 2 / 255
    assert AttackSpec.parse("pgd") == AttackSpec.of("pgd")
    with pytest.raises(BrittleError, match="NAME:SETTING=VALUE"):
        AttackSpec.parse("pgd:40")
    with pytest.raises(BrittleError, match="has no 'speed'"):
        AttackSpec.parse("pgd:speed=2")


def test_a_changed_attack_keeps_what_is_not_changed() -> None:
    spec = AttackSpec.parse("apgd:steps=40,loss=dlr")
    assert str(spec.changed(start="clean", steps=None)) == "apgd:start=clean,steps=40,loss=dlr"
    assert str(spec.changed(steps=3, loss="margin")) == "apgd:steps=3,loss=margin"


def test_a_built_attack_has_the_settings_the_loss_and_the_seed() -> None:
    model = Curved()
    x, y = examples(model)
    spec = AttackSpec.parse("pgd:steps=3,start=random,loss=margin")
    from brittle.attacks import pgd

    by_hand = pgd(against(model, margin, precision=spec.entry.precision), Linf(0.1), steps=3, start="random", seed=5)
    for built in (spec.build(model, Linf(0.1), 5), spec.search(model, Linf(0.1), 5)):
        assert isinstance(built, Attack)
        assert (trace(built, x, y) == trace(by_hand, x, y)).all()


def test_a_loss_may_be_given_by_its_name() -> None:
    assert against(torch.relu, "margin") == against(torch.relu, margin)
    assert toward(torch.relu, "margin") == toward(torch.relu, margin)


def counting(name: str, breaks: list[int], asked: list[list[float]]) -> Attack:
    """Breaks the images whose only pixel is one of these numbers of eighths; notes what it was asked."""

    def search(x: Tensor, y: Tensor, seed: int) -> AttackResult:
        asked.append((8 * x).flatten().tolist())
        success = torch.tensor([number in breaks for number in asked[-1]])
        return AttackResult(x, success, success.float())

    return Attack(name, search)


def test_the_worst_of_runs_all_and_stages_only_the_survivors() -> None:
    x, y = torch.arange(5.0).view(5, 1) / 8, torch.zeros(5).long()
    for combine, name, second in ((worst_of, "worst of A, B", [0, 1, 2, 3, 4]), (stages, "A then B", [1, 2, 4])):
        asked: list[list[float]] = []
        both = combine(counting("A", [0, 3], asked), counting("B", [3, 4], asked))
        assert both.name == name
        assert both.run(x, y).success.tolist() == [True, False, False, True, True]
        assert asked == [[0, 1, 2, 3, 4], second]


def test_apgd_in_l1_begins_near_gaussian_noise() -> None:
    model = Curved()
    x, y = examples(model)
    threat = L1(0.5)
    attack = apgd(against(model), threat, steps=10, start="random", seed=4)
    first = 3 * 0.5
    noisy = L1(repr(first)).project(x, x + normal(keys_of(x), x.shape[1:], seed=4).to(x.dtype))
    assert attack.path is not None
    next(iter(attack.path(x, y, attack.seed)))
    assert torch.allclose(torch.from_numpy(model.asked[0]), noisy, rtol=0, atol=1e-12)


def test_a_hyperplane_is_reached_from_either_side() -> None:
    x, w = torch.rand(30, 7).double(), torch.randn(30, 7).double()
    gain = torch.linspace(-0.2, 0.2, 30).double()
    for threat in (Linf(1), L2(1), L1(1)):
        d = threat.to_hyperplane(x, w, gain)
        assert torch.equal(d, threat.to_hyperplane(x, -w, -gain))
        free = ((x + d > 1e-9) & (x + d < 1 - 1e-9)).all(1)
        assert torch.allclose((w * d).sum(1)[free], gain[free], atol=1e-9)
        assert free.sum() > 10
