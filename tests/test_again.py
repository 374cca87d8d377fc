"""An audit is done again from its report and compared image by image; and it is written in other forms."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pyarrow import parquet
from torch import nn

from brittle.audits import audit, decode_record, differences
from brittle.learning import load, load_model
from brittle.report import export_audit
from conftest import Run


@pytest.fixture
def report(run: Run, tmp_path: Path) -> Path:
    """An audit of a net of digits in two threats, with one more attack and proofs."""
    run("train", "--data", "digits", "--net", "mlp", "--epochs", "6", "--out", "net.safetensors", "--device", "cpu")
    asked = ["--threat", "Linf:0.03", "--threat", "L2:0.2", "-n", "24", "--effort", "smoke", "--seed", "3", "--certify"]
    assert run("audit", "net.safetensors", *asked, "--with", "mim:steps=3", "--out", "one", "--device", "cpu")[0] == 0
    return tmp_path / "one"


def test_an_audit_is_done_again_image_by_image(report: Path, run: Run, tmp_path: Path) -> None:
    status, out, err = run("audit", "--again", "one", "--device", "cpu")
    assert (status, out.strip()) == (0, "computed anew: all 24 images as reported, in 2 threats"), err
    path = report / "audit.json"
    record = json.loads(path.read_text())
    assert record["asked"] == {
        "effort": "smoke",
        "seed": 3,
        "budget": None,
        "attacks": ["mim:steps=3"],
        "certify": True,
        "batch": 250,
    }
    threat = record["threats"][0]["threat"]
    broken = next(one for one in record["examples"] if one["broken_by"][threat])
    broken["broken_by"][threat] = "magic"
    record["run"]["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(record))
    status, out, _ = run("audit", "--again", str(path), "--device", "cpu", "--json")
    found = json.loads(out)
    assert status == 1
    assert found["images"] == 24
    assert found["differences"][0].startswith("torch 1.0 then, ")
    assert found["differences"][1].startswith(f"image {broken['index']} in {threat}: broken by magic then, broken by")
    assert len(found["differences"]) == 2


def test_a_build_may_ask_for_a_share_that_withstands(run: Run) -> None:
    words = "audit", "zoo:digits-linf", "--threat", "Linf:0.02", "-n", "30", "--effort", "smoke", "--device", "cpu"
    union = json.loads(run(*words, "--json")[1])["union"]["accuracy"]
    assert union > 0.5
    assert run(*words, "--at-least", f"{union}")[0] == 0
    status, out, err = run(*words, "--at-least", f"{100 * union + 0.1}%", "--json")
    assert (status, json.loads(out)["union"]["accuracy"]) == (1, union)
    assert "below what was asked" in err


def test_another_model_or_other_data_are_named_first(report: Path, run: Run, tmp_path: Path) -> None:
    train = "train", "--data", "digits", "--net", "linear", "--epochs", "1", "--device", "cpu"
    run(*train, "--out", "other.safetensors")
    status, out, _ = run("audit", "other.safetensors", "--again", "one", "--device", "cpu")
    lines = out.strip().splitlines()
    assert status == 1
    assert lines[0].startswith("the model is another")
    assert lines[-1].startswith("... and ")
    assert any(line.startswith("image ") for line in lines)
    record = decode_record((report / "audit.json").read_bytes())
    assert differences(record, record) == []


def test_an_audit_in_memory_is_done_again_with_a_model_and_data_that_are_named(run: Run, tmp_path: Path) -> None:
    test = load("digits").test.take(12)
    net = load_model("zoo:digits-linf").model
    audit(net, (test.x(), test.labels), ["Linf:0.1"], effort="smoke").save(tmp_path / "one")
    status, _, err = run("audit", "--again", "one", "--device", "cpu")
    assert status == 2
    assert "brittle audit MODEL --data DATA --again one" in " ".join(err.split())
    status, out, _ = run("audit", "zoo:digits-linf", "--data", "digits", "--again", "one", "--device", "cpu")
    assert (status, out.split(" (")[0]) == (0, "computed anew: all 12 images as reported, in 1 threats")
    assert "which model and data it was of the report does not say" in " ".join(out.split())


@pytest.mark.parametrize("source", ["trusted:theirs.pt2", "theirs_again:Net", "theirs.pt", "theirs.onnx"])
def test_code_that_a_report_names_is_not_run_unasked(source: str, report: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "theirs_again.py").write_text("from pathlib import Path\n\nPath('ran').touch()\n")
    path = report / "audit.json"
    record = json.loads(path.read_text())
    record["model"]["source"] = source
    path.write_text(json.dumps(record))
    status, _, err = run("audit", "--again", "one", "--device", "cpu")
    assert status == 2
    assert f"brittle audit {source} --again one" in " ".join(err.split())
    assert not (tmp_path / "ran").exists()


def test_of_a_plain_function_it_is_not_said_that_it_is_another(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "told.py").write_text(
        "import torch\nnet = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n\n\n"
        "def predict(x):\n    return net(x)\n"
    )
    words = "told:predict", "--data", "digits", "--threat", "Linf:0.02", "-n", "8", "--effort", "smoke", "--out", "one"
    assert run("audit", *words, "--device", "cpu")[0] == 0
    assert json.loads((tmp_path / "one/audit.json").read_text())["model"]["digest"] == ""
    status, out, _ = run("audit", "told:predict", "--again", "one", "--device", "cpu")
    assert status == 0
    assert "which model it was of the report does not say" in " ".join(out.split())

    def stopped(events: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("brittle.cli.terminal.follow", stopped)
    for model, said in (("told:predict", "begins anew"), ("zoo:digits-linf", "goes on where it was")):
        status, _, err = run("audit", model, *words[1:], "--device", "cpu")
        assert status == 130
        assert f"stopped; the same command {said}" in err


def test_a_report_without_its_question_is_one_line(report: Path, run: Run) -> None:
    path = report / "audit.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key != "asked"}))
    status, _, err = run("audit", "--again", "one")
    assert status == 2
    assert "does not say how it was asked for" in err


def test_tables_hold_a_row_for_each_image(report: Path, run: Run, tmp_path: Path) -> None:
    record = json.loads((report / "audit.json").read_text())
    assert run("export", "one", "a.csv")[0] == run("export", "one", "a.parquet")[0] == 0
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == len(columns) == 24
    for one, text, typed in zip(record["examples"], rows, columns, strict=True):
        assert (int(text["index"]), int(text["label"]), int(text["answer"])) == (
            typed["index"],
            typed["label"],
            typed["answer"],
        )
        for threat, attack in one["broken_by"].items():
            assert typed[f"{threat} broken by"] == attack
            assert text[f"{threat} broken by"] == (attack or "")
            assert typed[f"{threat} proved by"] == one.get("proved_by", {}).get(threat)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_exported_images_are_judged_as_the_audit_judged_them(report: Path, run: Run, tmp_path: Path, name: str) -> None:
    record = json.loads((report / "audit.json").read_text())
    assert run("export", "one", name)[0] == 2  # which threat?
    assert run("export", "one", name, "--threat", "inf:3/100")[0] == 0
    status, out, _ = run("verify", name, "net.safetensors", "--threat", "Linf:0.03", "--json", "--device", "cpu")
    judged = json.loads(out)[0]
    broken = sum(one["broken_by"]["Linf:0.03"] is not None for one in record["examples"])
    assert status == 0
    assert judged["n"] == judged["allowed"] == judged["fooled"] == broken > 0
    assert judged["robust"]["correct"] == 0
    if name == "a.npz":
        with np.load(tmp_path / name) as arrays:
            assert arrays["x_adv"].dtype == np.float32
            assert (arrays["labels"] == [record["examples"][row]["label"] for row in arrays["indices"]]).all()


@pytest.mark.parametrize(
    ("source", "said"),
    [("", "brittle audit MODEL --again one"), ("theirs:Net", "brittle audit theirs:Net --again one")],
)
def test_a_card_names_the_model_where_it_must_be_typed(
    source: str, said: str, report: Path, run: Run, tmp_path: Path
) -> None:
    path = report / "audit.json"
    record = json.loads(path.read_text())
    record["model"]["source"] = source
    path.write_text(json.dumps(record))
    assert run("export", "one", "card.md")[0] == 0
    assert f"`{said}`" in (tmp_path / "card.md").read_text()


def test_cards_and_model_information_say_the_records_figures(report: Path, run: Run, tmp_path: Path) -> None:
    record = json.loads((report / "audit.json").read_text())
    robust = record["threats"][0]["robust"]["accuracy"]
    assert run("export", "one", "card.md")[0] == run("export", "one", "info.json", "--threat", "Linf:0.03")[0] == 0
    card, info = (tmp_path / "card.md").read_text(), json.loads((tmp_path / "info.json").read_text())
    for said in (
        record["verdict"]["sentence"],
        record["model"]["digest"],
        record["data"]["digest"],
        record["run"]["command"],
        "brittle audit --again one",
        f"| Linf:0.03 | {100 * robust:.1f} [",
    ):
        assert said in card
    assert (info["dataset"], info["eps"], info["norm"]) == ("digits", "0.03", "Linf")
    assert info["brittle_acc"] == f"{100 * robust:.2f}"
    assert info["clean_acc"] == f"{100 * record['clean']['accuracy']:.2f}"


def test_a_card_leaves_out_what_a_report_from_python_does_not_know(digits_net: nn.Module, tmp_path: Path) -> None:
    part = load("digits").test.take(20)
    folder = audit(digits_net, (part.x(), part.labels), "L2:0.1", effort="smoke").save(tmp_path / "bare")
    card = export_audit(folder, tmp_path / "card.md").read_text()
    assert "sha256" not in card
    assert f"`brittle audit MODEL --data DATA --again {folder}`" in card


def test_images_that_are_gone_or_that_never_were_are_one_line(report: Path, run: Run) -> None:
    record = json.loads((report / "audit.json").read_text())
    (report / "audit.safetensors").unlink()
    status, _, err = run("export", "one", "a.npz", "--threat", record["threats"][0]["threat"])
    assert status == 2
    assert "images are not there" in err
    assert torch.__version__ in json.dumps(record["run"])


def test_the_next_command_asks_the_same_question(report: Path, run: Run) -> None:
    """It names data and threats, and runs as it is printed."""
    said = json.loads((report / "audit.json").read_text())["verdict"]["next"]
    assert said.startswith("brittle audit net.safetensors --data digits --threat Linf:0.03 --threat L2:0.2")
    words = [word for word in said.split()[1:] if word not in ("-n", "all")]
    status, out, err = run(
        *(word.replace("thorough", "smoke") for word in words), "-n", "20", "--device", "cpu", "--json"
    )
    assert status == 0, err
    again = json.loads(out)
    assert [one["threat"] for one in again["threats"]] == ["Linf:0.03", "L2:0.2"]
    assert again["data"]["name"] == "digits/test"
