"""Types and array shapes are checked at run time in every test; results go to a store of their own."""

from pathlib import Path

from jaxtyping import install_import_hook

FLOORS = ("ground", "attacks", "learning", "audits", "studies", "report")  # typer reads the verbs' own annotations
install_import_hook([f"brittle.{floor}" for floor in FLOORS], "checker.check")

import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's results or caches."""
    monkeypatch.setenv("BRITTLE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def digits_net() -> torch.nn.Module:
    """A small net, quickly trained on the digits: right on most of them, and not robust."""
    return trained_net()


_NET: list[torch.nn.Module] = []


def trained_net() -> torch.nn.Module:
    """The net of `digits_net`, trained once per session."""
    from brittle.learning import Recipe, Standard, build_net, load, train

    if not _NET:
        data = load("digits")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = build_net("mlp", data.shape, 10)  # type: ignore[arg-type]
            for _ in train(net, data, Standard(), Recipe(epochs=8), device="cpu"):
                pass
        _NET.append(net.eval())
    return _NET[0]
