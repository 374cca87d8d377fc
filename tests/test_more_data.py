"""Restricted ImageNet, CIFAR-10.1 and the release of Ilyas et al.: read right, and every mistake one clear line."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, from_file

from brittle.ground import BrittleError, images
from brittle.learning import available, load, read_released, write_released
from brittle.learning.data import pictures
from brittle.learning.data.imagenet import RANGES


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data of this machine takes part in a test."""
    monkeypatch.delenv("BRITTLE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@contextmanager
def refuses(*words: str) -> Iterator[None]:
    """What happens inside is refused in one line that has all of these words."""
    with pytest.raises(BrittleError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.target),)


# ---------------------------------------------------------------- Restricted ImageNet

IDS = [f"n{10 * k:08d}" for k in range(1000)]
KEPT = {
    "dog": (151, 268),
    "cat": (281,),
    "frog": (32,),
    "turtle": (33,),
    "insect": (319,),
}  # some classes, at ends of ranges


def write_imagenet(root: Path, each: int = 8, listed: bool = True) -> Path:
    """Grey pictures of many sizes, as bright as their class index modulo 251, in some folders, two of them of no
    super-class."""
    for part in ("train", "val"):
        for index in (0, 399, *(index for group in KEPT.values() for index in group)):
            folder = root / part / IDS[index]
            folder.mkdir(parents=True)
            for k in range(each):
                Image.new("RGB", (12 + k, 30 - 2 * k), (index % 251,) * 3).save(folder / f"{k}.png")
    if listed:
        (root / "classes.txt").write_text("".join(f"{identity} name, other name\n" for identity in IDS))
    return root


def test_nine_super_classes_are_cut_out_of_imagenet_by_index(tmp_path: Path) -> None:
    data = load(f"restricted:{write_imagenet(tmp_path)}@8")
    assert data.classes == ("dog", "cat", "frog", "turtle", "bird", "primate", "fish", "crab", "insect")
    assert data.shape == (3, 8, 8)
    assert (len(data.train), len(data.validation), len(data.test)) == (43, 5, 48)
    names = {index % 251: name for name, group in KEPT.items() for index in group}
    for part in (data.train, data.validation, data.test):
        assert [names[int(image[0, 0, 0])] for image in part.images] == [data.classes[label] for label in part.labels]
        assert all(image.min() == image.max() for image in part.images)
    assert data.test.labels.bincount(minlength=9).tolist() == [16, 8, 8, 8, 0, 0, 0, 0, 8]
    assert data.test.labels.tolist() != sorted(data.test.labels.tolist())
    assert load(f"restricted:{tmp_path}@8").train.digest == data.train.digest


def test_the_ranges_have_the_published_numbers_of_classes() -> None:
    sizes = [last - first + 1 for first, last in RANGES.values()]
    assert sizes == [118, 5, 3, 5, 21, 18, 9, 4, 20]
    spec = next(spec for spec in available() if spec.typed == "restricted:PATH")
    assert len(spec.classes) == 9


def test_all_thousand_folders_need_no_list(tmp_path: Path) -> None:
    write_imagenet(tmp_path, listed=False)
    with refuses(str(tmp_path / "train"), "8 class folders", "1,000", "classes.txt"):
        load(f"restricted:{tmp_path}")
    for part in ("train", "val"):
        for identity in IDS:
            (tmp_path / part / identity).mkdir(exist_ok=True)
    without = load(f"restricted:{tmp_path}@8")
    (tmp_path / "classes.txt").write_text("\n".join(IDS))
    assert without.train.digest == load(f"restricted:{tmp_path}@8").train.digest
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "val" / IDS[5]).rename(tmp_path / "val/n99999999")
    with refuses("'n99999999'", "none of the classes", str(tmp_path / "train")):
        load(f"restricted:{tmp_path}")


