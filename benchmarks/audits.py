"""Our audit beside AutoAttack standard (pyautoattack, by its authors): robust accuracy, work, CPU time, memory.

Same net, same images, one threat at a time, each in a process of its own with one thread. Work is counted at the model:
images shown, and images whose gradient is asked; as one figure a gradient counts three (a forward pass, and a backward
pass for two). Every adversarial image is judged by `verify` alike.

    python benchmarks/audits.py [--nets FOLDER] [-n 500] [--only NAME ...] [--tools NAME ...]
        [--out results/bench-audit.json]

Rows of other nets and tools that stand in the record already are kept. Nets are those of the zoo (`zoo:mnist-linf`), a
masked one made of it (`hot:mnist-standard`, whose logits are so large that the softmax is 0 or 1), and, where FOLDER is
given, nets that others trained and published, under these names (digests are checked):

- fast_pgd.pth, fast_fgsm.pth: MNIST/models/pgd_madry.pth and fgsm.pth of github.com/locuslab/fast_adversarial
- wong_mnist01.pth: models/mnist.pth, wong_mnist03.pth and wong_cifar8.pth: models_scaled/mnist_small_0_3.pth and
  cifar_small_8px.pth, wong_cifar_l2.pth: models_scaled_l2/cifar_small_36px.pth, of
  github.com/locuslab/convex_adversarial
- aa_resnet18.pth: pyautoattack/examples/model_test.pt in the source distribution of pyautoattack 0.2.0 (give -n 500)

and any checkpoint of ours (`mine.safetensors`, in MNIST's usual threats). Data are looked up in $BRITTLE_DATA. Tools
are AutoAttack by its authors, our efforts, torchattacks' and ART's AutoAttack (their own attacks under that name, in
Linf and L2), and single attacks of ours.
"""

import argparse
import hashlib
import json
import logging
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from brittle.attacks import AttackSpec, Threat, parse_threat
from brittle.audits import EFFORTS, provenance, verify
from brittle.audits.audit import AuditSettings, audit_events
from brittle.ground import write_bytes
from brittle.learning import build_net, load, load_model, load_net

TOOLS, PEERS = ("autoattack", "quick", "standard"), ("torchattacks", "art")
ZOO = tuple(f"zoo:mnist-{name}" for name in ("standard", "linf", "l2", "trades", "msd"))
HOT = 1e4  # times the logits
USUAL = ("Linf:0.3", "L2:2", "L1:10")


class Public(NamedTuple):
    """A net that others published: its data, its widths (none: ResNet-18), threats to measure it in, the first digits
    of its SHA-256."""

    data: str
    widths: tuple[int, int, int] | None
    threats: tuple[str, ...]
    digest: str


PUBLIC = {
    "fast_pgd": Public("mnist", (16, 32, 100), USUAL, "877b74b1d2bf"),
    "fast_fgsm": Public("mnist", (16, 32, 100), USUAL, "07536ed24c71"),
    "wong_mnist01": Public("mnist", (16, 32, 100), ("Linf:0.1", "L2:1.5", "L1:6"), "95014ab0c04c"),
    "wong_mnist03": Public("mnist", (16, 32, 100), USUAL, "1f2bc54fa150"),
    "wong_cifar8": Public("cifar10", (16, 32, 100), ("Linf:8/255", "L2:0.5", "L1:12"), "f07c615f5861"),
    "wong_cifar_l2": Public("cifar10", (16, 32, 100), ("Linf:2/255", "L2:36/255", "L1:5"), "d99894f1fe28"),
    "aa_resnet18": Public("cifar10", None, ("Linf:8/255", "L2:0.5"), "399f52da9f91"),
}
CIFAR_MEAN, CIFAR_STD = (0.485, 0.456, 0.406), (0.225, 0.225, 0.225)  # as convex_adversarial feeds its CIFAR nets


class Counted(nn.Module):
    """A net that counts the images shown to it and the images whose gradient is asked."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.shown, self.gradients = net, 0, 0

    @property
    def work(self) -> int:
        """In forward passes; a gradient takes one, and a backward pass for two."""
        return self.shown + 2 * self.gradients

    def forward(self, x: Tensor) -> Tensor:
        self.shown += len(x)
        out: Tensor = self.net(x)
        if out.requires_grad:
            out.register_hook(lambda grad: setattr(self, "gradients", self.gradients + len(grad)))
        return out


class Normalised(nn.Module):
    """A net behind its normalisation."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(CIFAR_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(CIFAR_STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net((x - self.mean) / self.std)
        return found


