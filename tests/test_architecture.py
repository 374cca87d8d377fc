"""The floors hold: imports go down and through a floor's `__init__`, no floor's modules form a circle, a class has its
own name, and only threats look at the name of a norm."""

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import brittle

SOURCE = Path(__file__).parents[1] / "src"
FLOORS = ("errors", "ground", "attacks", "learning", "audits", "science", "studies", "papers", "report", "cli")
# What is not clean yet and by whom it is being cleaned; a rule holds everywhere when its set is empty.
CIRCLES: set[str] = set()
SHARED_CLASS_NAMES: set[str] = set()


class Import(NamedTuple):
    """A name (or a whole module: "") that a module imports, in which line, by a relative import or not, and whether
    only for type checkers."""

    line: int
    module: str
    name: str
    relative: bool
    typing_only: bool


class Module(NamedTuple):
    """A module of the package: its dotted name (a package stands under its own), and what is written in it."""

    name: str
    package: str
    tree: ast.Module

    @property
    def floor(self) -> str:
        return floor_of(self.name)

    def imports(self) -> list[Import]:
        return list(imports_in(self.tree, self.package, False))


def floor_of(name: str) -> str:
    return name.partition(".")[2].partition(".")[0]


def imports_in(tree: ast.AST, package: str, typing_only: bool) -> Iterator[Import]:
    """The imports anywhere in a tree, functions too; relative ones are spelt out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, each.name, "", False, typing_only) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*around, *filter(None, [node.module])])
            yield from (Import(node.lineno, module, each.name, node.level > 0, typing_only) for each in node.names)
        else:
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            yield from imports_in(node, package, typing_only or guarded)


def modules_in(source: Path) -> dict[str, Module]:
    modules = {}
    for path in sorted(source.glob("brittle/**/*.py")):
        if path.stem == "__main__":  # stands above all floors
            continue
        parts = path.relative_to(source).with_suffix("").parts
        package = ".".join(parts[:-1])
        name = package if parts[-1] == "__init__" else ".".join(parts)
        modules[name] = Module(name, package, ast.parse(path.read_text()))
    return modules


def public_names(module: Module) -> set[str]:
    """The names in a module's `__all__`."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def trespasses(modules: dict[str, Module]) -> list[str]:
    """Imports that go upwards, or to another floor but not through its `__init__` by a public name."""
    found = []
    for module in modules.values():
        for one in module.imports():
            if module.floor and one.module.split(".")[0] == "brittle" and (fault := trespass(module, one, modules)):
                found.append(f"{module.name}:{one.line} {fault}")
    return found


def trespass(module: Module, one: Import, modules: dict[str, Module]) -> str:
    floor = floor_of(one.module)
    if not floor:
        return "" if module.floor == "cli" and one.name == "__version__" else "imports the package around it"
    if floor == module.floor:
        return ""
    if FLOORS.index(floor) > FLOORS.index(module.floor):
        return f"imports upwards from {floor}"
    if one.relative:
        return f"leaves its floor for {floor} by a relative import"
    if one.module.count(".") > 1 or not one.name:
        return f"imports {one.module}, not the floor's __init__"
    if floor != "errors" and one.name not in public_names(modules[one.module]):
        return f"imports {one.name}, which is no public name of {floor}"
    return ""