@pytest.mark.parametrize("size", [(300, 400), (700, 260), (100, 90)])
def test_a_picture_is_resized_to_256_and_its_centre_of_224_cut_out(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    Image.fromarray(np.stack([across, down, 255 - across], -1).round().astype(np.uint8)).save(tmp_path / "p.png")
    (read,) = pictures.Pictures.of([tmp_path / "p.png"], 224, "RGB").read()
    pixels = read.permute(1, 2, 0).numpy().astype(float)
    assert pixels.shape == (224, 224, 3)
    for axis, length in ((1, width), (0, height)):
        scaled = math.floor(256 * length / min(size))
        place = round((scaled - 224) / 2) + np.arange(224)
        expected = 255 * np.clip((place + 0.5) * length / scaled - 0.5, 0, length - 1) / (length - 1)
        seen = pixels[112, :, 0] if axis == 1 else pixels[:, 112, 1]
        assert np.abs(seen - expected).max() < 1.6  # half a grey level here and there
    assert np.abs(pixels[..., 0] + pixels[..., 2] - 255).max() <= 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_every_kind_become_colour(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (20, 30), "white").convert(mode).save(tmp_path / ("p.jpg" if mode == "CMYK" else "p.png"))
    assert (pictures.Pictures.of(list(tmp_path.iterdir()), 16, "RGB").read() == 255).all()


def test_pictures_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    data = load(f"restricted:{write_imagenet(tmp_path)}@8")
    for file in (tmp_path / "train").rglob("*.png"):
        file.write_text("not a picture")
    assert data.test.take(5).images.shape == (5, 3, 8, 8)
    (tmp_path / data.test.files[4]).write_text("not a picture")
    assert torch.equal(data.test.x(slice(4)), data.test.take(4).x())
    with refuses(data.test.files[4], "not a picture"):
        data.test.take(5).x()
    with refuses("not a picture"):
        _ = data.train.images


def test_pictures_are_known_by_what_is_in_their_files(tmp_path: Path) -> None:
    (first, again) = (load(f"restricted:{write_imagenet(tmp_path / name)}@8").test for name in "ab")
    assert first.digest == again.digest != load(f"restricted:{tmp_path / 'a'}@9").test.digest
    assert first.take(3).digest == again.take(slice(3)).digest
    Image.new("RGB", (20, 20), "red").save(tmp_path / "b" / again.files[7])
    changed = load(f"restricted:{tmp_path / 'b'}@8").test
    assert changed.digest != first.digest
    assert changed.take(7).digest == first.take(7).digest


def test_a_picture_that_changes_after_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    test = load(f"restricted:{write_imagenet(tmp_path)}@8").test
    digest = test.digest
    assert test.take(3).to("cpu").digest == test.take(3).digest
    Image.new("RGB", (1, 1)).save(tmp_path / test.files[2])
    assert test.take(2).images.shape == (2, 3, 8, 8)
    with refuses(test.files[2], "has changed"):
        _ = test.take(3).images
    assert load(f"restricted:{tmp_path}@8").test.digest != digest


def test_what_memory_does_not_hold_lies_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(f"restricted:{write_imagenet(tmp_path)}@8")
    expected = data.test.images
    monkeypatch.setattr(images, "free_memory", lambda _: 1000)
    monkeypatch.setattr(images, "SMALL", 0)
    seen = []
    monkeypatch.setattr(torch, "from_file", lambda *a, **k: seen.append(k["size"]) or from_file(*a, **k))
    again = load(f"restricted:{tmp_path}@8").test
    assert torch.equal(again.images, expected)
    assert torch.equal(torch.from_numpy(again.images[[3, 1]].numpy()), expected[[3, 1]])
    assert seen == [expected.numel()]
    assert list((tmp_path / "cache/brittle").iterdir()) == []  # it has no name
    monkeypatch.setattr(os, "posix_fallocate", full)
    with refuses("memory are free", "No space left", "XDG_CACHE_HOME"):
        _ = load(f"restricted:{tmp_path}@8").test.images


def full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_mistakes_in_an_imagenet_folder_are_told(tmp_path: Path) -> None:
    with refuses("there is no folder", "train/ and val/"):
        load(f"restricted:{tmp_path}")
    write_imagenet(tmp_path)
    with refuses("at least 1, not 0"):
        load(f"restricted:{tmp_path}@0")
    (tmp_path / "train/dogs").mkdir()
    with refuses("'dogs'", "classes.txt", "WordNet"):
        load(f"restricted:{tmp_path}")
    (tmp_path / "train/dogs").rmdir()
    (tmp_path / "classes.txt").write_text("\n".join([*IDS[:-1], IDS[0]]))
    with refuses("classes.txt", "999 different ids in 1000 lines"):
        load(f"restricted:{tmp_path}")
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\x00")
    with refuses("classes.txt", "not a text file"):
        load(f"restricted:{tmp_path}")
    (tmp_path / "classes.txt").write_text("\n".join(IDS))
    deep = tmp_path / "train" / IDS[319] / "deep.png"
    Image.fromarray(np.zeros((6, 4), np.uint16)).save(deep)
    data = load(f"restricted:{tmp_path}@8")
    with refuses("deep.png", "mode I;16", "8-bit"):
        _ = data.train.images, data.validation.images
    deep.unlink()
    for picture in (tmp_path / "val").glob("*/*"):
        picture.unlink()
    with refuses(str(tmp_path / "val"), "no picture of dog, cat"):
        load(f"restricted:{tmp_path}@8")


# ---------------------------------------------------------------- CIFAR-10.1


def write_cifar(folder: Path, version: str = "v6", **changed: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    count = {"v6": 2000, "v4": 2021}[version]
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    arrays = {"data": images, "labels": (np.arange(count) % 10).astype(np.int32)} | changed
    for what, array in arrays.items():
        np.save(folder / f"cifar10.1_{version}_{what}.npy", array)
    return folder


@pytest.mark.parametrize("folder", ["data/cifar10.1", "data", "listed/cifar10.1", "cache/brittle/data/cifar10.1"])
def test_the_new_test_images_are_found_where_data_sets_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    write_cifar(tmp_path / folder)
    monkeypatch.setenv("BRITTLE_DATA", str(tmp_path / "listed"))
    data = load("cifar10.1", tmp_path / "data")
    stored = np.load(tmp_path / folder / "cifar10.1_v6_data.npy")
    assert data.test.images.shape == (2000, 3, 32, 32)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), stored)
    assert data.test.labels[:12].tolist() == [*range(10), 0, 1]
    assert data.classes[3] == "cat"
    assert data.test.name == "cifar10.1/test"
    assert (len(data.train), len(data.validation)) == (0, 0)