class Hot(nn.Module):
    """A net with logits so large that, in float32, the gradient of cross-entropy is 0 on most images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = HOT * self.net(x)
        return found


def net_of(folder: Path, name: str) -> nn.Module:
    if name.startswith(("zoo:", "hot:")):
        net: nn.Module = load_model(f"zoo:{name[4:]}").model  # type: ignore[assignment]
        return Hot(net).eval() if name.startswith("hot:") else net.eval()
    if name not in PUBLIC:
        return load_net(folder / f"{name}.safetensors")[0].eval()
    path, public = folder / f"{name}.pth", PUBLIC[name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(public.digest):
        raise SystemExit(f"{path} is another file than the one that was measured ({digest[:12]})")
    held = torch.load(path, map_location="cpu", weights_only=True)
    held = held.get("state_dict", held)
    held = held[0] if isinstance(held, list) else held
    if public.widths is None:
        return resnet18_of(held)
    first, second, dense = public.widths
    channels, side = (1, 7) if public.data == "mnist" else (3, 8)
    net = nn.Sequential(
        *(nn.Conv2d(channels, first, 4, 2, 1), nn.ReLU(), nn.Conv2d(first, second, 4, 2, 1), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(second * side * side, dense), nn.ReLU(), nn.Linear(dense, 10)),
    )
    net.load_state_dict(held)
    return (Normalised(net) if channels == 3 else net).eval()


def resnet18_of(held: dict[str, Tensor]) -> nn.Module:
    """Our ResNet-18 with the weights of one that has other names for its parts, in the same order."""
    net = build_net("resnet18", (3, 32, 32), 10)
    own = {name: value for name, value in net.state_dict().items() if not name.startswith("0.")}
    net.load_state_dict(dict(zip(own, held.values(), strict=True)), strict=False)
    return net.eval()


def measure(folder: Path, name: str, n: int, threat: Threat, tool: str) -> dict[str, Any]:
    """One tool on one net in one threat, in this process."""
    net = net_of(folder, name)
    counted = Counted(net)
    test = load(PUBLIC[name].data if name in PUBLIC else "mnist").test.take(n)
    x, y = test.x(), test.labels
    with torch.no_grad():
        right = net(x).argmax(1) == y
    started, compared = time.process_time(), 0
    others = {"autoattack": autoattack, "torchattacks": torchattacks_autoattack, "art": art_autoattack}
    if tool in others:
        moved = others[tool](counted, x, y, threat)
        seconds = time.process_time() - started
    elif tool not in EFFORTS:
        moved = AttackSpec.parse(tool).build(counted, threat)(x, y)
        seconds = time.process_time() - started
    else:
        for event in audit_events(counted, (x, y), [threat], AuditSettings(tool)):
            if "comparing attacks" in event.text:
                compared -= counted.work
            elif compared < 0:
                compared += counted.work
        assert event.report is not None
        seconds, moved = time.process_time() - started, x.clone()
        broken, found = event.report.adversarial(threat)
        moved[broken] = found
    left = right & ~verify(net, threat, x, moved, y).broken
    shown, gradients = counted.shown / n, counted.gradients / n
    signs = {"comparing": compared / n} if tool in EFFORTS else {}
    run = provenance(torch.device("cpu"), seconds, 0)
    run["command"] = f"python benchmarks/audits.py --nets NETS -n {n} --one {name} {threat} {tool}"  # no path of ours
    return signs | {
        "net": name,
        "threat": str(threat),
        "tool": tool,
        "n": n,
        "clean": float(right.float().mean()),
        "robust": float(left.float().mean()),
        "forwards": shown - gradients,
        "gradients": gradients,
        "work": counted.work / n,
        "cpu_s": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "run": run,
    }


def autoattack(net: nn.Module, x: Tensor, y: Tensor, threat: Any) -> Tensor:
    from pyautoattack import AutoAttack

    logging.disable(logging.CRITICAL)
    attack = AutoAttack(net, norm=threat.norm, eps=threat.radius, version="standard", seed=0)
    moved: Tensor = attack.run_standard_evaluation(x, y, batch_size=250)[0]
    return moved


def torchattacks_autoattack(net: nn.Module, x: Tensor, y: Tensor, threat: Any) -> Tensor:
    import torchattacks

    attack = torchattacks.AutoAttack(net, norm=threat.norm, eps=threat.radius, version="standard", seed=0)
    return torch.cat([attack(*part) for part in zip(x.split(250), y.split(250), strict=True)])


def art_autoattack(net: nn.Module, x: Tensor, y: Tensor, threat: Any) -> Tensor:
    from art.attacks.evasion import AutoAttack
    from art.estimators.classification import PyTorchClassifier

    shown = PyTorchClassifier(net, nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0))
    norm = float("inf") if threat.norm == "Linf" else 2
    attack = AutoAttack(shown, norm=norm, eps=threat.radius, eps_step=threat.radius / 4, batch_size=250)
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def rows(folder: Path, names: list[str], n: int, tools: list[str]) -> Iterator[dict[str, Any]]:
    """Some tools on some nets, a process each."""
    for name in names:
        for threat in PUBLIC[name].threats if name in PUBLIC else USUAL:
            for tool in tools:
                if tool in PEERS and not threat.startswith(("Linf", "L2")):
                    continue
                words = [sys.executable, __file__, "--nets", str(folder), "-n", str(n), "--one", name, threat, tool]
                found = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                yield json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=Path, default=Path(), help="folder with published nets")
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--only", nargs="+", help="some of the nets")
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), help="also single attacks, as apgd:steps=40")
    parser.add_argument("--out", type=Path, default=Path("results/bench-audit.json"))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        name, threat, tool = asked.one
        print(json.dumps(measure(asked.nets, name, asked.n, parse_threat(threat), tool)))
        return
    there = [name for name in PUBLIC if (asked.nets / f"{name}.pth").exists()]
    own = sorted(path.stem for path in asked.nets.glob("*.safetensors"))
    names = asked.only or [*there, *ZOO, "hot:mnist-standard", *own]
    found = json.loads(asked.out.read_text())["rows"] if asked.out.exists() else []
    for row in rows(asked.nets, names, asked.n, asked.tools):
        found = [one for one in found if any(one[key] != row[key] for key in ("net", "threat", "tool"))] + [row]
        said = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        print(json.dumps(said | {"run": None}), flush=True)
        write_bytes(asked.out, (json.dumps({"rows": found}, indent=1) + "\n").encode())  # whole after each row


if __name__ == "__main__":
    main()
