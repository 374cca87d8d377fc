"""Images that are known to be breakable, and that gradients do not break: who finds the adversarial image?

Zhang et al. 2022 (BaB-Attack) list test images of MNIST on which hundreds of restarts of gradient attacks fail in Linf
0.3 while mixed-integer programming finds an adversarial image, for two nets trained with PGD that they published.
Nobody here trained those nets, and nothing of ours chose the images.

    python benchmarks/hard.py NETS [--out results/hard-images.json]

NETS holds `madry_tiny.pth` and `cnn_a_mnist.pth` (nets.py says where they lie); the images are those of their
repository's attack_idx/*/mip_unsafe_idx.txt. MNIST is looked up in $BRITTLE_DATA, in its usual order.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from audits import Counted, autoattack
from nets import published
from torch import Tensor, nn

import brittle
from brittle.attacks import AttackSpec, Linf
from brittle.audits import EFFORTS, provenance, verify
from brittle.ground import write_bytes
from brittle.learning import load

THREAT = Linf(0.3)
TOOLS = ("autoattack", "standard", "thorough", "square_apgd:queries=5000,steps=100", "memetic:generations=60")


ROWS = {
    "madry_tiny": "1406 2244 6605 4974 7027 9754 4633 1105 4479 9751 7903 3542 9680 3343 333 4963 758 4432 1028 8847",
    "cnn_a_mnist": "3343 9711 1729 9697 7071 2113 4311 8374 4868 4547 8049 8258 3468 2318 8702 2769 273 8578 7799 2745",
}


def examples(name: str) -> tuple[Tensor, Tensor]:
    """Test images by their place in MNIST's own order."""
    test, rows = load("mnist").test, [int(row) for row in ROWS[name].split()]
    return test.x()[rows], test.labels[rows]


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
    for name in ROWS:
        net, (x, y) = published(asked.nets, name), examples(name)
        for tool in TOOLS:
            rows.append({"net": name, "threat": str(THREAT), **measure(net, x, y, tool)})
            print(rows[-1], flush=True)
    run = provenance(torch.device("cpu"), sum(row["cpu_s"] for row in rows), 0)
    run["command"] = "python benchmarks/hard.py NETS"
    write_bytes(asked.out, json.dumps({"rows": rows, "run": run}, indent=1).encode())


if __name__ == "__main__":
    main()
