"""One entry makes a data set: what each entry says, CIFAR-100 and SVHN in their own layouts, entries of packages."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from brittle.cli.options import threats_of, usual_l2
from brittle.errors import BrittleError
from brittle.learning import (
    Augment,
    DataSpec,
    Files,
    available,
    broken_packages,
    default_augment,
    load,
    load_net,
    parse_svhn,
    register_data,
    statistics_of,
    usual_threats,
)
from brittle.learning.data import catalogue

Run = Callable[..., tuple[int, str, str]]
DERIVED = (" (D_R)", " (not the original pixels)", " (D_NR, not the original pixels)")


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No data of this machine takes part in a test, and what a test registers is forgotten after it."""
    monkeypatch.delenv("BRITTLE_DATA", raising=False)
    monkeypatch.setattr(catalogue, "_known", dict(catalogue._known))
    looked = import_module("brittle.ground.plugins").plugins
    for cached in (looked, catalogue._discover):
        cached.cache_clear()
    yield
    for cached in (looked, catalogue._discover):
        cached.cache_clear()


@contextmanager
def refuses(*words: str) -> Iterator[None]:
    """What happens inside is refused in one line that has all of these words."""
    with pytest.raises(BrittleError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


# ---------------------------------------------------------------- what the entries say


def test_every_file_that_is_downloaded_has_a_digest_and_comes_by_https_first() -> None:
    for spec in available():
        if not isinstance(spec.source, Files) or not spec.files.names:
            continue
        files = spec.files
        assert files.mirrors[0].startswith("https://")
        assert all(mirror.endswith("/") for mirror in files.mirrors)
        assert all(len(md5) == 32 for md5 in (*files.downloads.values(), *files.originals.values()))
        assert set(files.originals) in (set(files.names), set())


USUAL = {
    "digits": ("Linf:0.15", "L2:0.6", "L1:2"),
    "mnist": ("Linf:0.3", "L2:2", "L1:10"),
    "fashion-mnist": ("Linf:0.1", "L2:1", "L1:5"),
    "kmnist": ("Linf:0.3", "L2:2", "L1:10"),
    "cifar10": ("Linf:8/255", "L2:0.5", "L1:12"),
    "cifar100": ("Linf:8/255", "L2:0.5", "L1:12"),
    "svhn": ("Linf:8/255", "L2:0.5", "L1:12"),
    "cifar10.1": ("Linf:8/255", "L2:0.5", "L1:12"),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_threats_belong_to_a_data_set_and_to_what_is_made_of_it(name: str) -> None:
    for remark in ("", *DERIVED):
        assert usual_threats(name + remark) == USUAL[name]
        assert tuple(map(str, threats_of(None, name + remark))) == USUAL[name]
        assert str(usual_l2(name + remark)) == USUAL[name][1]


def test_nothing_is_usual_for_ones_own_data() -> None:
    assert usual_threats("folder:cifar10") == usual_threats("nowhere") == ()
    assert str(usual_l2("folder:cifar10")) == "L2:0.5"
    with refuses("say what to withstand on folder:cifar10", "--threat"):
        threats_of(None, "folder:cifar10")
    assert [str(one) for one in threats_of(["L2:3"], "mnist")] == ["L2:3"]
    assert statistics_of("nowhere", 2) == statistics_of("folder:cifar10", 2) == ([0.0, 0.0], [1.0, 1.0])
    assert statistics_of("restricted:some/folder (old)@64", 3)[1] == [0.26, 0.2516, 0.2575]


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]),
        ("cifar10.1", [0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]),
        ("cifar100", [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
        ("svhn", [0.4377, 0.4438, 0.4728], [0.1980, 0.2010, 0.1970]),
        ("mnist", [0.0] * 3, [1.0] * 3),
    ],
)
def test_mean_and_deviation_are_the_published_ones(name: str, mean: list[float], std: list[float]) -> None:
    for remark in ("", *DERIVED):
        assert statistics_of(name + remark, 3) == (mean, std)


