"""The data module: every format gives the same Split, every mistake one clear line, every download the right bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from brittle.ground import BrittleError
from brittle.learning.data import Augment, Split, batches, default_augment, load, write_released
from brittle.learning.data.fetch import fetch
from brittle.learning.data.files import read_files
from brittle.learning.data.spec import DataSpec
from brittle.learning.data.unpacking import read_members
from brittle.learning.data.well_known import CIFAR10

REMARK = " (not the original pixels)"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data of this machine, and no proxy, takes part in a test."""
    monkeypatch.delenv("BRITTLE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def refuses(*words: str) -> Iterator[None]:
    """What happens inside is refused in one line that has all of these words."""
    with pytest.raises(BrittleError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


def a_part(count: int = 10, classes: int = 2) -> Split:
    images = torch.arange(count * 12, dtype=torch.uint8).reshape(count, 1, 3, 4)
    return Split(images, torch.arange(count) % classes, tuple("ab"[:classes]), "toy/train")


# ---------------------------------------------------------------- parts of a data set


def test_a_part_gives_floats_in_zero_one_that_are_exactly_the_bytes_over_255() -> None:
    part = a_part(30)
    x = part.x()
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round().to(torch.uint8), part.images)
    assert torch.equal(part.x(torch.tensor([3, 1])), part.images[[3, 1]].float() / 255)
    assert part.images.dtype == torch.uint8


def test_take_accepts_a_number_a_slice_and_indices() -> None:
    part = a_part()
    assert len(part.take(3)) == 3
    assert torch.equal(part.take(slice(2, 5)).labels, part.labels[2:5])
    assert torch.equal(part.take(torch.tensor([7, 0])).images, part.images[[7, 0]])
    with refuses("toy/train", "cannot take 11"):
        part.take(11)


def test_a_digest_follows_pixels_labels_and_shape_and_nothing_else() -> None:
    part = a_part()
    assert part.digest == part.to("cpu").digest == a_part().digest
    assert len(part.digest) == 64
    others = [
        Split(part.images.flip(0), part.labels, part.classes, part.name),
        Split(part.images, part.labels.flip(0), part.classes, part.name),
        Split(part.images.reshape(10, 1, 4, 3), part.labels, part.classes, part.name),
    ]
    assert len({part.digest, *(other.digest for other in others)}) == 4
    assert Split(part.images, part.labels, ("x", "y"), "other").digest == part.digest


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64), ("uint8", "float32")),
        (torch.zeros(2, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), ("[N, C, H, W]",)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2), ("labels must be int64",)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), ("2 images but 3 labels",)),
        (torch.zeros(1, 1, 3, 3, dtype=torch.uint8), torch.tensor([2]), ("label 2 is out of range", "0 to 1")),
        (torch.zeros(1, 1, 3, 3, dtype=torch.uint8), torch.tensor([-1]), ("label -1 is out of range",)),
    ],
)
def test_an_unfit_part_cannot_be_made(images: Tensor, labels: Tensor, words: tuple[str, ...]) -> None:
    with refuses("toy", *words):
        Split(images, labels, ("a", "b"), "toy")


# ---------------------------------------------------------------- batches


