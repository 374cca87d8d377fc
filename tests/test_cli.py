"""The command line: every verb once, and bad input of every kind as one clear line with exit status 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from brittle.studies import Store
from conftest import Run


def files(folder: Path) -> None:
    (folder / "text.safetensors").write_text("hello")
    save_file({"w": torch.zeros(1)}, folder / "foreign.safetensors")
    torch.save(nn.Linear(2, 2), folder / "pickle.pt")
    torch.save({"w": 1}, folder / "odd.pth")
    (folder / "broken_import.py").write_text("import not_there_at_all\n")
    (folder / "crash_import.py").write_text("1 / 0\n")
    (folder / "bits.py").write_text(
        "import torch\nnumber = 3\ndef nan(x):\n    return torch.full((len(x), 10), float('nan'))\ndef three(x):\n   "
        " return x.flatten(1)[:, :3]\ndef picky(x):\n    return x.view(-1, 3, 32, 32)\nclass Fails:\n    def "
        "__init__(self):\n        raise ValueError('no')\nclass Net(torch.nn.Module):\n    def __init__(self):\n     "
        "   super().__init__(); self.l = torch.nn.Linear(64, 10)\n    def forward(self, x):\n        return "
        "self.l(x.flatten(1))\n"
    )
    save_file({"images": torch.full((30, 1, 8, 8), 2.0), "labels": torch.arange(30) % 3}, folder / "bright.safetensors")
    save_file({"images": torch.rand(30, 1, 8, 8)}, folder / "unlabelled.safetensors")
    (folder / "empty").mkdir()
    (folder / "done").mkdir()
    (folder / "done" / "audit.json").write_text("{")


BAD: dict[str, tuple[list[str], str]] = {
    "unknown verb": (["conquer"], "No such command"),
    "unknown option": (["nets", "--colour"], "No such option"),
    "missing argument": (["doctor"], "Missing argument"),
    "value that is no number": (["train", "--data", "digits", "--epochs", "many"], "epochs"),
    "no such model file": (["audit", "nothing.safetensors"], "no file"),
    "model that is none": (["audit", "nothing"], "is no model"),
    "model file of noise": (["audit", "text.safetensors"], "not a whole safetensors file"),
    "model file of others": (["audit", "foreign.safetensors"], "not written by brittle"),
    "pickled model": (["audit", "pickle.pt", "--data", "digits"], "module:callable"),
    "module that is not there": (["doctor", "absent_module:net", "--data", "digits"], "no module"),
    "module whose import is not there": (["doctor", "broken_import:net", "--data", "digits"], "not_there_at_all"),
    "module that crashes": (["doctor", "crash_import:net", "--data", "digits"], "ZeroDivisionError"),
    "name that is not in the module": (["doctor", "bits:net", "--data", "digits"], "has no 'net'"),
    "name that is no model": (["doctor", "bits:number", "--data", "digits"], "no model"),
    "class that cannot be built": (["doctor", "bits:Fails", "--data", "digits"], "calling it failed"),
    "weights that are not there": (["doctor", "bits:Net", "--weights", "w.pth", "--data", "digits"], "no file"),
    "weights that are no tensors": (
        ["doctor", "bits:Net", "--weights", "odd.pth", "--data", "digits"],
        "no state dict",
    ),
    "weights that do not fit": (
        ["doctor", "bits:Net", "--weights", "foreign.safetensors", "--data", "digits"],
        "does not fit",
    ),
    "pickled weights": (["doctor", "bits:Net", "--weights", "pickle.pt", "--data", "digits"], "nothing pickled is run"),
    "no data set said": (["audit", "bits:Net"], "--data"),
    "unknown data set": (["audit", "bits:Net", "--data", "digitz"], "did you mean digits"),
    "folder that is not there": (["audit", "bits:Net", "--data", "folder:nowhere", "--threat", "L2:1"], "nowhere"),
    "empty folder": (["audit", "bits:Net", "--data", "folder:empty", "--threat", "L2:1"], "empty"),
    "pixels out of range": (["train", "--data", "tensors:bright.safetensors"], "0"),
    "tensors without labels": (["train", "--data", "tensors:unlabelled.safetensors"], "labels"),
    "threat without colon": (["audit", "MODEL", "--threat", "Linf"], "KIND:SIZE"),
    "unknown threat": (["audit", "MODEL", "--threat", "L7:1"], "not 'L7:1'"),
    "pixels in halves": (["attack", "MODEL", "--threat", "L0:1.5"], "counts pixels"),
    "no pixels of translation": (["attack", "MODEL", "--threat", "Spatial:30"], "Spatial:DEGREES,PIXELS"),
    "gradients in rotations": (["attack", "MODEL", "--threat", "Spatial:30,3"], "does not work in Spatial:30,3"),
    "usefulness in rotations": (["features", "MODEL", "--threat", "Spatial:30,3"], "does not work in Spatial:30,3"),
    "curvature in pixels": (["curvature", "MODEL", "--threat", "L0:3"], "does not work in L0:3"),
    "training on gradients of rotations": (
        ["train", "--data", "digits", "--goal", "adversarial", "--threat", "Spatial:30,3"],
        "does not work in Spatial:30,3",
    ),
    "negative eps": (["audit", "MODEL", "--threat", "Linf:-1"], "eps"),
    "eps that is no number": (["audit", "MODEL", "--threat", "Linf:tiny"], "eps"),
    "eps by zero": (["audit", "MODEL", "--threat", "Linf:8/0"], "eps"),
    "unknown effort": (["audit", "MODEL", "--effort", "heroic"], "no effort"),
    "budget that is none": (["audit", "MODEL", "--budget", "soon"], "90s"),
    "n that is none": (["audit", "MODEL", "-n", "-5"], "-n"),
    "n of zero": (["audit", "MODEL", "-n", "0"], "-n"),
    "unknown attack": (["attack", "MODEL", "--attack", "magic"], "no attack"),
    "no steps": (["attack", "MODEL", "--steps", "0"], "at least 1"),
    "unknown device": (["audit", "MODEL", "--device", "quantum"], "device"),
    "model of NaN": (["audit", "bits:nan", "--data", "digits"], "NaN"),
    "model of too few classes": (["audit", "bits:three", "--data", "digits"], "classes"),
    "model of other images": (["audit", "bits:picky", "--data", "digits"], "fails on images"),
    "unknown net": (["train", "--data", "digits", "--net", "brain"], "no net"),
    "net that does not fit": (["train", "--data", "digits", "--net", "trades"], "too small"),
    "unknown goal": (["train", "--data", "digits", "--goal", "fame"], "no goal"),
    "goal without a threat": (["train", "--data", "digits", "--goal", "adversarial"], "--threat"),
    "threat without a goal": (["train", "--data", "digits", "--threat", "L2:1"], "--goal adversarial"),
    "no epochs": (["train", "--data", "digits", "--epochs", "0"], "epochs > 0"),
    "negative learning rate": (["train", "--data", "digits", "--lr", "-1"], "lr > 0"),
    "unknown optimizer": (["train", "--data", "digits", "--optimizer", "lion"], "unknown"),
    "unknown inner attack": (
        ["train", "--data", "digits", "--goal", "adversarial", "--threat", "L2:1", "--inner", "x"],
        "no attack is called 'x'",
    ),
    "setting of another attack": (["attack", "MODEL", "--attack", "pgd:draws=3"], "has no 'draws'"),
    "setting without a value": (["attack", "MODEL", "--attack", "pgd:steps"], "NAME:SETTING=VALUE"),
    "unknown attack beside an audit": (["audit", "MODEL", "--with", "magic"], "no attack is called 'magic'"),
    "unknown start": (["attack", "MODEL", "--start", "upside down"], "start is"),
    "weight of a goal without": (
        ["train", "--data", "digits", "--goal", "avg", "--threat", "L2:1", "--weight", "2"],
        "no weight",
    ),
    "static net that is not there": (
        ["train", "--data", "digits", "--goal", "ensemble", "--threat", "L2:1", "--static", "nothing.safetensors"],
        "nothing.safetensors",
    ),
    "audit of nothing": (["audit"], "say which model"),
    "again from nothing": (["audit", "--again", "nowhere"], "cannot be read"),
    "again with a threat": (["audit", "--again", "nowhere", "--threat", "L2:1"], "takes threats"),
    "export of nothing": (["export", "nowhere", "a.csv"], "no finished audit"),
    "export to anything": (["export", "nowhere", "a.docx"], "is exported to .csv"),
    "no batch": (["audit", "MODEL", "--batch", "0"], "batch"),
    "run that is not there": (["report", "nowhere"], "no finished audit"),
    "damaged run": (["report", "done"], "damaged"),
    "quickstart on anything": (["quickstart", "--data", "cifar10"], "quickstart knows"),
    "place that cannot be written": (
        ["audit", "MODEL", "-n", "5", "--effort", "quick", "--threat", "Linf:0", "--out", "text.safetensors"],
        "written",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_line_and_status_2(kind: str, run: Run, tmp_path: Path, model: str) -> None:
    files(tmp_path)
    words, said = BAD[kind]
    status, out, err = run(*(model if word == "MODEL" else word for word in words))
    lines = [
        line
        for line in err.strip().splitlines()
        if not line.startswith(("audit in", "digits", "pgd", "magic", "note", " "))
    ]
    assert status == 2, (out, err)
    assert out == ""
    assert lines[-1].startswith("error: ")
    assert said in lines[-1]
    assert "Traceback" not in err


def test_mnist_that_cannot_be_had_says_where_it_was_looked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "urllib.request.OpenerDirector.open", lambda *_, **__: (_ for _ in ()).throw(OSError("no network"))
    )
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


def test_a_sick_model_gives_status_1(run: Run, tmp_path: Path) -> None:
    files(tmp_path)
    status, out, _ = run("doctor", "bits:nan", "--data", "digits")
    assert status == 1
    assert "NaN" in out


def test_an_unseen_model_on_an_unseen_data_set(run: Run, tmp_path: Path) -> None:
    files(tmp_path)
    images, labels = torch.rand(60, 1, 8, 8), torch.arange(60) % 10
    save_file({"images": images, "labels": labels}, tmp_path / "mine.safetensors")
    status, out, err = run(
        "audit",
        "bits:Net",
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
    assert json.loads(out)["data"]["n"] == 12


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
    run = "sys.argv = ['brittle', '--help']; _run(False); sys.exit('torch' in sys.modules)"
    code = f"import sys; from brittle.cli import _run; {run}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_public_names_are_where_they_are_promised() -> None:
    import brittle

    for name in brittle.__all__:
        assert getattr(brittle, name) is not None
    with pytest.raises(AttributeError):
        brittle.nothing_of_that_name  # noqa: B018
