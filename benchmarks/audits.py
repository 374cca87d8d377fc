"""Our audit beside AutoAttack standard (pyautoattack, by its authors): robust accuracy, work, CPU time, memory.

Same net, same images, one threat at a time, each in a process of its own with one thread. Work is counted at the model:
images shown, and images whose gradient is asked; as one figure a gradient counts three (a forward pass, and a backward
pass for two). Every adversarial image is judged by `verify` alike.

    python benchmarks/audits.py [--nets FOLDER] [-n 500] [--only NAME ...] [--tools NAME ...]
        [--out results/bench-audit.json]

Rows of other nets and tools that stand in the record already are kept. Nets are those of the zoo (`zoo:mnist-linf`), a
masked one made of it (`hot:mnist-standard`, whose logits are so large that the softmax is 0 or 1), and, where FOLDER is
given, nets that others trained and published, under the names of nets.py (`advertorch.pth`; the sources stand there),
and any checkpoint of ours (`mine.safetensors`, in MNIST's usual threats). Data are looked up in $BRITTLE_DATA. Tools
are AutoAttack by its authors, our efforts, torchattacks' and ART's AutoAttack (their own attacks under that name, in
Linf and L2), and single attacks of ours.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from nets import PUBLIC, USUAL, file_of, published
from torch import Tensor, nn

from brittle.attacks import AttackSpec, Threat, parse_threat
from brittle.audits import EFFORTS, provenance, verify
from brittle.audits.audit import AuditSettings, audit_events
from brittle.ground import write_bytes
from brittle.learning import load, load_model, load_net

TOOLS, PEERS = ("autoattack", "quick", "standard"), ("torchattacks", "art")
ZOO = tuple(f"zoo:mnist-{name}" for name in ("standard", "linf", "l2", "trades", "msd"))
HOT = 1e4  # times the logits


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
    if name in PUBLIC:
        return published(folder, name)
    return load_net(folder / f"{name}.safetensors")[0].eval()


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
    there = [name for name in PUBLIC if file_of(asked.nets, name).exists()]
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
