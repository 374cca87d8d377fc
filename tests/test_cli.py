"""The command line: every verb once; bad input is in `test_bad_inputs.py`."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from brittle import cli
from brittle.audits import Interval
from brittle.cli.terminal import curvature_table
from brittle.science import Curvature
from brittle.studies import Store
from conftest import Run
from odd_files import MODELS


def test_mnist_that_cannot_be_had_says_where_it_was_looked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "urllib.request.OpenerDirector.open", lambda *_, **__: (_ for _ in ()).throw(OSError("no network"))
    )
    Path("here").mkdir()
    status, _, err = run("data", "mnist", "--data-dir", "here")
    assert status == 2
    assert "train-images-idx3-ubyte" in err
    assert "here" in err


def test_train_audit_attack_doctor_and_report(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(
        "train", "--data", "digits", "--net", "mlp", "--epochs", "2", "--out", "net.safetensors", "--device", "cpu"
    )
    assert status == 0
    assert "brittle audit net.safetensors" in out
    audit = (
        "audit",
        "net.safetensors",
        "--effort",
        "quick",
        "-n",
        "40",
        "--threat",
        "Linf:8/255",
        "--out",
        "one",
        "--device",
        "cpu",
        "--json",
    )
    status, out, _ = run(*audit)
    record = json.loads(out)
    assert status == 0
    assert record["threats"][0]["threat"] == "Linf:8/255"
    assert record["model"]["training"]["net"] == "mlp"
    assert record["verdict"]["next"].startswith("brittle audit net.safetensors")
    assert run(*audit)[1] == out  # from the store, to the byte
    status, out, _ = run("attack", "net.safetensors", "--threat", "Linf:0.1", "-n", "40", "--json", "--device", "cpu")
    assert json.loads(out)["robust"]["n"] == 40
    assert run("doctor", "net.safetensors")[0] == 0
    status, out, _ = run("curvature", "net.safetensors", "--threat", "L2:0.5", "-n", "8", "--json", "--device", "cpu")
    assert [one["n"] for one in json.loads(out)["points"]] == [8, 8, 8]
    assert "at the data" in run("curvature", "net.safetensors", "-n", "2", "--device", "cpu")[1]
    assert "trades" in run("goals")[1]
    status, out, _ = run("report", "one", "one", "--out", "both.html")
    assert status == 0
    assert (tmp_path / "both.html").read_text().startswith("<!doctype html>")
    for folder in ("new", "new", "one"):  # that is there already, or not
        assert run("report", "one", "--out", folder)[1].strip() == f"The page: {folder}/report.html"
        assert (tmp_path / folder / "report.html").read_text().startswith("<!doctype html>")


def test_a_training_is_logged_as_it_goes(run: Run) -> None:
    asked = ("train", "--data", "digits", "--net", "linear", "--epochs", "2", "--device", "cpu", "--out", "net")
    assert run(*asked, "--log", "csv:logs")[0] == 0
    rows = list(csv.DictReader(Path("logs/version_0/metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows if row["clean"]] == ["11", "22"]
    assert all(float(row["loss"]) > 0 for row in rows)
    status, _, err = run(*asked, "--log", "csv:logs")
    assert (status, "nothing is logged" in err) == (0, True)
    for log, said in (("logs", "a log is written csv:FOLDER"), ("tensorboard:logs", "pip install 'brittle[log]'")):
        status, _, err = run(*asked, "--log", log)
        assert (status, said in err) == (2, True), err


def test_a_sick_model_gives_status_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(MODELS)
    status, out, _ = run("doctor", "odd:nan", "--data", "digits")
    assert status == 1
    assert "NaN" in out


def test_an_unseen_model_on_an_unseen_data_set(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(MODELS)
    images, labels = torch.randint(0, 256, (60, 1, 8, 8)) / 255, torch.arange(60) % 10
    save_file({"images": images, "labels": labels}, tmp_path / "mine.safetensors")
    status, out, err = run(
        "audit",
        "odd:Net",
        "--data",
        "tensors:mine.safetensors",
        "--threat",
        "L2:0.1",
        "--effort",
        "quick",
        "--json",
        "--device",
        "cpu",
    )
    assert status == 0, err
    assert 0 < json.loads(out)["data"]["n"] < 30


def test_names_are_shown_as_they_are_typed_whatever_a_terminal_makes_of_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "forms.py").write_text(MODELS + "\nclass One(Net): pass\n")
    asked = ("forms:One", "--data", "digits", "--threat", "Linf:0.1", "--device", "cpu")
    for place in ("a[/b]", "ünï/[bold]x[/bold]"):
        status, out, err = run("audit", *asked, "-n", "20", "--effort", "smoke", "--out", place)
        assert status == 0, err
        assert f"The page: {place}/report.html" in out
        assert "forms:One" in err
        status, out, err = run("export", place, f"{place}.csv")
        assert (status, out) == (0, f"Written: {place}.csv\n"), err


def test_a_narrow_terminal_cuts_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    one = Interval(0.003112, 0.002945, 0.003361)
    Console(width=45).print(curvature_table([Curvature("at the data", one, one, one, 0.5, 8)], "L2:0.5"))
    said = capsys.readouterr().out
    assert "L2:0.5" in said
    assert "…" not in said


def test_a_page_of_features_says_of_how_many_gamma_is_known(run: Run) -> None:
    asked = ("features", "zoo:digits-linf", "-n", "40", "--attacked", "2", "--steps", "1", "--device", "cpu")
    status, out, err = run(*asked, "--out", "seen", "--json")
    assert status == 0, err
    unknown = [one["verdict"] for one in json.loads(out)["features"] if one["gamma"] is None].count("undecided")
    page = Path("seen/features.html").read_text()
    assert "gamma was measured for 2 of 256 features only" in page
    assert f"For {unknown} of them gamma was not measured (--attacked)." in page


def test_lists(run: Run) -> None:
    assert "madry" in run("nets")[1]
    assert "cifar10" in run("data")[1]
    assert (
        "1437" in run("data", "digits")[1] or "1294" in run("data", "digits")[1] or "images" in run("data", "digits")[1]
    )
    assert set(json.loads(run("nets", "--json")[1])) >= {"linear", "mlp", "madry", "trades", "resnet18"}


def test_ctrl_c_is_a_line_and_status_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "read", interrupted)
    status, _, err = run("train", "--data", "digits", "--device", "cpu")
    assert status == 130
    assert "goes on where it was" in err.replace("\n", " ")


def test_faults_of_ours_are_said_to_be_ours_and_shown_with_debug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Store, "read", fault)
    status, _, err = run("train", "--data", "digits", "--device", "cpu")
    assert status == 1
    assert "internal error: RuntimeError: a bug" in err.replace("\n", " ")


def test_help_does_not_import_torch() -> None:
    run = "sys.argv = ['brittle', '--help']; _run(False, 0); sys.exit('torch' in sys.modules)"
    code = f"import sys; from brittle.cli import _run; {run}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_budget_counts_from_the_start_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRITTLE_STORE", str(tmp_path / "store"))
    words = "audit zoo:digits-linf -n 5 --effort smoke --threat Linf:0.1 --budget 500s --device cpu --json"
    left_out = []
    for ago in (1000, 0):
        monkeypatch.setattr(sys, "argv", ["brittle", *words.split(), "--out", f"ago-{ago}"])
        assert cli._run(False, time.monotonic() - ago) == 0
        left_out.append(len(json.loads(capsys.readouterr().out)["skipped"]))
    assert left_out[0] > left_out[1] == 0


def test_an_attack_does_not_make_torch_import_sympy() -> None:
    code = """
import sys, torch, brittle
brittle.pgd(torch.nn.Flatten(), "Linf:0.1")(torch.rand(4, 1, 3, 3), torch.arange(4))
sys.exit("sympy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_where_they_are_promised() -> None:
    import brittle

    for name in brittle.__all__:
        assert getattr(brittle, name) is not None
    with pytest.raises(AttributeError):
        brittle.nothing_of_that_name  # noqa: B018
