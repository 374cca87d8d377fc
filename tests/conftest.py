"""Types and array shapes are checked at run time in every test; results go to a store of their own."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from jaxtyping import install_import_hook

import simulated_device

with suppress(AssertionError):  # without a compiler, the tests that need it say so
    if torch.version.cuda is None:  # before anything is differentiated: autograd counts the devices once a process
        simulated_device.library()

Run = Callable[..., tuple[int, str, str]]
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


@pytest.fixture
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The digits to be tested on."""
    from brittle.learning import load

    test = load("digits").test
    return test.x(), test.labels


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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run("audit", ...)` gives exit status, stdout, stderr of the command in an empty working directory."""
    from brittle import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRITTLE_DATA", raising=False)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["brittle", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def model(tmp_path: Path, digits_net: torch.nn.Module) -> str:
    """A checkpoint of `digits_net`."""
    from brittle.learning import save_net
    from odd_files import HEADER

    path = tmp_path / "net.safetensors"
    save_net(path, digits_net, HEADER | {"name": "a <net>"})
    return str(path)


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
