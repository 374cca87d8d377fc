"""An attack that saw no gradient says so: what withstands it is not robust for that."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L2,
    AttackResult,
    AttackSpec,
    Linf,
    Spatial,
    against,
    attack_entries,
    fmn,
    pgd,
    restarts,
    square,
    stages,
    straight_through,
    worst_of,
)
from brittle.ground import Images
from conftest import Run

EPS = Linf(0.05)
TINY = {"steps": 4, "queries": 4, "draws": 2, "targets": 2, "iterations": 1}
ASK_NOTHING = {"square", "sparse_search", "hop_skip_jump", "grid", "random"}
CASES = [
    (name, next(threat for threat in (L2(0.3), EPS, Spatial(5, 1)) if entry.supports(threat)))
    for name, entry in attack_entries().items()
    if any(entry.supports(threat) for threat in (L2(0.3), EPS, Spatial(5, 1)))
]


class Rounded(nn.Module):
    """Images in 8 levels, of which no gradient comes through; only those that `which` names, if it is given."""

    def __init__(self, which: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.which = which

    def forward(self, x: Tensor) -> Tensor:
        rounded = (x * 7).round() / 7
        return rounded if self.which is None else torch.where(self.which(x)[:, None, None, None], rounded, x)


def rounding(net: nn.Module, which: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    return nn.Sequential(Rounded(which), net)


@pytest.fixture
def examples(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> tuple[Images, Tensor]:
    """Forty images on which the net is right, rounded or not."""
    x, y = digits[0][:80], digits[1][:80]
    right = (digits_net(x).argmax(1) == y) & (rounding(digits_net)(x).argmax(1) == y)
    return x[right][:40], y[right][:40]


def middle(x: Tensor) -> Tensor:
    return x[:, 0, 3:5, 3:5].mean((1, 2))


def dark(x: Tensor) -> Tensor:
    return middle(x) < 0.5


@pytest.mark.parametrize(("name", "threat"), CASES, ids=str)
def test_who_asks_for_gradients_and_gets_0_is_blind(
    name: str, threat: Linf, digits_net: nn.Module, examples: tuple[Images, Tensor]
) -> None:
    x, y = examples
    spec = AttackSpec.of(name, **{k: v for k, v in TINY.items() if k in attack_entries()[name].settings})
    found = spec.build(rounding(digits_net), threat, 0).tried(x, y)
    expected = torch.zeros_like(found.success) if name in ASK_NOTHING | {"square_apgd"} else ~found.success
    assert torch.equal(found.blind, expected)
    assert not spec.build(digits_net, threat, 0).tried(x, y).blind.any()


def test_a_run_warns_once_and_says_what_to_do(digits_net: nn.Module, examples: tuple[Images, Tensor]) -> None:
    attack, left = pgd(against(rounding(digits_net)), EPS, steps=5), []
    for ask in (attack.run, attack):
        with pytest.warns(UserWarning, match="every gradient was 0, .*doctor.*--bpda.*square") as told:
            ask(*examples)
        left.append(str(told[0].message))
        assert len(told) == 1
    found = attack.tried(*examples)
    withstand = int((~found.success).sum())
    assert left == [left[0]] * 2
    assert f"on {withstand} of the {withstand} images that withstand" in left[0]
    assert int(attack.run(*examples, warn=False).blind.sum()) == withstand > 20


def test_an_honest_model_is_left_in_peace(digits_net: nn.Module, examples: tuple[Images, Tensor]) -> None:
    through = straight_through(rounding(digits_net), ["0"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (digits_net, through):
            assert not pgd(against(model), Linf(0.001), steps=5).run(*examples).blind.any()
            fmn(against(model), L2(0.3), steps=20)(*examples)
        square(against(rounding(digits_net)), EPS, queries=10).run(*examples)


def test_of_a_batch_those_are_told_that_saw_nothing(digits_net: nn.Module, examples: tuple[Images, Tensor]) -> None:
    settled = (middle(examples[0]) - 0.5).abs() > 0.011  # no step changes which are rounded
    x, y = (part[settled] for part in examples)
    attack = pgd(against(rounding(digits_net, dark)), Linf(0.01), steps=5)
    assert 5 < int(dark(x).sum()) < len(x) - 5
    with pytest.warns(UserWarning, match=f"on {int(dark(x).sum())} of the "):
        found = attack.run(x, y)
    assert torch.equal(found.blind, dark(x))
    one_by_one = [attack.tried(x[k : k + 1], y[k : k + 1]).blind for k in range(len(x))]
    assert torch.equal(torch.cat(one_by_one), found.blind)


def test_what_is_combined_is_blind_where_all_of_it_was(digits_net: nn.Module, examples: tuple[Images, Tensor]) -> None:
    objective = against(rounding(digits_net))
    blind, sees = pgd(objective, EPS, steps=3), square(objective, EPS, queries=8)
    for attack in (restarts(blind, 3), worst_of(blind, pgd(objective, EPS, steps=2, start="clean"))):
        with pytest.warns(UserWarning, match="every gradient was 0") as told:
            found = attack.run(*examples)
        assert len(told) == 1
        assert torch.equal(found.blind, ~found.success)
        assert found.blind.sum() > 20
    for attack in (worst_of(blind, sees), worst_of(sees, blind), stages(blind, sees), stages(sees, blind)):
        assert not attack.run(*examples).blind.any()


def test_a_gradient_that_is_nan_or_tiny_is_not_0(digits_net: nn.Module, examples: tuple[Images, Tensor]) -> None:
    for factor, blind in ((1e-43, False), (torch.nan, False), (0.0, True), (-0.0, True)):

        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx: object, x: Tensor) -> Tensor:
                return x.clone()

            @staticmethod
            def backward(ctx: object, grad: Tensor, factor: float = factor) -> Tensor:
                return grad.sign() * factor

        found = pgd(against(lambda x, f=Scaled: digits_net(f.apply(x))), Linf(0.001), steps=2).tried(*examples)
        assert found.blind.sum() == (~found.success).sum() * blind


def test_a_smallest_change_that_no_gradient_led_to_is_told(
    digits_net: nn.Module, examples: tuple[Images, Tensor]
) -> None:
    search = fmn(against(rounding(digits_net)), L2(0.3), steps=5)
    with pytest.warns(UserWarning, match="on 40 of the 40 images") as told:
        found = search(*examples)
    assert len(told) == 1
    assert found.blind.all()
    assert search.within("L2:0.3").tried(*examples).blind.all()


def test_a_result_without_a_word_of_gradients_is_not_blind() -> None:
    found = AttackResult(torch.zeros(2, 3), torch.tensor([True, False]), torch.zeros(2))
    assert found.blind.tolist() == [False, False]
    assert type(found._replace(blind=~found.success)) is AttackResult


def test_the_command_line_tells_on_how_many(run: Run, model: str, tmp_path: Path) -> None:
    (tmp_path / "rounding_net.py").write_text(
        "from pathlib import Path\nimport torch\nfrom brittle.learning import load_net\n"
        "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.net = load_net(Path({model!r}))[0]\n"
        "    def forward(self, x):\n        return self.net((x * 7).round() / 7)\n"
    )
    for attack, blind in (("pgd", True), ("square:queries=20", False)):
        words = ("rounding_net:Net", "--data", "digits", "--threat", "Linf:0.05", "-n", "40", "--device", "cpu")
        record = json.loads(run("attack", *words, "--attack", attack, "--json")[1])
        assert record["robust"]["correct"] > 20
        assert record["blind"] == (record["robust"]["correct"] if blind else 0)
        told = " ".join(run("attack", *words, "--attack", attack)[1].split())
        left = record["robust"]["correct"]
        assert (f"on {record['blind']} of the {left} images that withstand every gradient was 0" in told) == blind