def test_every_listed_set_names_its_shape_and_classes() -> None:
    rows = {spec.typed: spec for spec in available()}
    assert (rows["digits"].shape, rows["cifar100"].shape, rows["svhn"].shape) == ((1, 8, 8), (3, 32, 32), (3, 32, 32))
    assert len(rows["cifar100"].classes) == len(set(rows["cifar100"].classes)) == 100
    assert rows["cifar100"].classes == tuple(sorted(rows["cifar100"].classes))  # the publisher's order
    assert [rows["cifar100"].classes[k] for k in (0, 1, 41, 58, 99)] == [
        *("apple", "aquarium_fish", "lawn_mower", "pickup_truck", "worm")
    ]
    assert rows["svhn"].classes == tuple("0123456789")
    assert rows["folder:PATH"].shape is None


# ---------------------------------------------------------------- CIFAR-100

RECORD = 2 + 3 * 32 * 32
FINE = np.array([0, 42, 99])


def cifar100_files(count: int = 30) -> dict[str, bytes]:
    """Coarse labels that are none of the fine ones, and random pixels."""
    draw, files = np.random.default_rng(0), {}
    for name in ("train.bin", "test.bin"):
        records = draw.integers(0, 256, (count, RECORD), dtype=np.uint8)
        records[:, 0], records[:, 1] = 7, FINE[np.arange(count) % 3]
        files[name] = records.tobytes()
    return files


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def tar_of(files: dict[str, bytes], folder: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("folder", ["cifar100", "cifar100/cifar-100-binary", "cifar-100-binary", "."])
def test_cifar100_is_read_with_its_fine_labels(tmp_path: Path, folder: str) -> None:
    files = cifar100_files()
    write(tmp_path / folder, files)
    data = load("cifar100", tmp_path, download=False)
    assert (data.name, data.shape) == ("cifar100", (3, 32, 32))
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 30)
    assert data.test.labels.tolist() == FINE[np.arange(30) % 3].tolist()
    assert data.classes[int(data.test.labels[1])] == "leopard"
    record = files["test.bin"][RECORD * 4 : RECORD * 5]
    assert data.test.images[4].numpy().tobytes() == record[2:]


def test_cifar100_comes_out_of_its_archive(tmp_path: Path) -> None:
    files = cifar100_files()
    write(tmp_path / "a/cifar100", files)
    others = {"fine_label_names.txt": b"apple\n"}
    write(tmp_path / "b", {"cifar-100-binary.tar.gz": tar_of(files | others, "cifar-100-binary")})
    a, b = (load("cifar100", tmp_path / root, download=False) for root in ("a", "b"))
    assert (a.train.digest, a.test.digest) == (b.train.digest, b.test.digest)


def test_cifar100_that_is_cut_or_is_cifar10_is_refused(tmp_path: Path) -> None:
    files = cifar100_files()
    for content in (files["test.bin"][:-1], bytes(3073 * 10)):
        write(tmp_path / "cifar100", files | {"test.bin": content})
        with refuses("test.bin", "truncated", f"no multiple of {RECORD}"):
            load("cifar100", tmp_path, download=False)


# ---------------------------------------------------------------- SVHN

SVHN_LABELS = np.tile(np.arange(1, 11, dtype=np.uint8), 4)[:, None]  # 1 to 10, where 10 is the digit 0
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 40), dtype=np.uint8)


def mat(compressed: bool = True, **changed: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"X": PIXELS, "y": SVHN_LABELS} | changed, do_compression=compressed)
    return buffer.getvalue()


def write_svhn(folder: Path, **changed: bytes) -> None:
    write(folder, {f"{part}_32x32.mat": changed.get(part, mat()) for part in ("train", "test")})


@pytest.mark.parametrize("folder", ["svhn", "SVHN", "."])
@pytest.mark.parametrize("compressed", [True, False])
def test_svhn_is_read_and_its_label_ten_is_the_digit_zero(tmp_path: Path, folder: str, compressed: bool) -> None:
    write_svhn(tmp_path / folder, train=mat(compressed), test=mat(compressed))
    data = load("svhn", tmp_path, download=False)
    assert data.name == "svhn (not the original pixels)"
    assert data.shape == (3, 32, 32)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 40)
    assert data.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 4
    for k in (0, 17):
        assert np.array_equal(data.test.images[k].permute(1, 2, 0).numpy(), PIXELS[..., k])


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.target),)


