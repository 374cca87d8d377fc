"""Models from outside: what they are known by."""

import importlib
import sys
from pathlib import Path

import pytest

from brittle.studies import DataSource, File

CODE = """
import os
import pathlib
import torch
from helper import clean

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.heat, self.scale = float(os.environ["HEAT"]), float(pathlib.Path("scale.txt").read_text())
        self.layer = torch.nn.Linear(64, 10)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, x):
        return self.layer(clean(x).flatten(1)) * self.scale
"""
SAME = "def clean(x):\n    return x\n"


def digest_of(spec: str, data: DataSource) -> str:
    """As another process would see it: what was imported from the working directory is forgotten."""
    for name in ("defence", "helper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return File.of(spec).tried_on(data).digest


@pytest.mark.parametrize("changed", ["nothing", "helper", "words", "attribute", "file", "module"])
def test_a_model_is_another_one_once_anything_that_it_depends_on_changed(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("HEAT", "1")
    for name, text in (("helper.py", SAME), ("scale.txt", "1"), ("defence.py", CODE)):
        (tmp_path / name).write_text(text)
    data = DataSource.of("digits")
    before = digest_of("defence:Net", data)
    if changed == "helper":
        (tmp_path / "helper.py").write_text("def clean(x):\n    return x.round()\n")
    elif changed == "words":  # the answers do not tell
        (tmp_path / "helper.py").write_text(SAME + "# the same, written otherwise\n")
    elif changed == "attribute":  # nor here
        monkeypatch.setenv("HEAT", "2")
    elif changed == "file":
        (tmp_path / "scale.txt").write_text("2")
    elif changed == "module":
        (tmp_path / "defence.py").write_text(CODE + "# another\n")
    assert (digest_of("defence:Net", data) == before) == (changed == "nothing")
