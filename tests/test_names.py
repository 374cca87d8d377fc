"""What a record calls its model, data and images is what the user called them, though the content is the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from brittle.attacks import Linf, against, square
from brittle.audits import audit, doctor
from brittle.ground import BrittleError
from brittle.learning import load
from brittle.learning.zoo import zoo_file
from brittle.studies.nodes import common
from conftest import Run

QUICK = ("--threat", "Linf:0.05", "--effort", "smoke", "-n", "10", "--device", "cpu", "--json")


@pytest.fixture
def own(run: Run) -> dict[str, Tensor]:
    """A net, and images and labels, each in a file where the tests run."""
    copy(zoo_file("digits-linf"), "best.safetensors")
    test = load("digits").test.take(60)
    np.savez("own.npz", x=test.images.numpy(), y=test.labels.numpy())
    return {"x": test.images, "y": test.labels}


def audited(run: Run, *words: str) -> dict:
    status, out, err = run("audit", *words, *QUICK)
    assert status == 0, err
    return json.loads(out)


def test_a_model_under_another_name_is_called_so(own: dict[str, Tensor], run: Run) -> None:
    first = audited(run, "best.safetensors", "--data", "npz:own.npz", "--out", "one")
    copy("best.safetensors", "v1.safetensors")
    second = audited(run, "v1.safetensors", "--data", "npz:own.npz", "--out", "two")
    assert first["model"]["digest"] == second["model"]["digest"]
    assert second["model"]["source"] == "v1.safetensors"
    assert "audit v1.safetensors" in second["verdict"]["next"]
    assert "best" not in json.dumps(second)


def test_data_under_another_name_are_called_so(own: dict[str, Tensor], run: Run) -> None:
    audited(run, "best.safetensors", "--data", "npz:own.npz", "--out", "one")
    Path("other").mkdir()
    copy("own.npz", "other/own.npz")
    found = audited(run, "best.safetensors", "--data", "npz:other/own.npz", "--out", "two")
    assert found["data"]["given"] == "npz:other/own.npz"
    assert "npz:own.npz" not in json.dumps(found)


def test_classes_that_are_called_otherwise_are_called_so(own: dict[str, Tensor], run: Run) -> None:
    def with_classes(*names: str) -> Sequence[str]:
        split = own | {"test_x": own["x"].clone(), "test_y": own["y"].clone()}
        named = {key.replace("x", "images").replace("y", "labels"): value for key, value in split.items()}
        common._data.cache_clear()  # another process reads the file anew
        save_file(named, "own.safetensors", {"classes": json.dumps(names)})
        return audited(run, "best.safetensors", "--data", "tensors:own.safetensors", "--out", "one")["data"]["classes"]

    assert with_classes(*"abcdefghij")[0] == "a"
    assert with_classes(*"Abcdefghij")[0] == "A"


def test_exported_rows_are_those_of_the_file(own: dict[str, Tensor], run: Run) -> None:
    audited(run, "best.safetensors", "--data", "npz:own.npz", "--out", "one")
    for name in ("one.csv", "one.npz"):
        status, _, err = run("export", "one", name)
        assert status == 0, err
    heads, *lines = (line.split(",") for line in Path("one.csv").read_text().splitlines())
    place, label = heads.index("row in the file"), heads.index("label")
    assert [int(line[label]) for line in lines] == [int(own["y"][int(line[place])]) for line in lines]
    assert [int(line[place]) for line in lines] != [int(line[0]) for line in lines]
    found = np.load("one.npz")
    clean = own["x"][torch.from_numpy(found["rows_in_file"])].numpy() / 255
    assert np.abs(found["x_adv"] - clean).max() < 0.05 + 1e-6
    assert found["labels"].tolist() == own["y"][torch.from_numpy(found["rows_in_file"])].tolist()


def test_a_part_that_was_held_out_is_called_so_and_keeps_its_rows(own: dict[str, Tensor], run: Run) -> None:
    np.savez("all.npz", x_train=own["x"].numpy(), y_train=own["y"].numpy())
    test = load("npz:all.npz").test
    assert test.name.endswith("/test, a fifth held out")
    assert len(test) == 12
    assert torch.equal(own["x"][list(test.rows)], test.images)
    for verb in ("audit", "doctor"):
        _, _, err = run(verb, "best.safetensors", "--data", "npz:all.npz", *(QUICK if verb == "audit" else ()))
        assert "note: tried on 12 of 60 images, a fifth held out" in " ".join(err.split())
    _, _, err = run("doctor", "best.safetensors", "--data", "npz:own.npz")
    assert "held out" not in err


def test_a_folder_with_an_at_in_its_name_is_itself(own: dict[str, Tensor], tmp_path: Path) -> None:
    from PIL import Image

    for folder, side in (("pets", 12), ("pets@8", 10)):
        for of in ("cat", "dog"):
            (tmp_path / folder / "test" / of).mkdir(parents=True)
            Image.new("L", (side, side)).save(tmp_path / folder / "test" / of / "1.png")
    assert load(f"folder:{tmp_path}/pets@8").shape == (1, 10, 10)
    assert load(f"folder:{tmp_path}/pets@6").shape == (1, 6, 6)


def test_a_loss_that_is_no_loss_for_each_image_is_refused(digits_net: nn.Module) -> None:
    data = load("digits").test.take(5)
    for loss in (nn.CrossEntropyLoss(), lambda logits, y: logits[:, :1]):
        with pytest.raises(BrittleError, match=r"one number for each image.*reduction='none'"):
            square(against(digits_net, loss), Linf(0.1), queries=5)(data.x(), data.labels)


def test_images_that_are_nearly_black_get_no_other_range(digits_net: nn.Module) -> None:
    data = load("digits").test.take(100)
    bits = (data.x() > 0.5).float()
    found = {one.name: one for one in doctor(digits_net, bits / 255, data.labels)}
    assert found["range"].level == "warn"
    assert "0 or 1 in 8 bits" in found["range"].hint
    assert "normalisation" not in found or not found["normalisation"].option


class Strict(nn.Module):
    """A net that takes no other dtype on its way."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        assert logits.dtype == torch.float32
        return logits


def test_a_model_that_fails_in_the_dtype_of_attacks_is_attacked_in_float32(
    digits_net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("brittle.attacks.objectives", "brittle.audits.subject"):
        monkeypatch.setattr(f"{module}.fast_dtype", lambda kind: torch.bfloat16)
    data = load("digits").test.take(40)
    report = audit(Strict(digits_net), data, [Linf(0.1)], effort="quick")
    notes = {check.name: check for check in report.record.checks}
    assert notes["precision"].text == "the model fails in bfloat16: attacks ask in float32"
    assert report.verdict.level == "trust"
    assert report.union.correct < report.clean.correct
