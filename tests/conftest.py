"""Types and array shapes are checked at run time in every test; results go to a store of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from jaxtyping import install_import_hook

FLOORS = (
    "ground",
    "attacks",
    "learning",
    "audits",
    "science",
    "studies",
    "papers",
    "report",
)  # typer reads the verbs' own annotations
install_import_hook([f"brittle.{floor}" for floor in FLOORS], "checker.check")

import pytest  # noqa: E402
import torch  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402


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


def program(*names: str) -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        if found := (f"/usr/bin/{name}" if Path(f"/usr/bin/{name}").exists() else shutil.which(name)):
            return found
    pytest.fail(f"{names[0]} is not installed; get it with: apt-get install chromium chromium-driver")


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[webdriver.Chrome]:
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "disable-dev-shm-usage", f"user-data-dir={tmp_path / 'profile'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    driver.get("about:blank")
    driver.get_log("performance")  # what the browser's own first page did
    yield driver
    driver.quit()
