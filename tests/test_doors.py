"""Models and data as users have them: each works in one line, or gives one line that says how."""

import json
import pickle
import shlex
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import brittle
import own_models
from brittle.audits import Journal
from brittle.learning import Inputs, Split, digest_of_code, examples_of, load, load_model, save_tensors
from brittle.studies import DataSource, File
from conftest import Run

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

AUDIT = "--data npz:some.npz --effort smoke --threat L2:1 --out out"

MODELS: dict[str, tuple[str, str]] = {  # what it is -> the arguments, and what is said ("": the audit ends)
    "a class": ("own:Net", ""),
    "an instance": ("own:instance", ""),
    "a function that makes one": ("own:factory", ""),
    "a function of images": ("own:function", ""),
    "an object that is called": ("own:Callable", ""),
    "nn.Sequential": ("own:sequential", ""),
    "left in train mode": ("own:training", ""),
    "DataParallel": ("own:parallel", ""),
    "float64 inside": ("own:double", ""),
    "bfloat16 inside": ("own:half", ""),
    "a dict of logits": ("own:as_dict", ""),
    "an object with logits": ("own:as_object", ""),
    "a tuple": ("own:as_tuple", "wrap it so that it does"),
    "one logit": ("own:one_logit --data npz:two.npz", ""),
    "two classes": ("own:two_classes --data npz:two.npz", ""),
    "too few classes": ("own:two_classes", "has 2 classes"),
    "a thousand classes": ("own:thousand", ""),
    "a detector": ("own:eleven --reject 10", ""),
    "a class in the midst": ("own:sequential --reject 3", "9 classes beside the one that rejects"),
    "channels last, in small letters": ("own:ChannelsLast --layout nhwc", ""),
    "a class that is not there": ("own:two_classes --data npz:two.npz --reject 5", "none of 2"),
    "classes alone": ("own:only_classes", ""),
    "probabilities": ("own:probabilities", ""),
    "log-probabilities": ("own:log_probabilities", ""),
    "logits of ten thousand": ("own:hot", ""),
    "random": ("own:Random", ""),
    "without a gradient": ("own:detached", ""),
    "more than tensors in its state": ("own:Beside", ""),
    "without a backward pass": ("own:backless", ""),
    "a backward pass that fails": ("own:backfires", ""),
    "rounding, passed straight": ("own:Rounds --bpda step", ""),
    "rounding, of normalised images": ("own:Rounds --bpda step --preprocess 0.1,0.9", ""),
    "0 to 255": ("own:wants_bytes --input-range 0,255", ""),
    "-1 to 1": ("own:wants_signed --input-range=-1,1", ""),
    "normalised": ("own:wants_normalised --preprocess 0.1307,0.3081", ""),
    "normalised as MNIST": ("own:wants_normalised --preprocess mnist", ""),
    "normalised in 0 to 255": ("own:wants_normalised --input-range 0,255 --preprocess 33.3,78.6", ""),
    "channels last": ("own:ChannelsLast --layout NHWC", ""),
    "channels last, not said": ("own:ChannelsLast", "give --layout NHWC"),
    "colour": ("own:colour", "check that it is made for images of this shape"),
    "means of other channels": (
        "own:instance --preprocess imagenet",
        "the model is prepared for 3 channels, but the images are",
    ),
    "numpy": ("own:from_numpy", "not ndarray"),
    "a batch that is fixed": ("own:Fixed", "export it with a dynamic batch dimension"),
    "weights beside a class": ("own:Net --weights net.pt", ""),
    "weights of DataParallel": ("own:Net --weights parallel.pt", ""),
    "weights of torch.compile": ("own:Net --weights compiled.pt", ""),
    "a training script's checkpoint": ("own:Net --weights checkpoint.pth", ""),
    "weights beside a file of its own": ("scripted.pt --weights net.pt", "drop --weights"),
    "weights as safetensors": ("own:Net --weights state.safetensors", ""),
    "weights of another net": ("own:Convolutional --weights net.pt", "does not fit"),
    "weights without names": ("own:Net --weights numbered.pt", "no state dict"),
    "weights that are not there": ("own:Net --weights none.pt", "there is no file"),
    "weights under a name of their own": ("own:Net --weights ema.pt", "but ema, epoch; save one alone"),
    "weights that are called so": ("own:Net --weights called.pt", ""),
    "a program for weights": ("own:Net --weights scripted.pt", "give scripted.pt as MODEL"),
    "an exported program for weights": ("own:Net --weights exported.pt2", "give trusted:exported.pt2 as MODEL"),
    "a pickled model for weights": ("own:Net --weights pickled.pt", "Sequential), as a whole model is"),
    "a pickled model": ("pickled.pt", "save model.state_dict() alone"),
    "weights alone": ("net.pt", "give its architecture with --weights"),
    "TorchScript": ("scripted.pt", ""),
    "traced": ("traced.ts", ""),
    "torch.export": ("exported.pt2", "write trusted:exported.pt2"),
    "torch.export, trusted": ("trusted:exported.pt2", ""),
    "torch.export, of two images": ("trusted:two.pt2", "export it with a dynamic batch dimension"),
    "torch.export, damaged": ("trusted:damaged.pt2", "cannot be loaded as a program"),
    "our net with weights": ("mlp --weights ours.pt", ""),
    "our net, of fewer classes": ("mlp --weights ours.pt --data npz:two.npz", ""),
    "our net without": ("mlp", "give --weights FILE"),
    "one of the zoo": ("zoo:digits-linf", ""),
    "none of the zoo": ("zoo:nothing", "zoo"),
    "a library that is not installed": ("robustbench:Standard", "pip install 'brittle[robustbench]'"),
    "nothing": ("nothing", "is no model"),
}


