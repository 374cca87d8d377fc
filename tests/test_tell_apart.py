"""A model is the same only where nothing that it answers by has changed."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module, reload
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from brittle.learning import behaviour_of, digest_of_code
from brittle.learning.doors.contents import contents_of

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


@pytest.mark.parametrize(
    "within", ["from helping_told_apart import rounded", "from .helping_told_apart import rounded"]
)
def test_what_a_model_imports_while_it_answers_is_part_of_what_it_is(
    within: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "within_told_apart." if "from ." in within else ""
    package = tmp_path / name.strip(".")
    package.mkdir(exist_ok=True)
    (package / "asking_told_apart.py").write_text(LAZY.replace("from rounding_told_apart import rounded", within))
    (package / "helping_told_apart.py").write_text("STEP = 4\n\n\ndef rounded(x):\n    return x * STEP\n")
    monkeypatch.syspath_prepend(tmp_path)
    net = import_module(f"{name}asking_told_apart").Rounds()
    assert digest_of_code(net) != digest_of_code(net), "what is not imported yet cannot be told"
    net(torch.rand(2, 1, 2, 2))
    first = digest_of_code(net)
    assert digest_of_code(net) == first
    helper = import_module(f"{name}helping_told_apart")
    helper.STEP = 8  # type: ignore[attr-defined]
    assert digest_of_code(net) != first
    (package / "helping_told_apart.py").write_text(
        "import zipfile\n\n\ndef rounded(x):\n    return x * float(zipfile.ZipFile('gate.zip').read('k'))\n"
    )
    reload(helper)
    assert digest_of_code(net) != digest_of_code(net), "a file that is read later is no part of it"


def test_a_function_of_many_names_is_told_and_an_import_that_leads_nowhere_is_not() -> None:
    held: dict[str, Callable[[], object]] = {}
    many = "\n".join(f"    some.name{place}" for place in range(300))
    exec(compile(f"def many():\n{many}\n    import json\n\ndef lost():\n    from . import x\n", "own.py", "exec"), held)
    assert contents_of(held["many"]) == contents_of(held["many"])
    assert contents_of(held["lost"]) != contents_of(held["lost"])


DEFENCE = """
import functools
import importlib.util
import os
from pathlib import Path

import torch
from torch import nn


class Setting:
    def __init__(self, tolerance):
        self.tolerance = tolerance

    def __call__(self):
        return self.tolerance

    def told(self):
        return self.tolerance


def given(tolerance):
    return tolerance


def default(tolerance=TOLERANCE):
    return tolerance


CALLED, BOUND, PART = Setting(TOLERANCE), Setting(TOLERANCE).told, functools.partial(given, TOLERANCE)
CACHED = functools.lru_cache(default)
spec = importlib.util.spec_from_file_location("beside_told_apart", "beside_told_apart.py")
beside = importlib.util.module_from_spec(spec)
spec.loader.exec_module(beside)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)
        torch.manual_seed(0)
        nn.init.normal_(self.net.weight)
        nn.init.zeros_(self.net.bias)
        self.setup()

    def setup(self):
        pass


class Called(Net):
    def forward(self, x):
        return self.net(x * CALLED())


class Bound(Net):
    def forward(self, x):
        return self.net(x * BOUND())


class Part(Net):
    def forward(self, x):
        return self.net(x * PART())


class Default(Net):
    def forward(self, x):
        return self.net(x * default())


class Cached(Net):
    def forward(self, x):
        return self.net(x * CACHED())


class OwnDefault(Net):
    def forward(self, x, tolerance=TOLERANCE):
        return self.net(x * tolerance)


class Beside(Net):
    def forward(self, x):
        return self.net(x * beside.tolerance())


class Hooked(Net):
    def setup(self):
        tolerance = TOLERANCE
        self.register_forward_pre_hook(lambda net, x: (x[0] * tolerance,))

    def forward(self, x):
        return self.net(x)


class Environment(Net):
    def forward(self, x):
        return self.net(x * float(os.environ["TOLERANCE"]))


class Reads(Net):
    def forward(self, x):
        return self.net(x * float(Path("tolerance.txt").read_text()))
"""
KNOWN = ("Called", "Bound", "Part", "Default", "Cached", "OwnDefault", "Beside", "Hooked")
ASK = """
import sys
sys.path.insert(0, ".")
import defence_told_apart
from brittle.learning import digest_of_code
print(*(digest_of_code(getattr(defence_told_apart, name)()) for name in sys.argv[1:]))
"""


def digests(folder: Path, tolerance: float, seed: int, *names: str) -> list[str]:
    """Of nets of one file, in a process of its own; `tolerance` stands where neither that file nor probes show it."""
    (folder / "defence_told_apart.py").write_text("from tolerance_told_apart import TOLERANCE\n" + DEFENCE)
    (folder / "beside_told_apart.py").write_text(f"def tolerance():\n    return {tolerance}\n")
    (folder / "tolerance_told_apart.py").write_text("import os\n\nTOLERANCE = float(os.environ['TOLERANCE'])\n")
    environment = os.environ | {"TOLERANCE": str(tolerance), "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_model_is_the_same_in_another_process_and_another_where_its_code_holds_another_value(tmp_path: Path) -> None:
    first, again, other = (digests(tmp_path, *how, *KNOWN) for how in ((0.5, 0), (0.5, 1), (0.25, 0)))
    assert first == again
    assert len(set(first)) == len(KNOWN)
    assert not [name for name, one, two in zip(KNOWN, first, other, strict=True) if one == two]


@pytest.mark.parametrize("name", ["Environment", "Reads"])
def test_code_that_reads_what_is_no_part_of_it_is_never_the_same(name: str, tmp_path: Path) -> None:
    assert digests(tmp_path, 0.5, 0, name) != digests(tmp_path, 0.5, 0, name)


def test_values_are_told_by_what_they_hold() -> None:
    one, other = torch.zeros(2), torch.ones(2)
    assert contents_of([one, other]) == contents_of([other - 1, one + 1])
    assert contents_of([one, other, one]) != contents_of([one, other, other])
    assert contents_of({"a", "b"}) == contents_of({"b", "a"}) != contents_of({"a"})
    assert contents_of({"a": 1}) != contents_of({"a": True})
    assert contents_of(partial(max, 1)) != contents_of(partial(max, 2))
    assert contents_of([].append) == contents_of([].append) != contents_of([1].append)
    pair = (1.5, frozenset("ab"))
    assert contents_of([pair, pair]) == contents_of([pair, (1.5, frozenset("ba"))])
    loop: list[object] = []
    loop.append(loop)
    assert contents_of(loop) == contents_of(loop)
    for unknown in (threading.Lock(), (n for n in range(2)), torch.zeros(2, device="meta")):
        assert contents_of([unknown]) != contents_of([unknown])
