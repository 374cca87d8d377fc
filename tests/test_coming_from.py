"""The table for those who come from another library: each call in it runs, and gives allowed images."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import brittle
from brittle.attacks import MinimumNorm
from brittle.ground import BrittleError
from documents import played

PAGE = (Path(__file__).parents[1] / "docs" / "coming-from.md").read_text()
CALLS = re.findall(r"^\| `(brittle\.[^`]*)`", PAGE, re.MULTILINE)


class Pictures(nn.Module):
    """A net for pictures of 8 x 8 in color, without training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def subject() -> dict[str, object]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = Pictures(), torch.rand(3, 3, 8, 8)
    return {"model": model, "x": x, "y": model(x).argmax(1)}


def test_no_row_of_the_table_is_left_out() -> None:
    rows = PAGE.partition("## Attacks")[2].partition("## Parameters")[0].count("\n| `")
    assert len(CALLS) == rows > 20


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_the_table_gives_allowed_images(call: str) -> None:
    names = subject() | {name: getattr(brittle, name) for name in ("L0", "L1", "L2", "Linf", "Spatial")}
    names |= {"brittle": brittle, "objective": brittle.against(names["model"])}  # type: ignore[arg-type]
    attack = eval(call, names)
    threat = eval(re.findall(r"(?:Linf|L0|L1|L2|Spatial)\([^)]*\)", call)[0], names)
    name = call.removeprefix("brittle.").partition("(")[0]
    assert (f"`{name}`" in PAGE.partition("## Attacks")[0]) is isinstance(attack, MinimumNorm)
    if isinstance(attack, MinimumNorm):
        with pytest.raises(BrittleError, match=r"\.within\(threat\)\.run\(x, y\)"):
            attack.run(names["x"], names["y"])  # type: ignore[attr-defined]
        attack = attack.within(threat)
    found = attack.run(names["x"], names["y"])
    assert bool(threat.contains(names["x"], found.x)[found.success].all())
    assert found.x.shape == names["x"].shape  # type: ignore[attr-defined]


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = subject()
    played(PAGE, names)
    assert str(names["report"]).startswith("clean         100.0 %")