def test_the_other_version_is_asked_for_by_name(tmp_path: Path) -> None:
    write_cifar(tmp_path, "v4")
    assert len(load("cifar10.1-v4", tmp_path).test) == 2021
    with refuses("'cifar10.1-v5'", "cifar10.1-v4"):
        load("cifar10.1-v5", tmp_path)


def test_absent_test_images_are_told_with_every_place_and_a_way_to_get_them(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    (tmp_path / "cifar10.1_v6_labels.npy").unlink()
    with refuses(
        *("no cifar10.1_v6_labels.npy in", str(tmp_path / "cache/brittle/data/cifar10.1"), "no digest of it is known"),
        *("github.com/modestyachts/CIFAR-10.1/", f"put it into {tmp_path / 'cifar10.1'}", "BRITTLE_DATA"),
    ):
        load("cifar10.1", tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": np.zeros((2000, 32, 32), np.uint8)}, ("data.npy", "[2000, 32, 32]", "uint8 [N, H, W, C]")),
        ({"data": np.zeros((2000, 3, 32, 32), np.float32)}, ("data.npy", "float32")),
        ({"labels": np.zeros(1999, np.int64)}, ("2000 images but 1999 labels",)),
        ({"labels": np.zeros((2000, 1), np.int64)}, ("labels.npy", "[2000, 1]", "integer [N]")),
        ({"labels": np.zeros(2000)}, ("labels.npy", "float64")),
        ({"labels": np.full(2000, 10)}, ("label 10 is out of range",)),
    ],
)
def test_unfit_new_test_images_are_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], words: tuple[str, ...]
) -> None:
    write_cifar(tmp_path, **changed)
    with refuses(*words):
        load("cifar10.1", tmp_path)


def test_damaged_or_pickled_arrays_are_refused_and_run_nothing(tmp_path: Path) -> None:
    labels = write_cifar(tmp_path) / "cifar10.1_v6_labels.npy"
    whole = labels.read_bytes()
    for content in (b"\x93NUMPY", whole[:-3], b"PK\x03\x04 an archive", pickle.dumps(Bomb(tmp_path / "ran"))):
        labels.write_bytes(content)
        with refuses("labels.npy", "not a whole .npy file"):
            load("cifar10.1", tmp_path)
    labels.write_bytes(b"")
    with refuses("labels.npy", "empty"):
        load("cifar10.1", tmp_path)
    np.save(labels, np.array([Bomb(tmp_path / "ran")] * 2000, dtype=object))
    with refuses("labels.npy", "not a whole .npy file"):
        load("cifar10.1", tmp_path)
    assert not (tmp_path / "ran").exists()


# ---------------------------------------------------------------- the release of Ilyas et al.

PIXELS = torch.arange(6 * 3 * 32 * 32).remainder(256).to(torch.uint8).reshape(6, 3, 32, 32)
LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def test_a_written_release_comes_back_to_the_same_bytes(tmp_path: Path) -> None:
    write_released(tmp_path / "deep/robust", PIXELS, LABELS)
    images, labels = read_released("mine", tmp_path / "deep/robust")
    assert torch.equal(images, PIXELS)
    assert torch.equal(labels, LABELS)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert sorted(file.name for file in (tmp_path / "deep/robust").iterdir()) == ["CIFAR_ims", "CIFAR_lab"]


