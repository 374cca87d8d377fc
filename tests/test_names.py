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

from brittle.attacks import Linf, against, answer_of, square
from brittle.audits import audit, doctor
from brittle.audits.proofs import graph_of
from brittle.ground import BrittleError, as_floats
from brittle.learning import Reordered, Split, load, load_model
from brittle.learning.checkpoints import load_tensors, save_tensors
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
    assert 6 <= len(test) <= 18
    assert torch.equal(own["x"][list(test.rows)], test.images)
    for verb in ("audit", "doctor"):
        _, _, err = run(verb, "best.safetensors", "--data", "npz:all.npz", *(QUICK if verb == "audit" else ()))
        assert f"note: tried on {len(test)} of 60 images, a fifth held out" in " ".join(err.split())
    _, _, err = run("doctor", "best.safetensors", "--data", "npz:own.npz")
    assert "held out" not in err


def test_images_that_come_later_put_none_that_was_learned_from_into_the_part_held_out(own: dict[str, Tensor]) -> None:
    x, y = own["x"].numpy(), own["y"].numpy()
    few = np.arange(60) % 3 > 0
    np.savez("few.npz", x_train=x[few], y_train=y[few])
    np.savez("more.npz", x_train=x, y_train=y)

    def content(part: Split) -> set[bytes]:
        return {one.tobytes() for one in part.images.numpy()}

    before, after = load("npz:few.npz"), load("npz:more.npz")
    assert len(content(after.test) - content(before.test)) > 1
    assert not content(after.test) & (content(before.train) | content(before.validation))


def test_a_net_that_knows_of_no_held_out_part_is_told_from_one_that_does(own: dict[str, Tensor], run: Run) -> None:
    np.savez("all.npz", x_train=own["x"].numpy(), y_train=own["y"].numpy())
    status, _, err = run(
        "train", "--data", "npz:all.npz", "--net", "mlp", "--epochs", "1", "--out", "net", "--seed", "1"
    )
    assert status == 0, err
    tensors, header = load_tensors(Path("net.safetensors"))
    assert "fifth held out" in header.pop("held_out")
    save_tensors(Path("older.safetensors"), tensors, header)
    for net, data, said in (("net", "all", False), ("older", "all", True), ("older", "own", False)):
        err = run("doctor", f"{net}.safetensors", "--data", f"npz:{data}.npz")[2]
        assert ("warning: this net was trained when others" in err) is said


def test_classes_are_matched_by_name(own: dict[str, Tensor], run: Run) -> None:
    """Of a checkpoint whose classes are the digits, on data that have some of them, in another order."""

    def saved(file: str, *classes: str) -> Tensor:
        some = torch.stack([own["y"] == int(name) for name in classes]).any(0)
        labels = torch.tensor([classes.index(str(label)) for label in own["y"][some].tolist()])
        save_file({"images": own["x"][some], "labels": labels}, file, {"classes": json.dumps(classes)})
        return own["x"][some]

    net, moved = load_model("best.safetensors").model, {}
    for file, classes in (("some.safetensors", "729"), ("turned.safetensors", "9876543210")):
        images, names = saved(file, *classes), list(map(int, classes))
        data = load(f"tensors:{file}")
        moved[file] = load_model("best.safetensors", data=data).model
        logits = answer_of(moved[file], as_floats(images))
        assert torch.equal(logits[:, : len(names)], answer_of(net, as_floats(images))[:, names])
        said = run("doctor", "best.safetensors", "--data", f"tensors:{file}")[1]
        assert "brought into the data's order by name" in " ".join(said.split())
        assert audited(run, "best.safetensors", "--data", f"tensors:{file}")["clean"]["accuracy"] > 0.8
        assert graph_of(moved[file], as_floats(images))[-1].shape == (10,)
    saved("same.safetensors", *"0123456789")
    assert not isinstance(load_model("best.safetensors", data=load("tensors:same.safetensors")).model, Reordered)
    torch.manual_seed(0)
    labels = own["y"] % 2
    save_file({"images": own["x"], "labels": labels}, "odd.safetensors", {"classes": '["1", "odd"]'})
    status, _, err = run("audit", "best.safetensors", "--data", "tensors:odd.safetensors", *QUICK)
    assert status == 2
    assert "'1' is number 1 of the model's and 0 of the data's, and 'odd' is none of the model's" in err


def test_a_path_that_holds_what_looks_like_a_remark_stays_whole(own: dict[str, Tensor], run: Run) -> None:
    for name, labels in (("set (v2)", own["y"]), ("set", (own["y"] + 1) % 10)):
        np.savez(name, x_train=own["x"].numpy(), y_train=labels.numpy())
    train = ("train", "--net", "mlp", "--epochs", "2", "--device", "cpu", "--out", "net")
    status, out, err = run(*train, "--data", "npz:set (v2).npz")
    assert status == 0, err
    assert "Next: brittle audit net.safetensors --threat Linf:8/255" in out
    assert audited(run, "net.safetensors")["data"]["given"] == "npz:set (v2).npz"
    making = (
        "disentangle",
        "net.safetensors",
        "--make",
        "D_rand",
        "--threat",
        "L2:3",
        "--out",
        "made set",
        "--steps",
        "9",
    )
    status, out, err = run(*making, "--device", "cpu")
    assert status == 0, err
    assert "Next: brittle train --data 'made:made set'" in out
    assert run(*train, "--data", "made:made set", "--fresh")[0] == 0
    assert audited(run, "net.safetensors")["data"]["given"] == "npz:set (v2).npz"


def test_rounding_to_8_bits_is_said(own: dict[str, Tensor], run: Run) -> None:
    x = as_floats(own["x"])
    np.savez("exact.npz", x_test=x.numpy(), y_test=own["y"].numpy())
    np.savez("half.npz", x_test=x.half().numpy(), y_test=own["y"].numpy())
    np.savez("between.npz", x_test=(0.97 * x).numpy(), y_test=own["y"].numpy())
    for file, said in (("exact", False), ("half", False), ("between", True)):
        err = run("doctor", "best.safetensors", "--data", f"npz:{file}.npz")[2]
        assert ("are rounded to 8 bits, which changes a pixel by up to 0.00" in err) is said


def test_a_small_part_to_learn_from_stops_no_audit(own: dict[str, Tensor], run: Run) -> None:
    x, y = own["x"].numpy(), own["y"].numpy()
    np.savez("small.npz", x_test=x, y_test=y, x_train=x[:3], y_train=np.arange(3))
    assert audited(run, "best.safetensors", "--data", "npz:small.npz")["clean"]["n"] == 10
    status, _, err = run("train", "--data", "npz:small.npz", "--net", "mlp", "--epochs", "1", "--device", "cpu")
    assert status == 2
    assert "too few images to hold some out" in err


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