def test_unfit_svhn_files_are_refused_and_run_nothing(tmp_path: Path) -> None:
    whole = mat()
    for content, words in [
        (whole[:-40], ("not a whole MATLAB 5 file",)),
        (whole[:100], ("not a whole MATLAB 5 file",)),
        (mat(compressed=False)[:-40], ("not a whole MATLAB 5 file", "truncated")),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), ("not a whole MATLAB 5 file", "header")),
        (pickle.dumps(Bomb(tmp_path / "ran")), ("not a whole MATLAB 5 file",)),
        (mat(X=PIXELS.astype(float)), ("float64 [32, 32, 3, 40]", "uint8 [H, W, 3, N]")),
        (mat(X=PIXELS.transpose(3, 0, 1, 2)), ("[40, 32, 32, 3]", "[H, W, 3, N]")),
        (mat(X=PIXELS[..., 0]), ("[32, 32, 3]",)),
        (mat(y=SVHN_LABELS.T), ("[1, 40]", "integer [N, 1]")),
        (mat(y=SVHN_LABELS[1:]), ("40 images but 39 labels",)),
        (mat(y=SVHN_LABELS + np.uint8(1)), ("label 11 is out of range",)),
    ]:
        write_svhn(tmp_path / "svhn", test=content)
        with refuses(*words):
            load("svhn", tmp_path, download=False)
    buffer = io.BytesIO()
    savemat(buffer, {"X": PIXELS})
    write_svhn(tmp_path / "svhn", train=buffer.getvalue())
    with refuses("train_32x32.mat", "'y'"):
        load("svhn", tmp_path, download=False)
    assert not (tmp_path / "ran").exists()


def test_what_else_a_matlab_file_holds_is_left_alone() -> None:
    buffer = io.BytesIO()
    others = {"a": "text", "b": {"X": PIXELS}, "c": [PIXELS, "text"], "d": 1j * np.ones((2, 2)), "e": np.eye(3)}
    savemat(buffer, others | {"y": SVHN_LABELS, "X": PIXELS, "f": np.zeros((0, 3))}, do_compression=True)
    images, labels = parse_svhn({"one": buffer.getvalue(), "two": mat()})
    assert torch.equal(images[:40], images[40:])
    assert torch.equal(labels[:40], labels[40:])
    assert np.array_equal(images[3].permute(1, 2, 0).numpy(), PIXELS[..., 3])


@pytest.mark.parametrize("compressed", [True, False])
def test_no_damage_to_a_matlab_file_does_more_than_a_refusal(compressed: bool) -> None:
    """scipy's reader ends the process on some of these."""
    whole, draw, refused = mat(compressed), np.random.default_rng(0), 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[draw.integers(120, 240)] = draw.integers(256)
        try:
            parse_svhn({"file": bytes(damaged)})
        except BrittleError:
            refused += 1
    assert refused > 100


# ---------------------------------------------------------------- entries of one's own


def stripes(_: object = None) -> tuple[torch.Tensor, torch.Tensor]:
    """120 images of 6 x 6 pixels in two colours, striped across or down."""
    labels = torch.arange(120) % 2
    down = torch.arange(6).remainder(2).mul(255).to(torch.uint8).expand(6, 6)
    images = torch.stack([down if label else down.T for label in labels.tolist()])[:, None].repeat(1, 2, 1, 1)
    images[:, 0, 0, 0] = torch.arange(120)
    return images, labels


STRIPES = DataSpec(
    "stripes",
    "striped images",
    Files(stripes),
    shape=(2, 6, 6),
    classes=("across", "down"),
    mean=(0.5, 0.25),
    std=(0.1, 0.2),
    augment=Augment(shift=1),
    threats=("L2:0.7", "Linf:0.2"),
)


