"""What the package says of itself, and what its CI does."""

import re
import tomllib
from pathlib import Path

import yaml

import brittle

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {PROJECT["version"], cited["version"], brittle.__version__} == {"0.1.0"}
    assert f"## {brittle.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert cited["title"].startswith("brittle")
    assert cited["license"] == PROJECT["license"]
    assert cited["title"] in (ROOT / "README.md").read_text(), "how to cite"


def test_every_python_that_is_said_to_work_is_tried() -> None:
    said = {name.rpartition(" ")[2] for name in PROJECT["classifiers"] if "Python :: 3." in name}
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert set(workflow["jobs"]["check"]["strategy"]["matrix"]["python"]) == said
    assert f">={min(said)}" == PROJECT["requires-python"]


def test_ci_runs_targets_that_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    script = (ROOT / ".ci/run").read_text()
    assert ".ci/run" in commands
    assert set(re.findall(r"make ([\w-]+)", " ".join([script, *commands]))) == {"check", "wheel", "site"}
    assert {"check", "wheel", "site"} <= targets


def test_what_is_pinned_is_enough_for_every_extra() -> None:
    """Each dependency that an extra names is in constraints.txt, so that two machines install the same."""
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    named = [
        *PROJECT["dependencies"],
        *(name for extra in ("dev", "docs") for name in PROJECT["optional-dependencies"][extra]),
    ]
    bare = {re.split(r"[\[>=<~ ]", name)[0].lower() for name in named} - {"brittle"}
    assert {name.replace("_", "-") for name in bare} <= {name.replace("_", "-") for name in pinned}
