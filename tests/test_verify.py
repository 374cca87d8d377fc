"""`brittle verify`: adversarial images made by any library, judged."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from brittle.attacks import Linf, against, pgd
from brittle.audits import adversarial_of, doctor, judge, verify
from brittle.errors import BrittleError
from brittle.learning import load, read_arrays
from conftest import Run, trained_net

N, EPS = 40, 0.1
Made = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def made() -> Made:
    test = load("digits").test.take(N)
    x, y = test.x(), test.labels
    return x, pgd(against(trained_net()), Linf(EPS), steps=20)(x, y), y


def save(path: Path, name: str, x: Tensor) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{name: x.numpy()})
    elif path.suffix == ".npy":
        np.save(path, x.numpy())
    elif path.suffix == ".safetensors":
        save_file({name: x}, path)
    else:
        torch.save({name: x} if name else x, path)
    return path


@pytest.mark.parametrize("file", ["a.npz", "a.npy", "a.safetensors", "a.pt", "a.pth"])
def test_the_same_images_are_judged_alike_from_every_kind_of_file(
    file: str, made: Made, run: Run, model: str, digits_net: torch.nn.Module, tmp_path: Path
) -> None:
    x, moved, y = made
    path = save(tmp_path / file, "x_adv", moved)
    status, out, err = run("verify", str(path), model, "--threat", f"Linf:{EPS}", "--threat", "L2:0.2", "--json")
    assert status == 0, err
    wide, tight = json.loads(out)
    answers, clean = digits_net(moved).argmax(1), digits_net(x).argmax(1)
    assert (wide["n"], wide["right"], wide["in_box"], wide["allowed"]) == (N, int((clean == y).sum()), N, N)
    assert wide["fooled"] == int(((clean == y) & (answers != y)).sum()) > 5
    assert wide["robust"]["correct"] == int(((clean == y) & (answers == y)).sum())
    assert wide["robust"]["correct"] <= wide["robust_8bit"]["correct"] < wide["right"]
    assert wide["largest"] == pytest.approx(EPS, abs=1e-6)
    assert tight["allowed"] < N  # too large for the other threat: there they prove nothing
    assert tight["fooled"] == wide["fooled"]
    assert tight["robust"]["correct"] > wide["robust"]["correct"]


def test_what_a_reader_sees(made: Made, run: Run, model: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", "adv", made[1])
    status, out, err = run("verify", str(path), model, "--threat", f"Linf:{EPS}")
    assert status == 0, err
    assert f"{N} adversarial images" in out
    assert "in 8 bits" in out.replace("\n", " ")
    assert "robust accuracy" not in " ".join(out.split())
    assert "prove nothing" not in out
    _, out, _ = run("verify", str(path), model, "--threat", "Linf:0.01")
    assert f"{N} of {N} are not allowed in Linf:0.01 and prove nothing" in " ".join(out.split())


def test_images_outside_of_the_box_or_the_threat_break_nothing(made: Made, digits_net: torch.nn.Module) -> None:
    x, moved, y = made
    far = x + 20 * (moved - x)
    found = judge(digits_net, Linf(EPS), x, far, y)
    assert found.in_box < N
    assert found.robust.correct > judge(digits_net, Linf(EPS), x, moved, y).robust.correct
    assert judge(digits_net, Linf(EPS), x, moved, y, batch=7) == judge(digits_net, Linf(EPS), x, moved, y)


def test_arrays_are_judged_and_looked_at_as_tensors_are(made: Made, digits_net: torch.nn.Module) -> None:
    x, moved, y = made
    arrays = [one.numpy() for one in made]
    assert judge(digits_net, Linf(EPS), *arrays) == judge(digits_net, Linf(EPS), x, moved, y)
    assert torch.equal(verify(digits_net, Linf(EPS), *arrays).broken, verify(digits_net, Linf(EPS), x, moved, y).broken)
    assert doctor(digits_net, arrays[0], arrays[2]) == doctor(digits_net, x, y)


def test_images_belong_to_their_indices_and_uint8_is_scaled(made: Made) -> None:
    x, moved, y = made
    rows = torch.tensor([5, 2, 9])
    eight = (moved[rows] * 255).round().to(torch.uint8)
    clean, found, labels = adversarial_of({"Adv": eight, "indices": rows, "y": y[rows]}, None, x, y)
    assert torch.equal(clean, x[rows])
    assert torch.equal(labels, y[rows])
    assert (found - moved[rows]).abs().max() < 0.5 / 255 + 1e-6
    assert torch.equal(adversarial_of({"adv": x, "mine": moved}, "mine", x, y)[1], moved)
    with pytest.raises(BrittleError, match="there is no array 'other'"):
        adversarial_of({"adv": x}, "other", x, y)


def test_numbers_of_images_are_those_of_the_users_file(made: Made) -> None:
    x, moved, y = made
    rows = (torch.randperm(N, generator=torch.Generator().manual_seed(0)) + 100).tolist()
    in_file = torch.tensor(rows).argsort()
    some = in_file[[3, 30, 7]]
    for told in ({"indices": torch.tensor(rows)[some]}, {"indices": some, "rows_in_file": torch.tensor(rows)[some]}):
        clean, _, labels = adversarial_of({"adv": moved[some]} | told, None, x, y, rows)
        assert torch.equal(clean, x[some])
        assert torch.equal(labels, y[some])
    for order in (in_file, torch.arange(N)):  # as a file has them, and as `load` gives them
        clean, found, _ = adversarial_of({"adv": moved[order][:20]}, None, x, y, rows)
        assert torch.equal(clean, x[order][:20])
        assert torch.equal(found, moved[order][:20])
    with pytest.raises(BrittleError, match="at indices 0, 1, 2"):
        adversarial_of({"adv": moved[:3], "indices": torch.arange(3)}, None, x, y, rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: {"weights": x[0, 0, 0]}, "name it by --key"),
        (lambda x, y: {"adv": x.permute(0, 2, 3, 1)}, r"must be \[n, C, H, W\]"),
        (lambda x, y: {"adv": torch.cat([x, x])}, "80 adversarial images for 40 test images"),
        (lambda x, y: {"adv": x[:0]}, "0 adversarial images"),
        (lambda x, y: {"adv": x, "indices": torch.arange(3)}, "at indices 0, 1, 2"),
        (lambda x, y: {"adv": x, "indices": torch.zeros(40).long()}, "at indices 0, 0, 0, 0, 0, ..."),
        (lambda x, y: {"adv": x, "indices": torch.arange(40) - 1}, "at indices -1, 0"),
        (lambda x, y: {"adv": x, "indices": torch.arange(40)[:, None]}, "at indices 0, 1"),
        (lambda x, y: {"adv": x + 0j}, "not torch.complex64"),
        (lambda x, y: {"x": x, "perturbed": x}, "which of .*name it by --key"),
        (lambda x, y: {"adv": x, "labels": (y + 1) % 10}, "40 of 40 labels"),
        (lambda x, y: {"adv": x * torch.nan}, "not finite"),
    ],
)
def test_files_that_do_not_fit_are_a_line(change: object, message: str, made: Made) -> None:
    x, moved, y = made
    with pytest.raises(BrittleError, match=message):
        adversarial_of(change(moved, y), None, x, y)  # type: ignore[operator]


class Evil:
    """Unpickling it would make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.mkdir, (self.mark,))


@pytest.mark.parametrize("file", ["a.npz", "a.npy", "a.pt", "a.safetensors", "a.txt"])
def test_no_code_of_a_file_runs(file: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / file
    evil = np.array([Evil(mark)], dtype=object)
    if file == "a.npz":
        np.savez(path, adv=evil)
    elif file == "a.npy":
        np.save(path, evil)
    else:
        path.write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(BrittleError):
        read_arrays(path)
    assert not mark.exists()
    with pytest.raises(BrittleError, match="there is no file"):
        read_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("file", ["a.npz", "a.npy", "a.safetensors", "a.pt"])
def test_a_damaged_file_is_a_line(file: str, made: Made, tmp_path: Path) -> None:
    path = save(tmp_path / file, "x_adv", made[1])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BrittleError, match="cannot be read as arrays alone"):
        read_arrays(path)