def test_a_registered_set_is_like_any_other() -> None:
    register_data(STRIPES)
    register_data(STRIPES)
    data = load("stripes")
    assert (len(data.train), len(data.validation), len(data.test)) == (87, 9, 24)
    assert (data.shape, data.classes) == ((2, 6, 6), ("across", "down"))
    assert statistics_of("stripes (D_R)", 2) == ([0.5, 0.25], [0.1, 0.2])
    assert default_augment("stripes (D_R)") == Augment(shift=1)
    assert [str(threat) for threat in threats_of(None, "stripes")] == ["L2:0.7", "Linf:0.2"]
    assert str(usual_l2("stripes")) == "L2:0.7"
    assert "stripes" in [spec.typed for spec in available()]


def test_a_name_is_given_once() -> None:
    with refuses("'mnist'", "already"):
        register_data(replace(STRIPES, name="mnist"))
    assert len(load("digits").classes) == 10


def test_files_are_searched_for_every_entry_and_a_missing_digest_is_no_download(tmp_path: Path) -> None:
    parsed: list[list[str]] = []

    def parse(contents: object) -> tuple[torch.Tensor, torch.Tensor]:
        parsed.append([Path(path).name for path in contents])  # type: ignore[attr-defined]
        return stripes()

    register_data(replace(STRIPES, source=Files(parse, ("b", "a"), ("c",), folders=("here",))))
    with refuses("stripes: no b in", str(tmp_path / "here"), "no digest of it is known", "get b elsewhere"):
        load("stripes", tmp_path)
    write(tmp_path / "here", {"a": b"1", "b": b"2", "c": b"3"})
    assert len(load("stripes", tmp_path).test) == 120
    assert parsed == [["b", "a"], ["c"]]


def test_a_path_belongs_to_some_names_only() -> None:
    with refuses("'folder'", "folder:PATH"):
        load("folder")
    with refuses("'mnist:x'", "mnist"):
        load("mnist:x")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "a:b"}, ("'a:b'",)),
        ({"name": "a (b)"}, ("'a (b)'",)),
        ({"name": "a/b"}, ("'a/b'",)),
        ({"name": ""}, ("''",)),
        ({"classes": ()}, ("stripes", "classes")),
        ({"mean": (0.5,)}, ("mean and std",)),
        ({"std": ()}, ("mean and std",)),
        ({"mean": (0.5,), "std": (1.0,)}, ("mean and std",)),
    ],
)
def test_an_unfit_entry_cannot_be_made(changed: dict[str, object], words: tuple[str, ...]) -> None:
    with refuses(*words):
        replace(STRIPES, **changed)  # type: ignore[arg-type]


def test_downloads_must_give_every_file() -> None:
    assert Files(stripes, ("a", "b"), downloads={"a.gz": "0" * 32, "b": "0" * 32}).names == ("a", "b")
    assert Files(stripes, ("a",), downloads={"x.tar.gz": "0" * 32}, archive="x.tar.gz").names == ("a",)
    with refuses("a.gz do not give a, b"):
        Files(stripes, ("a", "b"), downloads={"a.gz": "0" * 32})
    with refuses("do not give a"):
        Files(stripes, ("a",), downloads={"a": "0" * 32}, archive="x.tar.gz")


# ---------------------------------------------------------------- entries of packages

