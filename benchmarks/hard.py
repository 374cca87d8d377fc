"""Images that are known to be breakable, and that gradients do not break: who finds the adversarial image?

Zhang et al. 2022 (BaB-Attack) list test images of MNIST on which hundreds of restarts of gradient attacks fail in Linf
0.3 while mixed-integer programming finds an adversarial image, for two nets trained with PGD that they published.
Nobody here trained those nets, and nothing of ours chose the images.

    python benchmarks/hard.py NETS [--out results/hard-images.json]

NETS holds, from complete_verifier/models of github.com/Verified-Intelligence/alpha-beta-CROWN, `bab_attack/
MadryCNN_no_maxpool_tiny.pt` and `sdp/mnist_cnn_a_adv.model`; the images are those of their attack_idx/*/
mip_unsafe_idx.txt. MNIST is looked up in $BRITTLE_DATA, in its usual order.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from audits import Counted, autoattack
from torch import Tensor, nn

import brittle
from brittle.attacks import AttackSpec, Linf
from brittle.audits import EFFORTS, provenance, verify
from brittle.ground import write_bytes
from brittle.learning import load

THREAT = Linf(0.3)
TOOLS = ("autoattack", "standard", "thorough", "square_apgd:queries=5000,steps=100", "memetic:generations=60")


class Hard(NamedTuple):
    """A published net: where its file lies, the first digits of its SHA-256, its layers, its hard images."""

    file: str
    digest: str
    net: tuple[nn.Module, ...]
    rows: tuple[int, ...]


NETS = {
    "MadryCNN tiny": Hard(
        "bab_attack/MadryCNN_no_maxpool_tiny.pt",
        "171ffe80d82d",
        (nn.Conv2d(1, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 8, 5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 128)),
        (
            1406,
            2244,
            6605,
            4974,
            7027,
            9754,
            4633,
            1105,
            4479,
            9751,
            7903,
            3542,
            9680,
            3343,
            333,
            4963,
            758,
            4432,
            1028,
            8847,
        ),
    ),
    "CNN-A, PGD": Hard(
        "sdp/mnist_cnn_a_adv.model",
        "3a1dbfc656e4",
        (
            nn.Conv2d(1, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1568, 100),
        ),
        (
            3343,
            9711,
            1729,
            9697,
            7071,
            2113,
            4311,
            8374,
            4868,
            4547,
            8049,
            8258,
            3468,
            2318,
            8702,
            2769,
            273,
            8578,
            7799,
            2745,
        ),
    ),
}


def opened(folder: Path, hard: Hard) -> nn.Module:
    path = folder / hard.file
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(hard.digest):
        raise SystemExit(f"{path} is another file than the one that was measured ({digest[:12]})")
    held = torch.load(path, map_location="cpu", weights_only=True)
    net = nn.Sequential(*hard.net, nn.ReLU(), nn.Linear(hard.net[-1].out_features, 10))  # type: ignore[arg-type]
    net.load_state_dict(held.get("state_dict", held) if isinstance(held, dict) else held[0])
    return net.eval()


def examples(rows: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Test images by their place in MNIST's own order."""
    test = load("mnist").test
    return test.x()[list(rows)], test.labels[list(rows)]


def measure(net: nn.Module, x: Tensor, y: Tensor, tool: str) -> dict[str, Any]:
    counted, started = Counted(net), time.process_time()
    if tool in EFFORTS:
        report = brittle.audit(counted, (x, y), THREAT, effort=tool)
        moved, (broken, found) = x.clone(), report.adversarial(THREAT)
        moved[broken] = found
    else:
        moved = (
            autoattack(counted, x, y, THREAT)
            if tool == "autoattack"
            else AttackSpec.parse(tool).build(counted, THREAT)(x, y)
        )
    seconds, broken = time.process_time() - started, int(verify(net, THREAT, x, moved, y).broken.sum())
    return {"tool": tool, "n": len(x), "broken": broken, "work": counted.work / len(x), "cpu_s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("nets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results/hard-images.json"))
    asked, rows = parser.parse_args(), []
    torch.set_num_threads(1)
    for name, hard in NETS.items():
        net, (x, y) = opened(asked.nets, hard), examples(hard.rows)
        for tool in TOOLS:
            rows.append({"net": name, "threat": str(THREAT), **measure(net, x, y, tool)})
            print(rows[-1], flush=True)
    run = provenance(torch.device("cpu"), sum(row["cpu_s"] for row in rows), 0)
    run["command"] = "python benchmarks/hard.py NETS"
    write_bytes(asked.out, json.dumps({"rows": rows, "run": run}, indent=1).encode())


if __name__ == "__main__":
    main()
