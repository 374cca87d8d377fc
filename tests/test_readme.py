"""What the README shows is what runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from brittle.learning import load

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore:D_.*the model")
def test_the_python_of_the_readme_runs(
    digits_net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    split = load("digits").test.take(20)
    names = {"model": digits_net, "robust": digits_net, "standard": digits_net, "split": split}
    names |= {"x": split.x(), "y": split.labels, "mu": np.array([1.0, 0.5]), "sigma": np.eye(2)}
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), names)
    assert "union" in capsys.readouterr().out
    assert names["x_adv"].shape == split.x().shape
    assert set(names["sets"]) == {"D_R", "D_NR", "D_rand", "D_det"}
    folder = names["report"].save("run")
    assert (folder / "audit.json").exists()