@pytest.fixture
def brought(run: Run, tmp_path: Path) -> Run:
    """A folder with some data, and models in all kinds of files."""
    shutil.copy(own_models.__file__, tmp_path / "own.py")
    part = load("digits").test.take(20)
    np.savez(tmp_path / "some.npz", x=part.images.numpy(), y=part.labels.numpy())
    np.savez(tmp_path / "two.npz", x=part.images.numpy(), y=part.labels.numpy() % 2)
    net = own_models.Net().eval()
    state = net.state_dict()
    torch.save(state, tmp_path / "net.pt")
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "parallel.pt")
    torch.save({f"_orig_mod.{name}": value for name, value in state.items()}, tmp_path / "compiled.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "checkpoint.pth")
    torch.save({"weights": state, "epoch": 3}, tmp_path / "called.pt")
    torch.save({"ema": state, "epoch": 3}, tmp_path / "ema.pt")
    torch.save(dict(enumerate(state.values())), tmp_path / "numbered.pt")
    torch.save(net.body, tmp_path / "pickled.pt")
    save_tensors(tmp_path / "state.safetensors", state, {})
    torch.save(brittle.build_net("mlp", (1, 8, 8), 10).state_dict(), tmp_path / "ours.pt")
    torch.jit.script(net).save(tmp_path / "scripted.pt")
    torch.jit.trace(net, part.x()).save(tmp_path / "traced.ts")
    batch = torch.export.Dim("batch", min=1)
    torch.export.save(torch.export.export(net, (part.x(),), dynamic_shapes=({0: batch},)), tmp_path / "exported.pt2")
    torch.export.save(torch.export.export(net, (part.x(slice(2)),)), tmp_path / "two.pt2")
    with zipfile.ZipFile(tmp_path / "damaged.pt2", "w") as archive:
        archive.writestr("archive_format", "pt2")
    return run


@pytest.mark.parametrize("what", MODELS)
def test_a_model_works_in_one_line_or_one_line_says_how(what: str, brought: Run) -> None:
    words, said = MODELS[what]
    given = words.split()
    more = [word for word in AUDIT.split() if not ("--data" in given and word in ("--data", "npz:some.npz"))]
    status, out, err = brought("audit", *given, *more)
    if said:
        line = err.strip().splitlines()[-1]
        assert (status, line.startswith("error: "), said in line) == (2, True, True), err
    else:
        assert status == 0, err
        assert Path("out/report.html").exists()
        assert "Next: " in out


def test_the_next_command_is_whole_and_gives_what_was_missing(brought: Run) -> None:
    part, net = load("digits").test.take(100), own_models.Net().eval()
    np.savez("mine.npz", x=part.images.numpy(), y=net(part.x()).argmax(1).numpy())
    for verb, more in (("doctor", ()), ("audit", ("--effort", "smoke", "--threat", "L2:0.1"))):
        out = brought(verb, "own:wants_bytes", "--data", "npz:mine.npz", *more)[1]
        (then,) = (line for line in out.splitlines() if line.startswith("Next: "))
        assert then.startswith(f"Next: brittle {verb} own:wants_bytes --data npz:mine.npz")
        assert "--input-range 0,255" in then
        status, out, _ = brought(*shlex.split(then)[2:])
        assert (status, "in Python" in out) == (0, False)


def picture(path: Path, height: int = 8, width: int = 8, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = int.from_bytes(path.name.encode()[:1], "big")
    Image.new(mode, (width, height), value if mode == "L" else (value,) * len(mode)).save(path)


def in_classes(root: Path, classes: tuple[str, ...] = ("ant", "bee"), count: int = 6, **how: object) -> None:
    for name in classes:
        for k in range(count):
            picture(root / name / f"{k}.png", **how)  # type: ignore[arg-type]


def mixed_sizes(root: Path) -> None:
    in_classes(root / "pics/test", height=40, width=30, mode="RGB")
    picture(root / "pics/test/ant/z.png", 60, 90, "RGB")


def listed(labels: str, header: str = "file,label") -> Callable[[Path], None]:
    def write(root: Path) -> None:
        in_classes(root / "pics", ("x",), 3)
        rows = "\n".join(f"x/{k}.png,{label}" for k, label in enumerate(labels.split()))
        (root / "pics/labels.csv").write_text(f"{header}\n{rows}\n")

    return write


def arrays(**held: np.ndarray) -> Callable[[Path], None]:
    return lambda root: np.savez(root / "some.npz", **held)


def grown(*shape: int) -> np.ndarray:
    """Images of uint8, the first of which is the darkest."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint8).reshape(-1, *[1] * (len(shape) - 1)), shape).copy()


def corrupted(root: Path) -> None:
    np.save(root / "fog.npy", grown(50, 32, 32, 3))
    np.save(root / "labels.npy", np.arange(50) % 10)


def digits_c(root: Path) -> None:
    (root / "fog").mkdir()
    for part, count in (("train", 40), ("test", 20)):
        np.save(root / f"fog/{part}_images.npy", grown(count, 28, 28, 1))
        np.save(root / f"fog/{part}_labels.npy", np.arange(count) % 10)


LABELS = np.arange(20) % 10
DATA: dict[
    str, tuple[Callable[[Path], object], str, object]
] = {  # how it is made, its name, images and size, or a line
    "train and test": (
        lambda p: [in_classes(p / "pics/train", count=12), in_classes(p / "pics/test")],
        "folder:pics",
        (12, 1, 8, 8),
    ),
    "train and val": (
        lambda p: [in_classes(p / "pics/train", count=12), in_classes(p / "pics/val")],
        "folder:pics",
        (12, 1, 8, 8),
    ),
    "train alone": (lambda p: in_classes(p / "pics/train", count=20), "folder:pics", (8, 1, 8, 8)),
    "test alone": (lambda p: in_classes(p / "pics/test"), "folder:pics", (12, 1, 8, 8)),
    "classes alone": (lambda p: in_classes(p / "pics", count=20), "folder:pics", (8, 1, 8, 8)),
    "folders below classes": (
        lambda p: [in_classes(p / "pics/test"), picture(p / "pics/test/ant/a/b/c.png")],
        "folder:pics",
        (13, 1, 8, 8),
    ),
    "hidden files": (
        lambda p: [in_classes(p / "pics/test"), (p / "pics/test/ant/.DS_Store").touch()],
        "folder:pics",
        (12, 1, 8, 8),
    ),
    "grey among colour": (
        lambda p: [in_classes(p / "pics/test", mode="RGB"), picture(p / "pics/test/ant/z.png")],
        "folder:pics",
        (13, 3, 8, 8),
    ),
    "transparent": (lambda p: in_classes(p / "pics/test", mode="RGBA"), "folder:pics", (12, 3, 8, 8)),
    "mixed sizes": (mixed_sizes, "folder:pics@16", (13, 3, 16, 16)),
    "mixed sizes, no size": (mixed_sizes, "folder:pics", "--size 224"),
    "a size of 0": (mixed_sizes, "folder:pics@0", "at least 1, not 0"),
    "one class": (lambda p: in_classes(p / "pics/test", ("ant",)), "folder:pics", "at least two classes"),
    "a list of numbers": (listed("3 0 3"), "folder:pics/labels.csv", (3, 1, 8, 8)),
    "a list of names": (listed("bee ant bee", "path,class"), "folder:pics/labels.csv", (3, 1, 8, 8)),
    "a list of floats": (listed("3.0 0.0 3.0"), "folder:pics/labels.csv", (3, 1, 8, 8)),
    "a list of halves": (listed("3.5 0.0 3.0"), "folder:pics/labels.csv", "label '3.5' among numbers of classes"),
    "a list with a label below 0": (listed("3 -1 3"), "folder:pics/labels.csv", "label '-1' among numbers of classes"),
    "a list with a label too many": (listed("3 None 3"), "folder:pics/labels.csv", "label 'None' among numbers"),
    "a list with a huge label": (listed(f"3 {10**30} 3"), "folder:pics/labels.csv", "among numbers of classes"),
    "a list without a row": (listed(""), "folder:pics/labels.csv", "lists no pictures"),
    "a list without a label": (listed("3 0 3", "file,label\nx/0.png,"), "folder:pics/labels.csv", "row 1 has no"),
    "a list of files elsewhere": (
        lambda p: [listed("0 1")(p / "a"), (p / "b.csv").write_text(f"file,label\n{p}/a/pics/x/0.png,1\n")],
        "folder:b.csv",
        (1, 1, 8, 8),
    ),
    "a list without a header": (listed("3 0 3", "x/9.png,1"), "folder:pics/labels.csv", "columns file and label"),
    "a list with semicolons": (
        lambda p: (p / "a.csv").write_text("file;label\nx.png;1\n"),
        "folder:a.csv",
        "separate them by commas",
    ),
    "a list of what is not there": (listed("1 0 1 0"), "folder:pics/labels.csv", "3.png"),
    "x and y": (arrays(x=grown(20, 1, 8, 8), y=LABELS), "npz:some.npz", (20, 1, 8, 8)),
    "images and labels": (
        arrays(images=grown(20, 8, 8), labels=LABELS.astype(np.uint8)),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "parts of x and y": (
        arrays(x_train=grown(40, 8, 8), y_train=np.arange(40) % 10, x_test=grown(20, 8, 8), y_test=LABELS),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "parts called train and val": (
        arrays(x_train=grown(40, 8, 8), y_train=np.arange(40) % 10, x_val=grown(20, 8, 8), y_val=LABELS),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "a part called validation beside all": (
        arrays(x=grown(20, 8, 8), y=LABELS, validation_images=grown(10, 8, 8), validation_labels=LABELS[:10]),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "numbers of another order of bytes": (
        arrays(x=(grown(20, 8, 8) / 255).astype(">f4"), y=LABELS.astype(">i8")),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "parts of images": (
        arrays(test_images=grown(20, 8, 8, 3), test_labels=LABELS[:, None]),
        "npz:some.npz",
        (20, 3, 8, 8),
    ),
    "floats": (arrays(x=grown(20, 3, 8, 8) / 255, y=LABELS.astype(float)), "npz:some.npz", (20, 3, 8, 8)),
    "floats beyond 1": (arrays(x=grown(20, 3, 8, 8) * 1.0, y=LABELS), "npz:some.npz", "must be in [0, 1]"),
    "labels that are no numbers": (arrays(x=grown(20, 8, 8), y=np.full(20, 0.5)), "npz:some.npz", "numbers of classes"),
    "one at the class": (arrays(x=grown(20, 8, 8), y=np.eye(10)[LABELS]), "npz:some.npz", (20, 1, 8, 8)),
    "shares of classes": (arrays(x=grown(20, 8, 8), y=np.full((20, 4), 0.25)), "npz:some.npz", "numbers of classes"),
    "words for labels": (arrays(x=grown(20, 8, 8), y=np.array(["cat"] * 20)), "npz:some.npz", "y is text; labels are"),
    "bytes for labels": (
        arrays(test_images=grown(20, 8, 8), test_labels=np.array([b"cat"] * 20)),
        "npz:some.npz",
        "test_labels is text; labels are numbers of classes",
    ),
    "words beside them": (
        arrays(x=grown(20, 8, 8), y=LABELS, names=np.array(["a", "b"])),
        "npz:some.npz",
        (20, 1, 8, 8),
    ),
    "images without labels": (arrays(x=grown(20, 8, 8)), "npz:some.npz", "call them x and y"),
    "CIFAR-10-C": (corrupted, "npz:fog.npy", (50, 3, 32, 32)),
    "a severity of CIFAR-10-C": (corrupted, "npz:fog.npy@5", (10, 3, 32, 32)),
    "a severity that is none": (corrupted, "npz:fog.npy@6", "severities go from 1 to 5"),
    "MNIST-C": (digits_c, "npz:fog", (20, 1, 28, 28)),
    "no such file": (lambda p: None, "npz:some.npz", "there is no file"),
}


@pytest.mark.parametrize("what", DATA)
def test_data_are_read_or_one_line_says_how(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, name, expected = DATA[what]
    make(tmp_path)
    if isinstance(expected, str):
        with pytest.raises(brittle.BrittleError) as said:
            load(name)
        assert expected in str(said.value)
        assert "\n" not in str(said.value)
    else:
        found, (count, *rest) = load(name), expected
        assert list(found.test.images.shape[1:]) == rest
        assert len(found.test) == count or found.held_out


def test_a_size_is_cut_out_of_the_middle_of_the_resized_picture(tmp_path: Path) -> None:
    (tmp_path / "a/test/one").mkdir(parents=True)
    half = Image.new("L", (200, 100))
    half.paste(255, (100, 0, 200, 100))
    half.save(tmp_path / "a/test/one/0.png")
    in_classes(tmp_path / "a/test", ("two",))
    part = load(f"folder:{tmp_path / 'a'}@56").test
    image = part.images[part.labels == 0][0, 0]
    assert (image[:, :27] == 0).all()
    assert (image[:, 29:] == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_keep_pixels_and_labels_in_every_layout(channels: int, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, channels, 8, 9), dtype=np.uint8)
    forms = {
        "first": {"x": images, "y": LABELS},
        "last": {"x": images.transpose(0, 2, 3, 1), "y": LABELS[:, None]},
        "floats": {"x": images / 255, "y": np.eye(10)[LABELS]},
    }
    for name, held in forms.items():
        np.savez(tmp_path / f"{name}.npz", **held)
        part = load(f"npz:{tmp_path / name}.npz").test
        there = torch.tensor(part.rows).argsort()
        assert not torch.equal(there, torch.arange(20))  # they are in another order
        assert torch.equal(part.images[there], torch.from_numpy(images)), name
        assert torch.equal(part.labels[there], torch.from_numpy(LABELS)), name


def test_the_fifth_severity_is_the_last_fifth(tmp_path: Path) -> None:
    corrupted(tmp_path)
    severe = load(f"npz:{tmp_path / 'fog.npy'}@5").test
    assert sorted(severe.images[:, 0, 0, 0].tolist()) == list(range(40, 50))


def test_numbers_in_a_list_are_classes_and_names_are_sorted(tmp_path: Path) -> None:
    for labels, expected in (
        ("3 0 3", {"0": 3, "1": 0, "2": 3}),
        ("11.0 2.0 0.0", {"0": 11, "1": 2, "2": 0}),
        ("bee ant bee", {"0": 1, "1": 0, "2": 1}),
    ):
        listed(labels)(tmp_path)
        part = load(f"folder:{tmp_path / 'pics/labels.csv'}").test
        assert {
            Path(file).stem: label for file, label in zip(part.files, part.labels.tolist(), strict=True)
        } == expected


def test_what_can_only_be_tested_on_is_not_learned_from(run: Run, tmp_path: Path) -> None:
    in_classes(tmp_path / "pics/test")
    status, _, err = run("train", "--data", "folder:pics", "--net", "linear")
    assert (status, "nothing in it to learn from" in err) == (2, True), err


def test_a_report_names_the_file_of_each_image(run: Run, tmp_path: Path) -> None:
    shutil.copy(own_models.__file__, tmp_path / "own.py")
    in_classes(tmp_path / "pics/test")
    assert (
        run("audit", "own:Net", "--data", "folder:pics", "--effort", "smoke", "--threat", "L2:1", "--out", "out")[0]
        == 0
    )
    assert run("export", "out", "rows.csv")[0] == 0
    rows = Path("rows.csv").read_text().splitlines()
    assert rows[0].startswith("index,file,label")
    assert sorted(row.split(",")[1] for row in rows[1:]) == sorted(
        f"test/{c}/{k}.png" for c in ("ant", "bee") for k in range(6)
    )


class Rows(torch.utils.data.Dataset):
    """A data set as torchvision's: Pillow pictures and whole numbers."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.rows = [(Image.fromarray(image[0]), label) for image, label in zip(images, labels, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[Image.Image, int]:
        return self.rows[row]


def test_every_form_of_the_same_examples_gives_the_same_audit() -> None:
    net, part = own_models.Net().eval(), load("digits").test.take(20)
    images, x = part.images.numpy(), part.x()
    y = net(x).argmax(1)  # the net is right on all of them
    labels, pairs = y.numpy(), torch.utils.data.TensorDataset(x, y, torch.arange(20))
    forms = {
        "tensors": (x, y),
        "arrays": (images, labels),
        "bytes": (part.images, y.int()),
        "read backwards": (images[::-1].copy()[::-1], labels),
        "float64": (x.double().numpy(), labels),
        "big-endian": (x.numpy().astype(">f4"), labels.astype(">i8")),
        "lists": (x.tolist(), y.tolist()),
        "pictures": Rows(images, labels),
        "labels in brackets": Rows(images, labels[:, None]),
        "more than pairs": pairs,
        "batches": torch.utils.data.DataLoader(pairs, 7),
        "rows of a loader": torch.utils.data.DataLoader(pairs, batch_size=None),
    }
    found = {name: brittle.audit(net, form, "L2:0.1", effort="smoke").withstands for name, form in forms.items()}
    assert 0 < int(found["tensors"].sum()) < 20
    assert all(torch.equal(one, found["tensors"]) for one in found.values())


@pytest.mark.parametrize(
    "shape", [(20, 9, 8, 3), (20, 8, 8, 1), (20, 3, 9, 8), (20, 3, 8, 3), (20, 5, 7, 3), (20, 5, 3, 3)]
)
def test_a_program_and_an_npz_file_take_the_same_layout(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "some.npz", x=images, y=LABELS)
    part = load(f"npz:{tmp_path / 'some.npz'}").test
    read, pixels = part.x()[torch.tensor(part.rows).argsort()], torch.from_numpy(images)
    forms = [(images, LABELS), (images / 255, LABELS), (pixels, LABELS), (pixels.float() / 255, LABELS)]
    pairs = torch.utils.data.TensorDataset(pixels, torch.from_numpy(LABELS))
    for form in (*forms, pairs, torch.utils.data.DataLoader(pairs, 7)):
        assert torch.equal(examples_of(form)[0], read)


def test_what_is_no_picture_keeps_its_lengths() -> None:
    for shape in ((4, 7), (4, 7, 3), (4, 2, 7, 3, 3)):
        assert examples_of((torch.rand(shape), torch.arange(4)))[0].shape == shape


@torch.no_grad()
def in_place(x: torch.Tensor) -> torch.Tensor:
    return x.sub_(0.5)


class Stained(own_models.Net):
    """A net that writes into its images, behind the back of autograd too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(in_place(x))


WRITTEN = {
    "audit": lambda net, x, y: brittle.audit(net, (x, y), "L2:0.1", effort="smoke"),
    "doctor": lambda net, x, y: brittle.doctor(net, x, y),
    "pgd": lambda net, x, y: brittle.pgd(net, "L2:0.1", start="clean")(x, y),
    "square": lambda net, x, y: brittle.square(net, "L2:0.1")(x, y),
    "fab": lambda net, x, y: brittle.fab_targeted(net, "L2:0.1")(x, y),
    "verify": lambda net, x, y: brittle.verify(net, "L2:0.1", x, x, y),
    "curvature": lambda net, x, y: brittle.curvature(net, (x, y), "L2:0.1"),
    "usefulness": lambda net, x, y: brittle.usefulness(net, split_of(x, y), "L2:0.1"),
    "disentangle": lambda net, x, y: brittle.disentangle(net, net, split_of(x, y)),
}


def split_of(x: torch.Tensor, y: torch.Tensor) -> Split:
    return Split((x * 255).byte(), y, tuple("0123456789"), "mine")


@pytest.mark.parametrize("what", WRITTEN)
def test_a_model_that_writes_into_images_spoils_nobodys(what: str) -> None:
    x, y = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 10
    before = x.clone()
    try:
        told = str(WRITTEN[what](Stained().eval(), x, y))
    except brittle.BrittleError as error:
        told = str(error)
    assert "writes into the images" in told
    assert torch.equal(x, before)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self) -> Iterator[object]:
        return iter(())


class Torn(torch.utils.data.TensorDataset):
    """A data set whose sixth example cannot be read."""

    def __init__(self, count: int) -> None:
        super().__init__(torch.rand(count, 1, 8, 8), torch.arange(count))

    def __getitem__(self, row: int) -> tuple[torch.Tensor, ...]:
        if row == 5:
            raise OSError("disk")
        return super().__getitem__(row)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Stream(), "with a length"),
        (Rows(grown(3, 1, 8, 8), np.array(["a", "b", "c"])), "is a whole number, not"),
        (Rows(grown(3, 1, 8, 8), np.array([0.5, 0, 1])), "is a whole number, not"),
        ([(Image.new("I;16", (8, 8)), 1)], "no examples"),
        (Torn(8), r"item 5 of the data cannot be had \(OSError: disk\)"),
        (torch.utils.data.DataLoader(Torn(8), 2), "batch 2 of the data cannot be had"),
        ((np.array(["a", "b"]), LABELS), "are numbers"),
        ((grown(20, 1, 8, 8), np.array(["cat"] * 20)), "are numbers"),
    ],
)
def test_other_forms_are_told_in_a_line(data: object, said: str) -> None:
    with pytest.raises(brittle.BrittleError, match=said):
        brittle.audit(own_models.Net().eval(), data, "L2:0.1", effort="smoke")


def test_pictures_of_16_bits_are_told_in_a_line() -> None:
    deep = Rows(grown(3, 1, 8, 8), LABELS[:3])
    deep.rows[1] = (Image.new("I;16", (8, 8)), 1)
    with pytest.raises(brittle.BrittleError, match="picture of 8 bits"):
        brittle.audit(own_models.Net().eval(), deep, "L2:0.1", effort="smoke")


def test_a_model_and_a_text_stand_for_objective_and_threat() -> None:
    net, x = own_models.Net().eval(), torch.rand(5, 1, 8, 8)
    y = net(x).argmax(1)
    exact = brittle.apgd(brittle.against(net), brittle.Linf("8/255"), steps=5)(x, y)
    assert torch.equal(brittle.apgd(net, "Linf:8/255", steps=5)(x, y), exact)
    assert torch.equal(brittle.verify(net, "L2:1", x, x, y).broken, brittle.verify(net, brittle.L2(1), x, x, y).broken)


def test_a_journal_resumes_the_same_audit_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = own_models.Net().eval(), torch.rand(20, 1, 8, 8)
    y, kept, write = net(x).argmax(1), list[str](), Journal.write
    monkeypatch.setattr(Journal, "write", lambda one, key, *more: (kept.append(key), write(one, key, *more)))

    def audited(journal: Path | str = tmp_path) -> tuple[brittle.Report, int]:
        """And how many pieces of work were done for it."""
        kept.clear()
        return brittle.audit(net, (x, y), "L2:1", effort="smoke", journal=journal), len(kept)

    before, work = audited()
    assert work > 0
    again, work = audited(str(tmp_path))
    assert torch.equal(before.withstands, again.withstands)
    assert work == 0
    with torch.no_grad():
        net.body[-1].bias.add_(1)  # all logits: the attacks go the same way
    assert audited()[1] > 0
    assert audited()[1] == 0
    with monkeypatch.context() as changed:
        changed.setattr(import_module("brittle.audits.audit"), "OWN_CODE", "another state of ours")
        assert audited()[1] > 0
    torch.nn.init.zeros_(net.body[1].weight)
    other, work = audited()
    assert other.clean.correct < before.clean.correct
    assert work > 0


def test_a_journal_that_cannot_be_taken_up_again_says_so(tmp_path: Path) -> None:
    net, x = own_models.Net().eval(), torch.rand(4, 1, 8, 8)
    with pytest.warns(UserWarning, match="never taken up again"):
        brittle.audit(lambda x: net(x), (x, net(x).argmax(1)), "L2:1", effort="smoke", journal=tmp_path)


def audit_of(model: Callable[[torch.Tensor], object], **how: object) -> object:
    return brittle.audit(model, (torch.rand(4, 1, 8, 8), [0, 1, 2, 0]), "L2:1", effort="smoke", **how)


def test_attacks_may_be_named_and_examples_be_a_pair() -> None:
    x, y = torch.rand(24, 1, 8, 8), torch.arange(24) % 3
    report = brittle.audit(own_models.Net(), (x, y), "L2:1", effort="smoke", extra=["mm:targets=1,steps=2", "fgsm"])
    assert report.record.asked.attacks == ["mm:steps=2,targets=1", "fgsm"]
    pixels = (255 * x).round()
    bytes_, floats = (
        brittle.usefulness(own_models.Net(), pair, "L2:1") for pair in ((pixels.byte(), y), (pixels / 255, y))
    )
    assert bytes_ == floats


def test_a_report_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(brittle.BrittleError, match="cannot be made a folder"):
        audit_of(own_models.Net()).save(tmp_path / "file")


def test_a_classifier_sees_what_its_model_was_trained_on() -> None:
    seen = []
    model = brittle.classifier(
        lambda x: seen.append(x) or x.flatten(1), mean=(10, 20, 30), std=(1, 2, 4), input_range=(0, 255), layout="NHWC"
    )
    x = torch.rand(2, 3, 4, 5)
    model(x)
    expected = (x * 255 - torch.tensor([10.0, 20, 30]).view(3, 1, 1)) / torch.tensor([1.0, 2, 4]).view(3, 1, 1)
    assert torch.allclose(seen[0], expected.permute(0, 2, 3, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: brittle.classifier(abs, mean=(1, 2), std=1), "positive standard deviation"),
        (lambda: brittle.classifier(abs, mean=1, std=0), "positive standard deviation"),
        (lambda: brittle.classifier(abs, mean=float("nan"), std=1), "positive standard deviation"),
        (lambda: brittle.classifier(abs, input_range=(1, 0)), "two numbers"),
        (lambda: brittle.classifier(abs, input_range=(0, float("inf"))), "two numbers"),
        (lambda: brittle.classifier(abs, layout="HWC"), "NCHW or NHWC"),
        (lambda: brittle.classifier(own_models.Net), "Net is a class"),
        (lambda: brittle.pgd(own_models.Net, "L2:1"), "Net is a class"),
        (lambda: brittle.usefulness(own_models.Net(), (torch.rand(30, 1, 8, 8), [0] * 30), "L2:1"), "8 bits"),
        (lambda: brittle.disentangle(own_models.Net(), own_models.Net(), 3), "give (images, labels)"),
        (lambda: audit_of(lambda x: torch.rand(len(x), 3).to_sparse()), "a sparse tensor"),
        (lambda: audit_of(own_models.Net(), journal=__file__), "a journal is a folder"),
        (lambda: audit_of(own_models.Net(), extra="nothing"), "nothing"),
        (lambda: load_model("mine.py"), "mine:NAME"),
        (lambda: load_model("there/mine.py:Net"), "mine:Net, asked from there/"),
        (lambda: load_model("glob:Net"), "glob.py) has no 'Net'"),
        (lambda: load_model("own:x", inputs=Inputs(preprocess="0.5")), "the means and then"),
        (lambda: load_model("own:x", inputs=Inputs(input_range="a,b")), "numbers with commas"),
        (lambda: brittle.audit(abs, 3, "L2:1"), "give (images, labels)"),
        (lambda: brittle.audit(own_models.Convolutional(), (torch.rand(4, 8, 8), [0, 1, 2, 3]), "L2:1"), "x[:, None]"),
        (lambda: brittle.audit(abs, [], "L2:1"), "give (images, labels)"),
        (lambda: brittle.pgd(abs, 0.3), "a threat is"),
    ],
)
def test_a_mistake_is_told_in_one_line(asked: Callable[[], object], said: str) -> None:
    with pytest.raises(brittle.BrittleError) as told:
        asked()
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_data_of_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # type: ignore[arg-type]
    with pytest.raises(brittle.BrittleError, match=r"pip install 'brittle\[hub\]'"):
        load("hf:mnist")


def test_what_a_library_says_of_its_model_is_put_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for timm: the same three functions, a net that answers what it was shown."""
    import sys
    from types import SimpleNamespace

    def create(name: str, pretrained: bool = False, num_classes: int = 7) -> torch.nn.Module:
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))
        if pretrained:
            torch.nn.init.ones_(net[1].weight)
        return net

    about = SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    known = SimpleNamespace(
        create_model=create,
        get_pretrained_cfg=lambda name: about if name == "a" else None,
        is_model=lambda name: name == "a",
    )
    monkeypatch.setitem(sys.modules, "timm", known)  # type: ignore[arg-type]
    grey = torch.full((1, 3, 8, 8), 0.5)
    trained, untrained = load_model("timm:a"), load_model("timm:a", Path("random"))
    bias = trained.model.model[1].bias  # type: ignore[attr-defined]
    assert torch.allclose(trained.model(grey), bias[None])
    assert trained.digest != untrained.digest
    torch.manual_seed(5)  # random weights are the same ones every time, whatever is drawn before
    assert load_model("timm:a", Path("random")).digest == untrained.digest
    plain = load_model("timm:a", inputs=Inputs(preprocess="0,1"))
    assert torch.allclose(plain.model(grey) - plain.model.model[1].bias, torch.tensor(96.0))  # type: ignore[attr-defined]
    torch.save(create("a", num_classes=3).state_dict(), tmp_path / "three.pt")
    assert load_model("timm:a", tmp_path / "three.pt").model(grey).shape == (1, 3)
    with pytest.raises(brittle.BrittleError, match="knows no model 'b'"):
        load_model("timm:b")


