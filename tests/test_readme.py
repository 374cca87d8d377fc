"""What README, the tutorials and the notebooks show is what runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from brittle.learning import load
from documents import played
from notebooks import NAMES

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.filterwarnings("ignore:D_.*the model")
def test_the_python_of_the_readme_runs(
    digits_net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    split = load("digits").test.take(20)
    names = {"model": digits_net, "robust": digits_net, "standard": digits_net, "split": split}
    names |= {"x": split.x(), "y": split.labels, "mu": np.array([1.0, 0.5]), "sigma": np.eye(2)}
    played((ROOT / "README.md").read_text(), names)
    assert names["x_adv"].shape == split.x().shape
    assert str(names["report"]).splitlines()[-2].startswith("union")
    assert set(names["sets"]) == {"D_R", "D_NR", "D_rand", "D_det"}
    folder = names["report"].save("run")
    assert (folder / "audit.json").exists()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_prints_what_it_shows(page: Path) -> None:
    """In a process of its own: as fast as a reader's, and nothing that it registers stays."""
    command = [sys.executable, "-W", "error", "-m", "documents", "--check", str(page)]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=False)
    without_mnist(done.stderr)
    assert done.returncode == 0, f"{done.stderr}\nwrite it anew: make tutorials"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_is_what_its_tutorial_is(name: str) -> None:
    command = [sys.executable, "notebooks.py", "--check", name]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=False)
    without_mnist(done.stderr)
    assert done.returncode == 0, f"{done.stderr}\nwrite them anew: make tutorials"


def test_notebooks_are_small_enough_to_be_read_in_a_diff() -> None:
    sizes = {path.stem: path.stat().st_size for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert set(sizes) == set(NAMES)
    assert max(sizes.values()) < 100_000


def without_mnist(said: str) -> None:
    """Skip where MNIST is neither in $BRITTLE_DATA nor can be downloaded; `-rs` in pyproject.toml shows it."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", said)  # a notebook's traceback is coloured
    if missing := re.search(r"BrittleError: (mnist: no .*)", plain):
        pytest.skip(missing[1])