def test_a_written_release_opens_with_the_two_lines_of_its_authors(tmp_path: Path) -> None:
    write_released(tmp_path, PIXELS, LABELS, prefix="MINE")
    images, labels = (torch.cat(torch.load(tmp_path / f"MINE_{what}", weights_only=True)) for what in ("ims", "lab"))
    assert images.dtype == torch.float32
    assert torch.equal(images, PIXELS.float() / 255)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize("zipped", [True, False])
def test_batches_in_a_list_are_joined_in_both_formats_of_torch(tmp_path: Path, zipped: bool) -> None:
    floats = (PIXELS.double() / 255).requires_grad_()
    torch.save([floats[:4], floats[4:]], tmp_path / "X_ims", _use_new_zipfile_serialization=zipped)
    torch.save((LABELS[:4].int(), LABELS[4:].int()), tmp_path / "X_lab", _use_new_zipfile_serialization=zipped)
    images, labels = read_released("mine", tmp_path)
    assert torch.equal(images, PIXELS)
    assert torch.equal(labels, LABELS)
    assert not images.requires_grad


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_malicious_release_is_refused_and_nothing_runs(tmp_path: Path, how: str) -> None:
    write_released(tmp_path, PIXELS, LABELS)
    with (tmp_path / "CIFAR_ims").open("wb") as file:
        if how == "torch":
            torch.save([PIXELS.float() / 255, Bomb(tmp_path / "ran")], file)
        else:
            pickle.dump(Bomb(tmp_path / "ran"), file)
    with refuses("CIFAR_ims", "nothing pickled is run"):
        read_released("mine", tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (PIXELS.float(), LABELS, ("CIFAR_ims", "0 to 255", "[0, 1]")),
        (PIXELS / 255 * float("nan"), LABELS, ("CIFAR_ims", "NaN")),
        (PIXELS[0], LABELS, ("CIFAR_ims", "[N, C, H, W]", "[3, 32, 32]")),
        (PIXELS.int(), LABELS, ("CIFAR_ims", "int32")),
        (PIXELS, LABELS[1:], ("6 images but 5 labels",)),
        (PIXELS, LABELS.float(), ("CIFAR_lab", "whole numbers")),
        (PIXELS, LABELS[:, None], ("CIFAR_lab", "[6, 1]")),
        ([PIXELS, PIXELS[:, :1]], LABELS, ("CIFAR_ims", "do not fit together")),
        ([PIXELS, "text"], LABELS, ("CIFAR_ims", "list of tensors")),
        ({"images": PIXELS}, LABELS, ("CIFAR_ims", "dict")),
        ([], LABELS, ("CIFAR_ims", "list of tensors")),
    ],
)
def test_unfit_releases_are_refused(tmp_path: Path, images: object, labels: Tensor, words: tuple[str, ...]) -> None:
    torch.save(images, tmp_path / "CIFAR_ims")
    torch.save(labels, tmp_path / "CIFAR_lab")
    with refuses(*words):
        read_released("mine", tmp_path)


def test_a_folder_without_one_pair_is_refused(tmp_path: Path) -> None:
    with refuses("mine", "there is no folder"):
        read_released("mine", tmp_path / "none")
    with refuses("mine", "no file", "NAME_ims", str(tmp_path)):
        read_released("mine", tmp_path)
    write_released(tmp_path, PIXELS, LABELS)
    (tmp_path / "CIFAR_lab").rename(tmp_path / "OTHER_lab")
    with refuses("CIFAR_ims has no CIFAR_lab"):
        read_released("mine", tmp_path)
    write_released(tmp_path, PIXELS, LABELS, prefix="OTHER")
    with refuses("2 files", "one pair"):
        read_released("mine", tmp_path)


def test_what_cannot_be_released_is_refused(tmp_path: Path) -> None:
    with refuses("uint8 [N, C, H, W]", "float32"):
        write_released(tmp_path, PIXELS.float(), LABELS)
    with refuses("int64 [N]", "[5]"):
        write_released(tmp_path, PIXELS, LABELS[1:])
    for prefix in ("", "a/b"):
        with refuses("file name"):
            write_released(tmp_path, PIXELS, LABELS, prefix=prefix)
    assert not list(tmp_path.iterdir())
