"""A folder of everything that a user may hand in by mistake: models, checkpoints, data, records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from brittle.attacks import Linf
from brittle.audits import audit
from brittle.learning import build_net, save_net

MODELS = """
import torch
number = 3
class Fails:
    def __init__(self): raise ValueError("no")
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.l = torch.nn.Linear(64, 10)
    def forward(self, x): return self.answer(self.l(x.flatten(1)), x)
    def answer(self, z, x): return z
class Raises(Net):
    def answer(self, z, x): raise KeyError
class Exits(Net):
    def answer(self, z, x): raise SystemExit(7)
class InPlace(Net):
    def forward(self, x):
        x -= 0.5
        return self.l(x.flatten(1))
class Nan(Net):
    def answer(self, z, x): return z * float("nan")
class Nothing(Net):
    def answer(self, z, x): return None
class Text(Net):
    def answer(self, z, x): return "seven"
class Half(Net):
    def answer(self, z, x): return z[:1]
class Twice(Net):
    def answer(self, z, x): return z.repeat(2, 1)
class Floats(Net):
    def answer(self, z, x): return z.amax(1)
class Ints(Net):
    def answer(self, z, x): return z.mul(100).long()
class Bools(Net):
    def answer(self, z, x): return z > 0
class Three(Net):
    def answer(self, z, x): return z[:, :3]
class Cube(Net):
    def answer(self, z, x): return z[:, :, None]
class Array(Net):
    def answer(self, z, x): return z.detach().numpy()
class Negative(Net):
    def answer(self, z, x): return z.argmax(1) - 20
class Huge(Net):
    def answer(self, z, x): return z.argmax(1) + 10**12
