"""A model is the same only where nothing that it answers by has changed."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from brittle.learning import behaviour_of, digest_of_code

SOURCE = """
import json
from pathlib import Path

import torch
from torch import nn

CONFIG = json.loads(Path("config.json").read_text())
SEEN = {"tolerance": 0.5}


def tolerance_of():
    return SEEN["tolerance"]


class Guard(nn.Module):
    FIRST, SECOND, WHICH = 1, 2, 1
    TOLERANCE = 0.5

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        self._tolerance, self.public = 0.5, 0.5
        self.register_buffer("kept", torch.ones(1), persistent=False)

    def forward(self, x):
        much = CONFIG["tolerance"] + self.TOLERANCE + self._tolerance + tolerance_of() + self.public
        return self.net(x) * much * self.kept
"""


@pytest.fixture
def guards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"tolerance": 0.5}))
    (tmp_path / "guards_told_apart.py").write_text(SOURCE)
    monkeypatch.delitem(import_module("sys").modules, "guards_told_apart", raising=False)
    return import_module("guards_told_apart")


def change_class(module: ModuleType, net: nn.Module) -> None:
    module.Guard.TOLERANCE = 0.1


def change_to_what_stands_elsewhere(module: ModuleType, net: nn.Module) -> None:
    module.Guard.WHICH = 2


def change_config(module: ModuleType, net: nn.Module) -> None:
    module.CONFIG["tolerance"] = 0.1


def change_what_a_function_reads(module: ModuleType, net: nn.Module) -> None:
    module.SEEN["tolerance"] = 0.1


def change_private(module: ModuleType, net: nn.Module) -> None:
    net._tolerance = 0.1


def change_public(module: ModuleType, net: nn.Module) -> None:
    net.public = 0.1


def change_buffer(module: ModuleType, net: nn.Module) -> None:
    net.kept.fill_(2)


def change_method(module: ModuleType, net: nn.Module) -> None:
    module.Guard.forward = lambda self, x: self.net(x) * 3


CHANGES = (
    change_class,
    change_to_what_stands_elsewhere,
    change_config,
    change_what_a_function_reads,
    change_private,
    change_public,
    change_buffer,
    change_method,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_a_model_answers_by_is_part_of_what_it_is(
    change: Callable[[ModuleType, nn.Module], None], guards: ModuleType
) -> None:
    net = guards.Guard()
    before = digest_of_code(net)
    assert digest_of_code(net) == before, "the same model stays the same"
    net(torch.rand(2, 1, 2, 2))
    assert digest_of_code(net) == before, "it is not changed by being asked"
    change(guards, net)
    assert digest_of_code(net) != before


def test_answers_beside_the_images_count() -> None:
    """A defence that acts only on what lies off the data's grid of values."""

    def guard(tolerance: float) -> Callable[[torch.Tensor], torch.Tensor]:
        def answer(x: torch.Tensor) -> torch.Tensor:
            off = (x - (x * 4).round() / 4).abs().flatten(1).mean(1) > tolerance
            return torch.stack([off.float(), x.flatten(1).sum(1)], 1)

        return answer

    x = torch.randint(0, 5, (6, 1, 3, 3)) / 4
    assert torch.equal(guard(0.001)(x), guard(0.9)(x))
    assert behaviour_of(guard(0.001), x) == behaviour_of(guard(0.001), x)
    assert behaviour_of(guard(0.001), x) != behaviour_of(guard(0.9), x)


LAZY = """
import torch
from torch import nn


class Rounds(nn.Module):
    def forward(self, x):
        from rounding_told_apart import rounded

        return torch.stack([rounded(x).flatten(1).sum(1), x.flatten(1).mean(1)], 1)
"""


@pytest.mark.parametrize("through", ["return (x * 4).round() / 4", "return x + ((x * 4).round() / 4 - x).detach()"])
def test_gradients_count_where_answers_are_the_same(through: str) -> None:
    """A step that gradients pass straight through answers as one that cuts them."""

    def model(x: torch.Tensor) -> torch.Tensor:
        held: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
        exec(f"def step(x):\n    {through}", held)
        return torch.stack([held["step"](x).flatten(1).sum(1), x.flatten(1).mean(1)], 1)

    def other(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([((x * 4).round() / 4).flatten(1).sum(1), x.flatten(1).mean(1)], 1)

    x = torch.rand(6, 1, 3, 3)
    assert torch.allclose(model(x), other(x))
    assert (behaviour_of(model, x) == behaviour_of(other, x)) is ("detach" not in through)


def test_a_backward_pass_that_fails_is_never_the_same_twice() -> None:
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1).clone()

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no")

    x = torch.rand(4, 1, 2, 2)
    assert behaviour_of(Fails.apply, x) != behaviour_of(Fails.apply, x)


def test_a_hook_that_changes_gradients_alone_counts(digits_net: nn.Module) -> None:
    x = torch.rand(4, 1, 8, 8)
    before = behaviour_of(digits_net, x)
    assert behaviour_of(digits_net, x) == before
    with digits_net.register_full_backward_hook(lambda module, inner, outer: (inner[0] * 2,)):
        assert behaviour_of(digits_net, x) != before
    assert behaviour_of(digits_net, x) == before


def test_code_that_is_imported_while_a_model_answers_counts(
    guards: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_told_apart.py").write_text(LAZY)
    helper = tmp_path / "rounding_told_apart.py"
    helper.write_text("def rounded(x):\n    return (x * 4).round() / 4\n")
    net, x = import_module("lazy_told_apart").Rounds(), torch.rand(4, 1, 2, 2)
    before = behaviour_of(net, x)
    assert behaviour_of(net, x) == before
    helper.write_text(helper.read_text() + "# another\n")
    assert behaviour_of(net, x) != before
    for name in ("lazy_told_apart", "rounding_told_apart"):
        monkeypatch.delitem(import_module("sys").modules, name)