MODULE = """
import torch
from brittle.learning import Augment, DataSpec, Files

def parse(contents):
    labels = torch.arange(100) % 2
    images = torch.zeros(100, 1, 6, 6, dtype=torch.uint8)
    images[labels == 1, :, :3] = 255
    return images, labels

def entry(name):
    told = {"mean": (0.25,), "std": (0.5,), "augment": Augment(1), "threats": ("L2:0.4",)}
    return DataSpec(name, "halves of an image", Files(parse), (1, 6, 6), ("dark", "bright"), **told)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package: `package("halves", "ONE = entry('halves')", "ONE")`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, code: str, value: str) -> None:
        module = name.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)
        (site / f"{module}.py").write_text(MODULE + code)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[brittle.data_sets]\n{module} = {module}:{value}\n")

    return install


Install = Callable[[str, str, str], None]


def test_an_installed_package_brings_a_data_set(package: Install) -> None:
    package("halves-data", "ONE = entry('halves')", "ONE")
    data = load("halves")
    assert (len(data.train), len(data.validation), len(data.test)) == (72, 8, 20)
    assert statistics_of("halves", 1) == ([0.25], [0.5])
    assert default_augment("halves") == Augment(shift=1)
    assert usual_threats("halves (D_R)") == ("L2:0.4",)
    assert [spec.typed for spec in available()][-1] == "halves"
    assert broken_packages() == ()


def test_a_package_may_bring_several(package: Install) -> None:
    package("many-data", "ALL = [entry('one'), entry('two')]", "ALL")
    assert [spec.typed for spec in available()][-2:] == ["one", "two"]
    assert load("two").name == "two"


def test_packages_are_imported_late_and_once(package: Install) -> None:
    package("halves-data", "ONE = entry('halves')", "ONE")
    load("digits")
    statistics_of("cifar10 (D_R)", 3)
    assert "halves_data" not in sys.modules
    load("halves")
    sys.modules.pop("halves_data")
    available()
    with refuses("'halvs'", "did you mean halves"):
        load("halvs")
    assert "halves_data" not in sys.modules


@pytest.mark.parametrize(
    ("code", "value", "words"),
    [
        ("raise RuntimeError('two\\nlines')", "ONE", ("RuntimeError", "two lines")),
        ("import no_such_module_at_all", "ONE", ("no_such_module_at_all",)),
        ("", "NOWHERE", ("NOWHERE",)),
        ("ONE = 'text'", "ONE", ("no DataSpec",)),
        ("ONE = 3", "ONE", ("int",)),
        ("ONE = entry('mnist')", "ONE", ("'mnist'", "already")),
        ("ONE = entry('a:b')", "ONE", ("'a:b'",)),
    ],
)
def test_a_broken_package_is_named_in_one_line_and_the_others_work(
    package: Install, run: Run, code: str, value: str, words: tuple[str, ...]
) -> None:
    package("broken-data", code, value)
    package("halves-data", "ONE = entry('halves')", "ONE")
    assert load("digits").name == "digits"
    assert load("halves").name == "halves"
    (line,) = broken_packages()
    assert "\n" not in line
    assert [word for word in ("broken-data", *words) if word not in line] == [], line
    with refuses("no data set is called 'other'", "broken-data", *words):
        load("other")
    status, out, err = run("data", "--json")
    assert status == 0
    assert {"mnist", "halves"} < {row["name"] for row in json.loads(out)}
    assert err == f"{line}\n"
    status, _, err = run("data", "other")
    assert status == 2
    assert len(err.splitlines()) == 1


# ---------------------------------------------------------------- the command line


def test_the_list_tells_shape_classes_and_usual_threats(run: Run) -> None:
    status, out, err = run("data", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert (status, err) == (0, "")
    assert rows["svhn"]["threats"] == ["Linf:8/255", "L2:0.5", "L1:12"]
    assert (rows["cifar100"]["shape"], rows["cifar100"]["classes"]) == ([3, 32, 32], 100)
    assert (rows["folder:PATH"]["shape"], rows["folder:PATH"]["classes"], rows["folder:PATH"]["threats"]) == (
        *(None, None, []),
    )
    assert rows["restricted:PATH"]["classes"] == 9
    text = run("data")[1]
    assert [line.split()[0] for line in text.splitlines()] == list(rows)


def test_a_package_is_used_from_the_command_line(package: Install, run: Run) -> None:
    package("halves-data", "ONE = entry('halves')", "ONE")
    status, out, _ = run("data", "halves")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["halves/train", "72", "images"],
        ["halves/validation", "8", "images"],
        ["halves/test", "20", "images"],
    ]
    status, out, err = run(
        *("train", "--data", "halves", "--net", "linear", "--epochs", "1", "--out", "net.safetensors"),
        *("--device", "cpu"),
    )
    assert status == 0, err
    status, out, err = run(
        *("audit", "net.safetensors", "--effort", "quick", "-n", "20", "--out", "one", "--json", "--device", "cpu")
    )
    record = json.loads(out)
    assert status == 0, err
    assert record["data"]["name"] == "halves/test"
    assert [one["threat"] for one in record["threats"]] == ["L2:0.4"]
    assert load_net(Path("net.safetensors"))[1]["mean"] == [0.25]