class Rgb(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.c = torch.nn.Conv2d(3, 10, 8)
    def forward(self, x): return self.c(x).flatten(1)
class OneWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
class Backfire(OneWay):
    @staticmethod
    def backward(ctx, grad): raise ValueError("no way back")
class Backless(Net):
    def forward(self, x): return super().forward(OneWay.apply(x))
class Backfires(Net):
    def forward(self, x): return super().forward(Backfire.apply(x))
class NoRepr(Net):
    def __repr__(self): raise ValueError("no words")
class NoState(Net):
    def state_dict(self, *more, **named): raise ValueError("no words")
class NoName(Net):
    def __getattr__(self, name): return super().__getattr__(name) if name in ("l", "training") else 1 / 0
class Surrogate(Net):
    def answer(self, z, x): raise ValueError(chr(0xD800) + chr(27) + "[31m red")
class Meta(Net):
    def __init__(self):
        super().__init__(); self.to("meta")
class Lazy(Net):
    def __init__(self):
        super().__init__(); self.l = torch.nn.LazyLinear(10)
class Wide(Net):
    def __init__(self, width): super().__init__()
def two(a, b): return a
def none(): return None
def nan(x): return torch.full((len(x), 10), float("nan"))
def three(x): return x.flatten(1)[:, :3]
def picky(x): return x.view(-1, 3, 32, 32)
"""
HEADER: dict[str, Any] = {
    "format": "brittle-net/1",
    "net": "mlp",
    "shape": [1, 8, 8],
    "classes": list("0123456789"),
    "mean": [0.0],
    "std": [1.0],
    "data": "digits",
    "name": "a net",
    "threats": [],
    "goal": "standard",
    "epochs": 4,
    "history": [],
}
SET = {"format": "brittle-set/1", "classes": list("0123456789"), "set": "D_NR", "data": "digits"}


def odd_files(folder: Path) -> None:
    """Fill a folder."""
    (folder / "odd.py").write_text(MODELS)
    (folder / "broken_import.py").write_text("import not_there_at_all\n")
    (folder / "crash_import.py").write_text("1 / 0\n")
    (folder / "exit_import.py").write_text("raise SystemExit(3)\n")
    (folder / "syntax_import.py").write_text("def (\n")
    for name in ("empty", "done", "folder.safetensors"):
        (folder / name).mkdir()
    (folder / "done" / "audit.json").write_text("{")
    (folder / "text.txt").write_text("hello")
    torch.save(nn.Linear(2, 2), folder / "pickle.pt")
    torch.save({"w": 1}, folder / "odd.pth")
    (folder / "empty.pt").write_bytes(b"")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        checkpoints(folder)
        data_sets(folder)
        arrays(folder)
    pictures(folder)
    matrices(folder)
    records(folder)


def keep(path: Path, tensors: dict[str, Tensor], header: Any) -> None:
    """A file of ours, whatever its header is."""
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, {"brittle": json.dumps(header)})


def checkpoints(folder: Path) -> None:
    net = build_net("mlp", (1, 8, 8), 10)
    save_net(folder / "net.safetensors", net, HEADER)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-1000])
    (folder / "head.safetensors").write_bytes(whole[:100])
    (folder / "none.safetensors").write_bytes(b"")
    (folder / "text.safetensors").write_text("hello")
    save_file({"w": torch.zeros(1)}, folder / "foreign.safetensors")
    tensors = net.state_dict()
    for name, header in {
        **{f"header-{kind}": one for kind, one in {"null": None, "list": [], "number": 3, "text": "x"}.items()},
        **{f"{key}-lost": {k: v for k, v in HEADER.items() if k != key} for key in ("net", "shape", "classes", "mean")},
        **{f"{key}-null": HEADER | {key: None} for key in ("net", "shape", "classes", "name", "threats", "format")},
        **{f"{key}-list": HEADER | {key: [[1]]} for key in ("net", "shape", "mean", "name", "history", "epochs")},
        **{f"{key}-text": HEADER | {key: "x"} for key in ("net", "shape", "classes", "std", "history", "epochs")},
        **{f"{key}-number": HEADER | {key: 3} for key in ("net", "shape", "classes", "name", "threats", "goal")},
        "shape-other": HEADER | {"shape": [1, 28, 28]},
        "shape-float": HEADER | {"shape": [1.5, 8, 8]},
        "shape-negative": HEADER | {"shape": [1, -8, 8]},
        "shape-flat": HEADER | {"shape": [8, 8]},
        "classes-few": HEADER | {"classes": ["a", "b", "c"]},
        "data-other": HEADER | {"data": "nowhere"},
    }.items():
        keep(folder / f"{name}.safetensors", tensors, header)
    few = dict(list(tensors.items())[1:])
    keep(folder / "tensors-lost.safetensors", few, HEADER)
    keep(folder / "tensors-more.safetensors", tensors | {"more": torch.zeros(1)}, HEADER)
    keep(folder / "tensors-nan.safetensors", {k: v * torch.nan for k, v in tensors.items()}, HEADER)


def data_sets(folder: Path) -> None:
    images, labels = torch.randint(0, 256, (120, 1, 8, 8)) / 255, torch.arange(120) % 10

    def write(name: str, images: Tensor, labels: Tensor, classes: str | None = None, **more: Tensor) -> None:
        tensors = {"images": images, "labels": labels, **more}
        metadata = {"classes": classes} if classes else None
        save_file({key: value.clone() for key, value in tensors.items()}, folder / f"{name}.safetensors", metadata)

    write("fine", images, labels)
    write("d-28", torch.randint(0, 256, (120, 1, 28, 28)) / 255, labels)
    write("d-rgb", torch.randint(0, 256, (120, 3, 8, 8)) / 255, labels)
    write("d-classes", torch.rand(200, 1, 8, 8), torch.arange(200) % 20)
    write("d-tiny", torch.rand(120, 1, 2, 2), labels)
    write("d-nothing", torch.rand(120, 0, 8, 8), labels)
    write("d-flat", torch.rand(120, 64), labels)
    write("d-bright", images * 2, labels)
    write("d-dark", images - 1, labels)
    write("d-nan", images * torch.nan, labels)
    write("d-int", images.long(), labels)
    write("d-float-labels", images, labels.float())
    write("d-negative-labels", images, labels - 1)
    write("d-huge-labels", images, labels * 10**12)
    write("d-fewer-labels", images, labels[:50])
    write("d-one-class", images, labels * 0)
    write("d-empty", images[:0], labels[:0])
    write("d-three", images[:3], labels[:3])
    write("d-class-text", images, labels, "a,b")
    write("d-class-few", images, labels, '["a"]')
    write("d-test-shape", images, labels, test_images=torch.rand(10, 1, 9, 9), test_labels=labels[:10])
    write("d-test-empty", images, labels, test_images=images[:0], test_labels=labels[:0])
    save_file({"images": images}, folder / "d-unlabelled.safetensors")
    kept = {"images": (images * 255).byte(), "labels": labels}
    tensors = {key: one.clone() for prefix in ("", "test_") for key, one in ((prefix + k, v) for k, v in kept.items())}
    for name, header, held in (
        *((f"made-no-{key}", {k: v for k, v in SET.items() if k != key}, tensors) for key in SET),
        *((f"made-null-{key}", SET | {key: None}, tensors) for key in ("classes", "set", "data")),
        *((f"made-no-{key}", SET, {k: v for k, v in tensors.items() if k != key}) for key in tensors),
        ("made-list", [], tensors),
        ("made-float", SET, tensors | {"images": images}),
        ("made-one", SET, {k: v[:1] for k, v in tensors.items()}),
    ):
        keep(folder / name / "set.safetensors", held, header)
    for name, ims, lab in (("released-pickle", nn.Linear(2, 2), labels), ("released-empty", images[:0], labels[:0])):
        (folder / name).mkdir()
        torch.save(ims, folder / name / "X_ims")
        torch.save(lab, folder / name / "X_lab")
    for name, content in (("idx-text", b"hello"), ("idx-cut", b"\0\0\x08\x03\0\0")):
        (folder / name).mkdir()
        for file in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            (folder / name / f"{file}-ubyte").write_bytes(content)


def pictures(folder: Path) -> None:
    def write(place: str, size: tuple[int, int] = (8, 8), mode: str = "L") -> None:
        for k in range(3):
            path = folder / place / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, size).save(path)

    write("one-class/a")
    for name in "ab":
        (folder / "no-pictures" / name).mkdir(parents=True)
        write(f"half/train/{name}")
        write(f"deep/{name}/more")
        write(f"sixteen/{name}", mode="I;16")
        write(f"cut/{name}", (64, 64))
        write(f"sizes/{name}", (8, 8 + ord(name)))
    for file in (folder / "cut/a").iterdir():  # whichever part each of them comes into
        file.write_bytes(file.read_bytes()[:60])


def arrays(folder: Path) -> None:
    x = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)
    for name, held in {
        "two": {"a": x, "b": x},
        "shape": {"x_adv": np.zeros((5, 1, 9, 9), np.float32)},
        "rgb": {"x_adv": np.zeros((5, 3, 8, 8), np.float32)},
        "nan": {"x_adv": x * np.nan},
        "many": {"x_adv": np.zeros((5000, 1, 8, 8), np.float32)},
        "none": {"x_adv": x[:0]},
        "int": {"x_adv": (x * 255).astype(np.int64)},
        "complex": {"x_adv": x + 0j},
        "words": {"x_adv": np.array(["a"] * 5)},
        "labels": {"x_adv": x, "labels": np.full(5, 77)},
        "indices": {"x_adv": x, "indices": np.full(5, 77)},
        "parts": {"x_adv": x, "indices": np.arange(5) + 0.5},
        "objects": {"x_adv": np.array([{}], dtype=object)},
        "good": {"x_adv": x},
        "nothing": {},
    }.items():
        np.savez(folder / f"v-{name}.npz", **held)
    (folder / "v-cut.npz").write_bytes((folder / "v-good.npz").read_bytes()[:200])
    np.savez(folder / "u64.npz", x=(x * 255).astype(np.uint8), y=np.arange(5, dtype=np.uint64))
    np.save(folder / "v-scalar.npy", np.float32(3))
    (folder / "v-none.npy").write_bytes(b"")


def matrices(folder: Path) -> None:
    for name, text in {
        "text.json": "hello",
        "flat.json": "[1, 2]",
        "null.json": "null",
        "huge.json": "[[1e308, 0], [0, 1e308]]",
        "nan.json": "[[NaN, 0], [0, 1]]",
        "negative.json": "[[-1, 0], [0, 1]]",
        "askew.json": "[[1, 2], [0, 1]]",
        "deep.json": "[" * 100_000,
        "wide.csv": "1,2\n",
        "words.csv": "a,b\nc,d\n",
        "none.csv": "",
    }.items():
        (folder / f"c-{name}").write_text(text)


def records(folder: Path) -> None:
    net = build_net("mlp", (1, 8, 8), 10)
    x, y = torch.rand(10, 1, 8, 8), torch.arange(10)
    folder = audit(net, (x, y), [Linf(0.1)], effort="smoke").save(folder / "run")
    record = json.loads((folder / "audit.json").read_text())
    for name, changes in {
        "format": {"format": "brittle-audit/99"},
        "threats": {"threats": None},
        "clean": {"clean": {"correct": "many"}},
        "examples": {"examples": 3},
        "verdict": {"verdict": {"level": "superb", "sentence": "", "next": ""}},
        "lost": {"run": {}},
        "old": {"asked": None},
        "model": {"model": record["model"] | {"source": "nowhere.safetensors"}},
        "effort": {
            "model": record["model"] | {"source": "net.safetensors"},
            "data": record["data"] | {"given": "digits"},
            "asked": record["asked"] | {"effort": "heroic"},
        },
        "attack": {
            "model": record["model"] | {"source": "net.safetensors"},
            "data": record["data"] | {"given": "digits"},
            "asked": record["asked"] | {"attacks": ["magic"]},
        },
    }.items():
        place = folder.parent / f"run-{name}"
        place.mkdir()
        (place / "audit.json").write_text(json.dumps(record | changes))
    (folder.parent / "run-images").mkdir()
    (folder.parent / "run-images" / "audit.json").write_text(json.dumps(record))
    (folder.parent / "run-images" / "audit.safetensors").write_text("hello")
    (folder.parent / "run-paper").mkdir()
    (folder.parent / "run-paper" / "paper.json").write_text("[]")