def circle(floor: str, modules: dict[str, Module]) -> list[str]:
    """Modules of a floor that import one another, if some do; what only type checkers read does not count."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        if module.floor == floor:
            named = ((one, f"{one.module}.{one.name}") for one in module.imports() if not one.typing_only)
            targets = {whole if whole in modules else one.module for one, whole in named}
            graph[module.name] = {target for target in targets if floor_of(target) == floor} - {module.name}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def shared_class_names(modules: dict[str, Module]) -> set[str]:
    seen: set[str] = set()
    shared = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                (shared if node.name in seen else seen).add(node.name)
    return shared


NORMS = {"linf", "l2", "l1", "l0"}


def looks_at_norms(modules: dict[str, Module]) -> list[str]:
    """Places outside the threats' folder that ask for a norm's name: `"L2"`, or `.norm` of something, not called.

    The names in `__all__` are exports, and a paper's rows are its own words.
    """
    found = []
    for module in modules.values():
        if module.floor != "papers" and not f"{module.name}.".startswith("brittle.attacks.threats."):
            exports = [node for node in module.tree.body if ast.unparse(node).startswith("__all__")]
            fine = {id(part) for node in exports for part in ast.walk(node)}
            fine |= {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
            lines = {part.lineno for part in ast.walk(module.tree) if id(part) not in fine and names_a_norm(part)}
            found += [f"{module.name}:{line} looks at a norm's name" for line in sorted(lines)]
    return found


def names_a_norm(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.lower() in NORMS
    return isinstance(node, ast.Attribute) and node.attr == "norm"


@pytest.fixture(scope="module")
def package() -> dict[str, Module]:
    return modules_in(SOURCE)


def test_imports_go_down_and_through_the_init_of_a_floor(package: dict[str, Module]) -> None:
    assert trespasses(package) == []


@pytest.mark.parametrize("floor", FLOORS)
def test_the_modules_of_a_floor_form_no_circle(floor: str, package: dict[str, Module]) -> None:
    assert bool(circle(floor, package)) == (floor in CIRCLES)


def test_only_threats_look_at_the_name_of_a_norm(package: dict[str, Module]) -> None:
    assert looks_at_norms(package) == []


def test_a_class_has_its_own_name(package: dict[str, Module]) -> None:
    assert shared_class_names(package) == SHARED_CLASS_NAMES


def test_the_floors_are_those_that_the_layers_contract_names() -> None:
    settings = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["tool"]
    contract = next(one for one in settings["importlinter"]["contracts"] if one["type"] == "layers")
    assert tuple(reversed(contract["layers"])) == tuple(f"brittle.{floor}" for floor in FLOORS)
    assert {path.stem for path in (SOURCE / "brittle").iterdir() if path.suffix == ".py" or path.is_dir()} - {
        "__init__",
        "__main__",
        "__pycache__",
    } == set(FLOORS)
    assert "C901" in settings["ruff"]["lint"]["select"]
    assert settings["ruff"]["lint"]["mccabe"]["max-complexity"] == 10


PLANTED = {
    "from brittle.ground.norms import dual": "not the floor's __init__",
    "import brittle.ground.norms": "not the floor's __init__",
    "import brittle.ground": "not the floor's __init__",
    "from ..ground import norm": "by a relative import",
    "from ..ground.norms import dual": "by a relative import",
    "from brittle.learning import train": "upwards",
    "def later():\n    from brittle.learning import train": "upwards",
    "from ..learning import train": "upwards",
    "from brittle.ground import norms": "no public name",
    "from brittle import norm": "the package around it",
    "from .. import norm": "the package around it",
    "import brittle": "the package around it",
}


def house(root: Path, **files: str) -> dict[str, Module]:
    """A package of three floors, and some more lines in some of its files."""
    written = {
        "__init__": "",
        "errors": "",
        "ground/__init__": "__all__ = ['norm']\nfrom .norms import norm",
        "ground/norms": "norm = dual = 1",
        "attacks/__init__": "from .attack import run",
        "attacks/attack": "from brittle.ground import norm\nfrom brittle.errors import Error\nfrom . import loop",
        "attacks/loop": "import math",
        "learning/__init__": "__all__ = ['train']",
    }
    for name, text in {**written, **files}.items():
        path = root / "brittle" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return modules_in(root)


def test_a_sound_house_has_no_faults(tmp_path: Path) -> None:
    modules = house(tmp_path)
    assert trespasses(modules) == []
    assert not any(circle(floor, modules) for floor in FLOORS)
    assert not shared_class_names(modules)


@pytest.mark.parametrize("line", PLANTED)
def test_each_way_around_a_floor_is_found(line: str, tmp_path: Path) -> None:
    (fault,) = trespasses(house(tmp_path, **{"attacks/loop": f"import math\n{line}"}))
    assert fault.startswith("brittle.attacks.loop:")
    assert PLANTED[line] in fault


@pytest.mark.parametrize("line", ["from .attack import run", "from . import attack", "import brittle.attacks.attack"])
def test_a_circle_is_found_unless_only_type_checkers_see_it(line: str, tmp_path: Path) -> None:
    assert set(circle("attacks", house(tmp_path, **{"attacks/loop": line}))) == {
        "brittle.attacks.attack",
        "brittle.attacks.loop",
    }
    for text in (f"def later():\n    {line}", f"if True:\n    {line}"):
        assert circle("attacks", house(tmp_path, **{"attacks/loop": text}))
    guarded = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}"
    assert not circle("attacks", house(tmp_path, **{"attacks/loop": guarded}))


def test_a_shared_class_name_is_found(tmp_path: Path) -> None:
    both = {"attacks/loop": "class Step: pass", "ground/norms": "norm = 1\nclass Step: pass"}
    assert shared_class_names(house(tmp_path, **both)) == {"Step"}


@pytest.mark.parametrize("line", ["if threat.norm: pass", "sizes = {'L2': 2}", "x = norm == 'linf'", "f(threat.norm)"])
def test_a_look_at_a_norm_is_found_but_in_threats_and_papers(line: str, tmp_path: Path) -> None:
    for name, faults in (("attacks/loop", 1), ("attacks/threats/lp", 0), ("papers/li2019", 0)):
        found = looks_at_norms(house(tmp_path / name, **{name: f"import math\n{line}"}))
        assert found == ["brittle.attacks.loop:2 looks at a norm's name"] * faults


@pytest.mark.parametrize("line", ["size = x.norm(dim=1)", "__all__ = ['L2']", "usual = 'L2:0.5'"])
def test_a_function_called_norm_an_export_and_a_written_threat_are_no_looks(line: str, tmp_path: Path) -> None:
    assert looks_at_norms(house(tmp_path, **{"attacks/loop": line})) == []


def test_importing_audits_starts_no_process() -> None:
    started = "('subprocess.Popen', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'os.system', 'os.exec')"
    code = f"import os, sys; sys.addaudithook(lambda event, _: os._exit(3) if event in {started} else None)\n"
    for line, status in (("import brittle.audits", 0), ("import os; os.system('true')", 3)):
        assert subprocess.run([sys.executable, "-c", code + line], check=False, env=environment()).returncode == status


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def test_public_names_are_listed_and_lazy() -> None:
    code = "import brittle, sys; assert 'pgd' in dir(brittle); assert 'torch' not in sys.modules; brittle.pgd"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
    assert dir(brittle) == sorted(brittle.__all__)
    assert len(brittle.__all__) > 50
    assert brittle.pgd is brittle.attacks.pgd


@pytest.mark.parametrize(
    "file",
    sorted([*SOURCE.parent.glob("benchmarks/*.py"), *SOURCE.parent.glob("scripts/*.py")]),
    ids=lambda file: file.name,
)
def test_benchmarks_and_scripts_import_what_there_is(file: Path) -> None:
    asked = [one for one in imports_in(ast.parse(file.read_text()), "", False) if one.module.startswith("brittle.")]
    assert [one for one in asked if not hasattr(importlib.import_module(one.module), one.name)] == []
    assert asked or "from brittle." not in file.read_text()
