"""The zoo: its nets load by name, say what they are, and are as good as their figures."""

import json

import pytest

from brittle.audits import Proportion
from brittle.ground import BrittleError
from brittle.learning import load, load_model, zoo_nets
from brittle.studies import DataSource
from conftest import Run

LARGEST = 5_000_000  # bytes of all nets together


def test_the_zoo_is_small_and_has_what_is_promised() -> None:
    nets = zoo_nets()
    assert {"mnist-standard", "mnist-linf", "mnist-l2", "mnist-trades", "mnist-msd", "digits-linf"} <= set(nets)
    assert sum(path.stat().st_size for path in nets.values()) < LARGEST
    with pytest.raises(BrittleError, match="the zoo has no net 'lion'; it has digits-linf"):
        load_model("zoo:lion")


@pytest.mark.parametrize("name", ["digits-standard", "digits-linf"])
def test_a_net_of_the_zoo_is_as_accurate_as_it_says(name: str) -> None:
    loaded = load_model(f"zoo:{name}")
    assert loaded.header is not None
    test = load("digits").test
    right = Proportion(int((loaded.model(test.x()).argmax(1) == test.labels).sum()), len(test))
    assert loaded.header["figures"]["clean"].startswith(f"{100 * right.accuracy:.1f} ")
    assert DataSource.of(loaded.header["data"]).name == "digits"


def test_the_zoo_is_listed_and_its_nets_are_models_of_every_verb(run: Run) -> None:
    status, out, _ = run("zoo", "--json")
    listed = json.loads(out)
    assert status == 0
    assert set(listed) == {f"zoo:{name}" for name in zoo_nets()}
    assert "zoo:mnist-linf" in run("zoo")[1]
    status, out, _ = run("audit", "zoo:digits-linf", "-n", "20", "--effort", "smoke", "--json")
    assert status == 0
    assert json.loads(out)["model"]["source"] == "zoo:digits-linf"
    assert run("doctor", "zoo:digits-standard")[0] == 0