def test_a_model_of_torchvision_that_is_no_classifier_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class ObjectDetection:
        """Brings pictures into tensors, and no more."""

    weights = SimpleNamespace(DEFAULT=SimpleNamespace(transforms=ObjectDetection))
    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(get_model_weights=lambda name: weights))
    with pytest.raises(brittle.BrittleError, match="is no classifier of images"):
        load_model("torchvision:ssd300")


def test_a_plan_of_an_audit_says_what_it_costs_and_runs_nothing(run: Run) -> None:
    status, out, err = run("audit", "zoo:digits-linf", "-n", "50", "--plan", "--json")
    few, many = json.loads(out), json.loads(run("audit", "zoo:digits-linf", "-n", "100", "--plan", "--json")[1])
    assert (status, Path("runs").exists()) == (0, False), err
    assert 0 < few["gradients"] < many["gradients"]
    all_of_them = json.loads(run("audit", "zoo:digits-linf", "-n", "359", "--plan", "--json")[1])
    more = json.loads(run("audit", "zoo:digits-linf", "-n", "99999999999999999999", "--plan", "--json")[1])
    assert more["gradients"] == all_of_them["gradients"]
    assert few["seconds"] > 0
    assert "about" in run("audit", "zoo:digits-linf", "--plan")[1]