def test_batches_of_an_epoch_hold_every_index_once() -> None:
    epoch = batches(103, 25, seed=1, epoch=0)
    assert [len(batch) for batch in epoch] == [25, 25, 25, 25, 3]
    assert torch.equal(torch.cat(epoch).sort().values, torch.arange(103))


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = batches(50, 8, seed=3, epoch=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = batches(50, 8, seed=3, epoch=4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    orders = {tuple(torch.cat(batches(50, 8, seed=s, epoch=e)).tolist()) for s in range(4) for e in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("bad", [{"size": 0}, {"seed": -1}, {"epoch": -1}])
def test_batches_refuse_what_makes_no_sense(bad: dict[str, int]) -> None:
    values = {"size": 2, "seed": 0, "epoch": 0} | bad
    with refuses("batches need"):
        batches(10, values["size"], seed=values["seed"], epoch=values["epoch"])


# ---------------------------------------------------------------- digits, names, the list


def test_digits_are_at_hand_and_always_the_same() -> None:
    data = load("digits")
    assert (len(data.train), len(data.validation), len(data.test)) == (1295, 143, 359)
    assert data.shape == (1, 8, 8)
    assert int(data.train.images.min()) == 0
    assert int(data.train.images.max()) == 255
    assert data.test.labels.bincount().min() >= 34
    assert data.test.digest == "8e78c5b79106c7bf320abd9905a165ae53c4ef92a930863e189615d7b9b6bbf5"
    assert data.validation.digest == "769f3c1b73e87560b498b45d76404240496f989394cbf462478a68a84624775d"


def test_the_parts_of_a_data_set_share_no_image() -> None:
    data = load("digits")
    pixels = [{image.numpy().tobytes() for image in part.images} for part in (data.train, data.validation, data.test)]
    assert sum(map(len, pixels)) == len(set.union(*pixels)) == 1797


def test_an_unknown_name_suggests_near_ones() -> None:
    with refuses("'minst'", "did you mean mnist"):
        load("minst")
    with refuses("'CIFAR-10'", "did you mean cifar10"):
        load("CIFAR-10")
    with refuses("'qqqq'", "choose one of", "digits", "folder:PATH"):
        load("qqqq")


# ---------------------------------------------------------------- IDX: the MNIST family


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(count: int = 40) -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    labels = (np.arange(count) % 10).astype(np.uint8)
    files = {}
    for part in ("train", "t10k"):
        files[f"{part}-images-idx3-ubyte"] = idx(draw.integers(0, 256, (count, 5, 4), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(labels)
    return files


def write_idx(folder: Path, *, packed: bool = True, **changed: bytes) -> Path:
    """The four files; `changed` replaces one, by "train_images" and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in idx_files().items():
        content = changed.get("_".join(name.split("-")[:2]), content)
        if packed:
            content = content if content[:2] == b"\x1f\x8b" else gzip.compress(content)
            name += ".gz"
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_found_in_each_usual_folder(tmp_path: Path, folder: str, packed: bool) -> None:
    write_idx(tmp_path / folder, packed=packed)
    data = load("mnist", tmp_path, download=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 40)
    assert data.shape == (1, 5, 4)
    raw = np.frombuffer(idx_files()["t10k-images-idx3-ubyte"], np.uint8)[16:].reshape(40, 1, 5, 4)
    assert np.array_equal(data.test.images.numpy(), raw)
    assert data.test.labels.tolist() == list(range(10)) * 4


def test_places_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "cache/brittle/data/kmnist")
    assert load("kmnist", download=False).name == "kmnist"  # no digest of it is known
    blank = idx(np.zeros((40, 5, 4), np.uint8))
    write_idx(tmp_path / "two/kmnist", t10k_images=blank)
    monkeypatch.setenv("BRITTLE_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert not load("kmnist", download=False).test.images.any()
    write_idx(tmp_path / "mine/kmnist")
    assert load("kmnist", tmp_path / "mine", download=False).test.images.any()


def test_other_pixels_than_the_publishers_are_named_so(tmp_path: Path) -> None:
    write_idx(tmp_path / "fashion-mnist")
    data = load("fashion-mnist", tmp_path, download=False)
    assert data.name == f"fashion-mnist{REMARK}"
    assert data.test.name == f"fashion-mnist{REMARK}/test"


GOOD_IMAGES = idx_files()["train-images-idx3-ubyte"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"train_images": GOOD_IMAGES[:-7]}, ("train-images", "truncated", "809 bytes", "says 816")),
        ({"train_images": GOOD_IMAGES[:9]}, ("train-images", "truncated inside its header")),
        ({"train_images": GOOD_IMAGES + b"x"}, ("train-images", "too long")),
        ({"train_images": idx_files()["train-labels-idx1-ubyte"]}, ("magic number 00000801", "00000803")),
        ({"train_images": b""}, ("train-images", "empty")),
        ({"train_images": gzip.compress(GOOD_IMAGES)[:-20]}, ("train-images", "damaged gzip")),
        ({"train_labels": idx(np.zeros(39, np.uint8))}, ("40 images but 39 labels",)),
        ({"t10k_labels": idx(np.full(40, 11, np.uint8))}, ("mnist", "/test", "label 11 is out of range")),
        ({"t10k_images": idx(np.zeros((40, 4, 4), np.uint8))}, ("1 x 5 x 4", "1 x 4 x 4")),
        (
            {"t10k_images": idx(np.zeros((0, 5, 4), np.uint8)), "t10k_labels": idx(np.zeros(0, np.uint8))},
            ("no images in it",),
        ),
    ],
)
def test_damaged_idx_files_are_told_apart(tmp_path: Path, changed: dict[str, bytes], words: tuple[str, ...]) -> None:
    write_idx(tmp_path / "mnist", **changed)
    with refuses(*words):
        load("mnist", tmp_path, download=False)


def test_a_byte_flipped_inside_gzip_is_noticed(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(GOOD_IMAGES))
    packed[len(packed) // 2] ^= 0xFF
    write_idx(tmp_path / "mnist", train_images=bytes(packed))
    with refuses("damaged gzip", "get it again"):
        load("mnist", tmp_path, download=False)


def test_a_missing_file_is_named_with_every_place_and_a_way_to_get_it(tmp_path: Path) -> None:
    folder = write_idx(tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with refuses(
        "mnist: no t10k-labels-idx1-ubyte.gz in",
        str(tmp_path / "MNIST/raw"),
        str(tmp_path / "cache/brittle/data/mnist"),
        "switched off",
        "https://",
        f"put it into {folder}",
        "BRITTLE_DATA",
    ):
        load("mnist", tmp_path, download=False)


# ---------------------------------------------------------------- CIFAR-10


def cifar_files(count: int = 20) -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    files = {}
    for name in CIFAR10.files.names:
        records = draw.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        files[name] = records.tobytes()
    return files


def write_cifar(folder: Path, **changed: bytes) -> None:
    folder.mkdir(parents=True)
    for name, content in cifar_files().items():
        (folder / name).write_bytes(changed.get(name.removesuffix(".bin"), content))


def tar_of(files: dict[str, bytes], folder: str = "cifar-10-batches-bin") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."])
def test_cifar_is_found_in_each_usual_folder(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "data"
    write_cifar(root / folder)
    data = load("cifar10", root, download=False)
    assert data.name == f"cifar10{REMARK}"
    assert (len(data.train), len(data.validation), len(data.test)) == (90, 10, 20)
    assert data.shape == (3, 32, 32)
    assert data.classes[3] == "cat"
    record = cifar_files()["test_batch.bin"][3073 * 7 : 3073 * 8]
    assert data.test.labels[7] == record[0]
    assert data.test.images[7].numpy().tobytes() == record[1:]


def test_the_cifar_archive_gives_the_same_as_its_folder(tmp_path: Path) -> None:
    write_cifar(tmp_path / "a/cifar10")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/cifar-10-binary.tar.gz").write_bytes(tar_of(cifar_files()))
    a, b = (load("cifar10", tmp_path / root, download=False) for root in ("a", "b"))
    assert (a.train.digest, a.test.digest) == (b.train.digest, b.test.digest)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["cifar-10-binary.tar.gz"]  # nothing was unpacked


def changed_cifar(**changes: object) -> DataSpec:
    return replace(CIFAR10, source=replace(CIFAR10.files, **changes))  # type: ignore[arg-type]


def test_cifar_files_with_the_known_digests_keep_the_plain_name(tmp_path: Path) -> None:
    digests = {name: hashlib.md5(content).hexdigest() for name, content in cifar_files().items()}
    write_cifar(tmp_path / "cifar10")
    assert read_files(changed_cifar(originals=digests), tmp_path, download=False).name == "cifar10"
    digests["data_batch_3.bin"] = "0" * 32
    assert read_files(changed_cifar(originals=digests), tmp_path, download=False).name == f"cifar10{REMARK}"


def test_what_the_authors_released_is_tested_on_the_test_images_of_cifar10(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path / "data/cifar10")
    monkeypatch.setenv("BRITTLE_DATA", str(tmp_path / "data"))
    cifar = load("cifar10", download=False)
    write_released(tmp_path / "robust", cifar.train.images.flip(0), cifar.train.labels)
    made = load(f"made:{tmp_path / 'robust'}")
    assert made.name == "cifar10 (released)"
    assert made.test.digest == cifar.test.digest
    assert len(made.train) + len(made.validation) == 90


def test_damaged_cifar_files_are_told(tmp_path: Path) -> None:
    write_cifar(tmp_path / "short/cifar10", data_batch_2=b"x" * 3074)
    with refuses("data_batch_2.bin", "truncated"):
        load("cifar10", tmp_path / "short", download=False)
    files = cifar_files()
    for name, content, words in [
        ("cut", tar_of(files)[:-5000], ("damaged archive",)),
        ("no", b"not an archive", ("damaged archive",)),
        ("less", tar_of({k: v for k, v in files.items() if k != "test_batch.bin"}), ("does not hold test_batch.bin",)),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "cifar-10-binary.tar.gz").write_bytes(content)
        with refuses("cifar-10-binary.tar.gz", *words):
            load("cifar10", tmp_path / name, download=False)


def test_links_and_giants_in_an_archive_are_left_alone(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("x/one")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        giant = tarfile.TarInfo("x/two")
        giant.size = 11
        tar.addfile(giant, io.BytesIO(b"0" * 11))
    for name in ("one", "two"):
        with refuses(f"does not hold {name}"):
            read_members(archive, (name,), largest=10)


# ---------------------------------------------------------------- a folder of pictures


def write_pictures(
    root: Path,
    classes: tuple[str, ...] = ("cat", "dog"),
    each: int = 10,
    mode: str = "RGB",
    size: tuple[int, int] = (4, 6),
) -> Path:
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for k in range(each):
            Image.new(mode, size, (k + 20 * label) if mode == "L" else (k, label, 7)).save(root / name / f"{k:03}.png")
    return root


def test_a_folder_of_pictures_is_split_when_it_has_no_test_part(tmp_path: Path) -> None:
    data = load(f"folder:{write_pictures(tmp_path)}")
    assert len(data.train) + len(data.validation) + len(data.test) == 20
    assert 2 <= len(data.test) <= 8  # each picture by its own content
    assert data.shape == (3, 6, 4)
    assert data.classes == ("cat", "dog")
    assert data.test.labels.bincount().amin() > 0
    assert torch.equal(data.train.images[:, 1, 0, 0].to(torch.int64), data.train.labels)
    assert data.train.digest == load(f"folder:{tmp_path}").train.digest


def test_a_folder_with_train_and_test_keeps_them(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", mode="L")
    write_pictures(tmp_path / "test", mode="L", each=3)
    (tmp_path / "test/cat/.hidden").write_text("left alone")
    data = load(f"folder:{tmp_path}")
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 6)
    assert data.shape == (1, 6, 4)
    assert sorted(data.test.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 20, 21, 22]


def test_grey_among_colour_pictures_becomes_colour(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    Image.new("L", (4, 6), 99).save(tmp_path / "cat/grey.png")
    data = load(f"folder:{tmp_path}")
    images = torch.cat([part.images for part in (data.train, data.validation, data.test)])
    assert [99, 99, 99] in images[:, :, 0, 0].tolist()


def test_own_data_are_not_left_sorted_by_class(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", mode="L", each=20)
    write_pictures(tmp_path / "test", mode="L", each=20)
    data = load(f"folder:{tmp_path}")
    for part in (data.train, data.test):
        assert part.labels.tolist() != sorted(part.labels.tolist())
    assert load(f"folder:{tmp_path}").test.digest == data.test.digest


def test_folder_mistakes_are_told(tmp_path: Path) -> None:
    with refuses("there is no folder"):
        load(f"folder:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    with refuses("no class folders"):
        load(f"folder:{tmp_path / 'empty'}")
    with refuses("only one class folder (cat)"):
        load(f"folder:{write_pictures(tmp_path / 'one', ('cat',))}")
    (write_pictures(tmp_path / "bare") / "owl").mkdir()
    with refuses("owl", "no pictures"):
        load(f"folder:{tmp_path / 'bare'}")
    with refuses("class 'cat'", "at least 5"):
        load(f"folder:{write_pictures(tmp_path / 'few', each=1)}")
    write_pictures(tmp_path / "half/train")
    write_pictures(tmp_path / "half/test", ("cat", "cow"))
    with refuses("class 'cow'"):
        load(f"folder:{tmp_path / 'half'}")


def test_a_class_may_be_missing_or_empty_in_the_test_part_and_labels_keep_the_numbers_of_train(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", ("benign", "melanoma", "naevus"))
    write_pictures(tmp_path / "test", ("naevus",), each=3)
    (tmp_path / "test/melanoma").mkdir()
    data = load(f"folder:{tmp_path}")
    assert (data.classes, data.test.labels.tolist()) == (("benign", "melanoma", "naevus"), [2, 2, 2])
    for picture in (tmp_path / "test/naevus").iterdir():
        picture.unlink()
    with refuses(f"{tmp_path / 'test'}: no pictures"):
        load(f"folder:{tmp_path}")


def test_files_that_are_no_pictures_by_their_ending_are_left_out_beside_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "test", each=3)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "test/cat" / name).write_text("not a picture")
    assert len(load(f"folder:{tmp_path}").test) == 6
    for picture in (tmp_path / "test").rglob("*.png"):
        picture.rename(picture.with_suffix(""))
    with refuses("Thumbs.db", "not a picture"):
        load(f"folder:{tmp_path}")
    (tmp_path / "test/cat/Thumbs.db").unlink()
    (tmp_path / "test/cat/desktop.ini").unlink()
    assert len(load(f"folder:{tmp_path}").test) == 6


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("training", "testing"), ("train", "dev")])
def test_parts_may_be_called_as_is_usual(train: str, test: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / train)
    write_pictures(tmp_path / test, each=3)
    data = load(f"folder:{tmp_path}")
    assert (data.classes, len(data.test), len(data.train)) == (("cat", "dog"), 6, 18)


def test_what_could_be_the_test_part_is_not_left_out_silently(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train")
    write_pictures(tmp_path / "held-out", each=3)
    with refuses("held-out", "call it test"):
        load(f"folder:{tmp_path}")


def test_classes_may_be_called_as_parts_are(tmp_path: Path) -> None:
    assert load(f"folder:{write_pictures(tmp_path, ('Bus', 'Train', 'dev'))}").classes == ("Bus", "Train", "dev")


def test_parts_that_differ_in_capitals_alone_are_told(tmp_path: Path) -> None:
    write_pictures(tmp_path / "test")
    write_pictures(tmp_path / "Test")
    with refuses("Test, test", "capitals"):
        load(f"folder:{tmp_path}")


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (write_pictures(tmp_path) / "cat/.#lock").symlink_to(tmp_path / "nobody")
    load(f"folder:{tmp_path}")
    (tmp_path / "cat/lost.png").symlink_to(tmp_path / "nowhere.png")
    with refuses("cat/lost.png", "a link to nothing"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("names", "said"),
    [(("0", "1", "3"), "folder 3 is class number 2"), (tuple(map(str, range(11))), "folder 10 is class number 2")],
)
def test_folders_called_by_numbers_that_are_not_their_places_are_told(
    names: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "test", names, each=2)
    with pytest.warns(UserWarning, match=said):
        assert load(f"folder:{tmp_path}").classes == tuple(sorted(names))


def test_pictures_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "sizes")
    Image.new("RGB", (5, 6)).save(tmp_path / "sizes/dog/big.png")
    with refuses("dog/big.png", "5 x 6", "4 x 6", "one size"):
        load(f"folder:{tmp_path / 'sizes'}")
    write_pictures(tmp_path / "notes")
    (tmp_path / "notes/cat/note.png").write_text("not a picture")
    with refuses("cat/note.png", "not a picture"):
        load(f"folder:{tmp_path / 'notes'}")
    write_pictures(tmp_path / "deep")
    Image.fromarray(np.zeros((6, 4), np.uint16)).save(tmp_path / "deep/cat/deep.png")
    with refuses("deep.png", "mode I;16", "8-bit"):
        load(f"folder:{tmp_path / 'deep'}")


# ---------------------------------------------------------------- a safetensors file


def write_tensors(path: Path, metadata: dict[str, str] | None = None, **changed: Tensor | None) -> str:
    images = torch.arange(40 * 12, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(40, 1, 3, 4)
    tensors = {"images": images, "labels": torch.arange(40) % 4} | changed
    save_file({key: value for key, value in tensors.items() if value is not None}, path, metadata)
    return f"tensors:{path}"


def test_a_tensors_file_is_split_and_numbers_its_classes(tmp_path: Path) -> None:
    data = load(write_tensors(tmp_path / "t.safetensors"))
    assert len(data.train) + len(data.validation) + len(data.test) == 40
    assert 4 <= len(data.test) <= 14  # each image by its own content
    assert data.classes == ("0", "1", "2", "3")


def test_a_tensors_file_may_name_classes_and_bring_its_test_part(tmp_path: Path) -> None:
    test_images = torch.randint(0, 256, (5, 1, 3, 4)).double() / 255
    name = write_tensors(
        tmp_path / "t.safetensors",
        {"classes": json.dumps(["a", "b", "c", "d", "e"])},
        test_images=test_images,
        test_labels=torch.full((5,), 4),
    )
    data = load(name)
    assert data.classes == tuple("abcde")
    expected = (test_images.float() * 255).round().to(torch.uint8)
    assert sorted(data.test.images.tolist()) == sorted(expected.tolist())
    assert len(data.train) == 36


FLOATS = torch.full((40, 1, 3, 4), 0.5)
LABELS = torch.arange(40) % 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": None}, ("no 'labels'", "['images']")),
        ({"test_images": FLOATS}, ("no 'test_labels'",)),
        ({"images": torch.zeros(40, 1, 3, 4, dtype=torch.int32)}, ("uint8", "int32")),
        ({"images": torch.zeros(40, 12, dtype=torch.uint8)}, ("[N, C, H, W]", "[40, 12]")),
        ({"labels": LABELS.float()}, ("labels must be int64", "float32")),
        ({"labels": LABELS[:-1]}, ("40 images but 39 labels",)),
        ({"labels": LABELS - 1}, ("label -1 is out of range",)),
        ({"labels": LABELS + 10**12}, ("label 1000000000000 is out of range",)),
        ({"labels": LABELS * 0}, ("40 images of 1 classes",)),
        ({"images": FLOATS * 3}, ("1.5 to 1.5", "[0, 1]")),
        ({"images": FLOATS - 1}, ("-0.5 to -0.5", "[0, 1]")),
        ({"images": FLOATS * float("inf")}, ("inf to inf", "[0, 1]")),
        ({"images": FLOATS.index_fill(0, torch.tensor([3]), float("nan"))}, ("NaN",)),
        ({"images": torch.zeros(0, 1, 3, 4), "labels": LABELS[:0]}, ("0 images",)),
    ],
)
def test_unfit_tensors_are_refused(tmp_path: Path, changed: dict[str, Tensor | None], words: tuple[str, ...]) -> None:
    with refuses("t.safetensors", *words):
        load(write_tensors(tmp_path / "t.safetensors", **changed))


def test_a_file_that_is_no_tensors_file_is_refused(tmp_path: Path) -> None:
    with refuses("there is no file"):
        load(f"tensors:{tmp_path / 'none.safetensors'}")
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04 a pickle, say")
    with refuses("not a safetensors file"):
        load(f"tensors:{tmp_path / 'x.safetensors'}")
    with refuses("JSON list", "'cat'"):
        load(write_tensors(tmp_path / "t.safetensors", {"classes": "cat"}))


# ---------------------------------------------------------------- downloads


class Mirror(BaseHTTPRequestHandler):
    """Serves `content`; cuts every reply after `cut` bytes; knows ranges or not; answers `status` if it is an error."""

    content = b""
    cut: int | None = None
    ranges = True
    status = 200
    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Range"])
        wanted = self.headers["Range"] if self.ranges else None
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if self.status != 200 or start >= len(self.content):
            self.send_error(self.status if self.status != 200 else 416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start:][: self.cut])

    def log_message(self, *_: object) -> None:
        pass


Serve = Callable[..., tuple[str, list[str | None]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a mirror on this machine: (its address, the ranges it was asked for)."""
    servers: list[ThreadingHTTPServer] = []

    def start(content: bytes, **behaviour: object) -> tuple[str, list[str | None]]:
        asked: list[str | None] = []
        handler = type("ThisMirror", (Mirror,), {"content": content, "asked": asked, **behaviour})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


CONTENT = np.random.default_rng(0).bytes(1_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


def test_a_download_arrives_whole_and_tells_its_progress(tmp_path: Path, serve: Serve) -> None:
    told: list[tuple[str, int, int | None]] = []
    url, _ = serve(CONTENT)
    fetch([url], tmp_path / "deep/file", MD5, lambda *progress: told.append(progress))
    assert (tmp_path / "deep/file").read_bytes() == CONTENT
    assert told[-1] == ("file", len(CONTENT), len(CONTENT))
    assert not list(tmp_path.glob("**/*.part"))


def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path, serve: Serve) -> None:
    url, asked = serve(CONTENT, cut=400_000)
    fetch([url], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert asked == [None, "bytes=400000-", "bytes=800000-"]


def test_a_later_call_goes_on_from_the_part_file(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:700_000])
    url, asked = serve(CONTENT)
    fetch([url], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert asked == ["bytes=700000-"]


@pytest.mark.parametrize("stale", [b"another file", CONTENT + b"and more", CONTENT])
def test_a_stale_part_file_does_no_harm(tmp_path: Path, serve: Serve, stale: bytes) -> None:
    (tmp_path / "file.part").write_bytes(stale)
    url, _ = serve(CONTENT)
    fetch([url], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_mirror_without_ranges_begins_anew(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:700_000])
    url, _ = serve(CONTENT, ranges=False)
    fetch([url], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_next_mirror_is_asked_when_one_fails(tmp_path: Path, serve: Serve) -> None:
    missing, wrong, good = serve(b"", status=404), serve(CONTENT[::-1]), serve(CONTENT)
    fetch([missing[0], wrong[0], good[0]], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(wrong[1]) == 1  # the wrong file was not fetched twice


def test_no_mirror_means_no_file_and_every_reason(tmp_path: Path, serve: Serve) -> None:
    urls = [serve(b"", status=404)[0], serve(CONTENT[::-1])[0], serve(CONTENT, cut=9, ranges=False)[0]]
    with refuses(f"{urls[0]}: HTTP Error 404", f"{urls[1]}: the file has the wrong digest", "cut after 9 of 1000000"):
        fetch(urls, tmp_path / "file", MD5)
    assert not (tmp_path / "file").exists()


def test_a_mirror_that_cuts_and_lies_is_given_up(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "file.part").write_bytes(b"stale")
    url, asked = serve(CONTENT[::-1], cut=400_000)
    with refuses("wrong digest"):
        fetch([url], tmp_path / "file", MD5)
    assert len(asked) <= 6
    assert not (tmp_path / "file.part").exists()


def test_of_two_that_ask_at_once_one_fetches(tmp_path: Path, serve: Serve) -> None:
    url, asked = serve(CONTENT)
    both = [threading.Thread(target=fetch, args=([url], tmp_path / "file", MD5)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(asked) == 1


def test_a_file_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    fetch(["http://127.0.0.1:9/"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file where a folder should be")
    with refuses("cannot write", "another folder"):
        fetch(["http://127.0.0.1:9/"], tmp_path / "taken/file", MD5)


def test_what_is_missing_is_downloaded_and_offline_says_how_to_get_it(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tar_of(cifar_files())
    url, asked = serve(archive)
    downloads = {"cifar-10-binary.tar.gz": hashlib.md5(archive).hexdigest()}
    online = changed_cifar(mirrors=(url,), downloads=downloads)
    assert len(read_files(online).test) == 20
    assert (tmp_path / "cache/brittle/data/cifar10/cifar-10-binary.tar.gz").read_bytes() == archive
    assert len(read_files(online).test) == 20
    assert len(asked) == 1
    offline = changed_cifar(mirrors=("http://127.0.0.1:9/",), downloads=downloads)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with refuses("cifar10: no cifar-10-binary.tar.gz in", str(tmp_path / "other"), "refused", "put it into"):
        read_files(offline)


# ---------------------------------------------------------------- augmentation


def by_hand(image: Tensor, down: int, right: int, mirrored: bool) -> Tensor:
    """One image, mirrored and then moved with zeros coming in."""
    image = image.flip(-1) if mirrored else image
    height, width = image.shape[1:]
    out = torch.zeros_like(image)
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[:, i, j] = image[:, i - down, j - right]
    return out


@pytest.mark.parametrize("augment", [Augment(shift=2), Augment(flip=True), Augment(shift=1, flip=True)])
def test_each_image_is_some_shift_and_flip_and_all_of_them_occur(augment: Augment) -> None:
    image = torch.rand(2, 4, 5) + 0.1
    out = augment(image.expand(600, -1, -1, -1), seed=0)
    moves = range(-augment.shift, augment.shift + 1)
    allowed = torch.stack(
        [by_hand(image, a, b, m) for a in moves for b in moves for m in ([False, True] if augment.flip else [False])]
    )
    distance = (out[:, None] - allowed[None]).abs().flatten(2).amax(-1)
    assert (distance.min(1).values == 0).all()
    assert distance.argmin(1).bincount(minlength=len(allowed)).min() > 0


def test_the_same_seed_gives_the_same_bytes_and_the_global_generator_stays() -> None:
    x, augment = torch.rand(16, 3, 8, 6), Augment(shift=2, flip=True)
    before = torch.get_rng_state()
    assert torch.equal(augment(x, 5), augment(x, 5))
    assert not torch.equal(augment(x, 5), augment(x, 6))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_augmentation_is_the_batch_itself() -> None:
    x = torch.rand(2, 1, 4, 4)
    assert Augment()(x, 0) is x
    with refuses("shift must be"):
        Augment(shift=-1)


def test_photographs_are_shifted_and_mirrored_and_digits_are_not() -> None:
    for name in ("cifar10", "cifar100"):
        assert default_augment(name) == default_augment(f"{name}{REMARK}") == Augment(shift=4, flip=True)
    assert {default_augment(name) for name in ("digits", "mnist", "fashion-mnist", "kmnist", "svhn")} == {Augment()}
    assert default_augment("folder:/x") == Augment()
