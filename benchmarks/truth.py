"""Audits beside the exact truth: tiny ReLU nets, of which mixed-integer programming tells what can be broken.

    python benchmarks/truth.py [-n 100] [--out results/truth.json]

Nets of 30 to 110 units are trained on digits, without attack and with PGD. Of the images that a net gets right, those
that are proved robust in Linf are counted, and those for which an adversarial image exists; the rest is undecided (10
seconds an image). The truth is compared with what each effort leaves, and with what bounds alone prove.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.attacks import Linf, against, pgd
from brittle.audits import audit, provenance
from brittle.audits.proofs import certify, graph_of
from brittle.ground import write_bytes
from brittle.learning import load

EFFORTS = ("quick", "standard", "thorough")
EPOCHS = 60


def dense(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for inside, outside in zip((64, *widths), (*widths, 10), strict=True):
        layers += [nn.Linear(inside, outside), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Sequential:
    layers = nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)
    return nn.Sequential(*layers)


NETS = {  # builder, eps that it is trained against (0: none), eps that it is audited in
    "dense 24-16": (lambda: dense(24, 16), 0.0, 0.05),
    "dense 24-16, PGD": (lambda: dense(24, 16), 0.1, 0.1),
    "dense 40": (lambda: dense(40), 0.0, 0.05),
    "dense 12-12-12": (lambda: dense(12, 12, 12), 0.0, 0.05),
    "dense 12-12-12, PGD": (lambda: dense(12, 12, 12), 0.1, 0.1),
    "conv 4, dense 16": (convolutional, 0.0, 0.05),
    "conv 4, dense 16, PGD": (convolutional, 0.1, 0.1),
}


def trained(build: Any, eps: float, x: Tensor, y: Tensor) -> nn.Sequential:
    torch.manual_seed(0)
    net: nn.Sequential = build()
    adam = torch.optim.Adam(net.parameters(), 5e-3)
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(64):
            images = x[rows]
            if eps:
                images = pgd(against(net), Linf(eps), steps=5, start="random", seed=epoch).run(images, y[rows]).x
            adam.zero_grad()
            nn.functional.cross_entropy(net(images), y[rows]).backward()
            adam.step()
    return net.eval()


def row(name: str, n: int) -> dict[str, Any]:
    build, trained_in, eps = NETS[name]
    data = load("digits")
    net = trained(build, trained_in, data.train.x(), data.train.labels)
    part, threat, started = data.test.take(n), Linf(eps), time.monotonic()
    x, y = part.x(), part.labels
    right = net(x).argmax(1) == y
    found = certify(graph_of(net, x), threat, x[right], y[right])
    proofs = [proof for proof in found.by if proof]
    exact = time.monotonic() - started
    left = {effort: audit(net, (x, y), [threat], effort=effort).union.correct for effort in EFFORTS}
    return {
        "net": name,
        "threat": str(threat),
        "n": n,
        "right": int(right.sum()),
        "robust": len(proofs),
        "broken": int(found.broken.sum()),
        "bounds_alone": sum(proof != "exact search" for proof in proofs),
        "left": left,
        "exact_seconds": round(exact, 1),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("-n", type=int, default=100)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    started, rows = time.monotonic(), []
    for name in NETS:
        rows.append(row(name, options.n))
        print(rows[-1], flush=True)
    if options.out:
        record = {"nets": rows, "run": provenance(torch.device("cpu"), time.monotonic() - started, 0)}
        write_bytes(options.out, json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