def test_what_is_typed_goes_before_what_a_report_says(brought: Run) -> None:
    asked = ("--data", "npz:some.npz", "--effort", "smoke", "--threat", "L2:1", "--input-range", "0,255")
    assert brought("audit", "own:wants_bytes", *asked, "--out", "out")[0] == 0
    assert brought("audit", "own:wants_bytes", "--again", "out")[0] == 0  # the range is taken from the report
    for typed in ("0,2", "0,1"):  # the second is the default
        status, out, _ = brought("audit", "own:wants_bytes", "--again", "out", "--input-range", typed)
        assert (status, "the model is another" in out) == (1, True), out
    for words, said in (
        (("audit", "own:wants_bytes", "--again", "out", "--size", "8"), "--size"),
        (("audit", "own:wants_bytes", "--again", "out", "--plan"), "--again takes"),
        (("audit", "own:wants_bytes", "--again", "out", "--effort", "standard"), "--again takes"),
        (("audit", "own:wants_bytes", "--again", "out", "--seed", "0"), "--again takes"),
        (("audit", "zoo:digits-linf", "--size", "8"), "--size"),
    ):
        status, _, err = brought(*words)
        assert (status, said in err) == (2, True), err


def test_adversarial_images_in_the_order_of_the_file_belong_to_its_rows(brought: Run) -> None:
    with np.load("some.npz") as held:
        np.savez("made.npz", adv=held["x"], labels=held["y"])  # as another library reads and writes them
    status, out, err = brought(
        "verify", "made.npz", "own:Net", "--data", "npz:some.npz", "--threat", "Linf:0.1", "--json"
    )
    assert status == 0, err
    [found] = json.loads(out)
    assert (found["n"], found["largest"]) == (20, 0)


def made_with(k: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x * k


def changed(**attributes: object) -> torch.nn.Module:
    net = own_models.Net()
    for name, value in attributes.items():
        setattr(net, name, value)
    return net


def test_models_are_the_same_only_where_all_of_them_is_known() -> None:
    assert digest_of_code(changed(k=3, table=torch.ones(2))) == digest_of_code(changed(k=3, table=torch.ones(2)))
    assert digest_of_code(changed(act=torch.relu)) == digest_of_code(changed(act=torch.relu))
    assert digest_of_code(changed(act=made_with(1))) == digest_of_code(changed(act=made_with(1)))
    told = [
        changed(),
        changed(k=3),
        changed(k=4),
        changed(table=torch.ones(2)),
        changed(table=torch.ones(3)),
        changed(table={"k": np.ones(2)}),
        changed(act=torch.relu),
        changed(act=torch.sigmoid),
        *(changed(act=lambda x, k=k: x * k) for k in (1, 2)),
        *(changed(act=made_with(k)) for k in (1, 2)),
        *(changed(lock=threading.Lock()) for _ in range(2)),  # cannot be told
    ]
    digests = [digest_of_code(one) for one in told]
    assert len(set(digests)) == len(told)

    class Typed(own_models.Net):
        """As if it were typed into a notebook."""

        __module__ = "__main__" if not hasattr(sys.modules["__main__"], "__file__") else "nowhere"

    assert digest_of_code(Typed()) != digest_of_code(Typed())

    class Extra(own_models.Net):
        def get_extra_state(self) -> dict[str, int]:
            return {"k": 1}

        def set_extra_state(self, state: object) -> None: ...

    assert digest_of_code(Extra()) == digest_of_code(Extra())


def test_a_model_is_sent_to_another_process_by_what_it_is(brought: Run) -> None:
    data = DataSource.of("npz:some.npz")
    for spec, weights in (("scripted.pt", None), ("own:hot", None), ("mlp", Path("ours.pt"))):
        sent = pickle.loads(pickle.dumps(File.of(spec, weights, data=data)))
        x = data.load().test.x()
        assert torch.equal(sent.load().model(x), load_model(spec, weights, data=data.load()).model(x))


def test_grey_images_are_no_colour_and_one_number_is_for_all() -> None:
    net = brittle.classifier(own_models.Net(), mean=[0.1] * 3, std=[1.0] * 3)
    with pytest.raises(brittle.BrittleError, match=r"prepared for 3 channels, .* they are grey: save them as RGB"):
        net(torch.rand(2, 1, 8, 8))
    flat = brittle.classifier(torch.nn.Linear(4, 3), input_range=(0, 255))
    x = torch.rand(5, 4)
    assert torch.allclose(flat(x), flat.model(x * 255), atol=1e-3)
