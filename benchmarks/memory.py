"""Peak memory of audit, attack and disentangle as the images grow: `python benchmarks/memory.py`, a JSON row for each.

Each case is a process of its own, on colour noise of 64 x 64 pixels (12 KiB an image in 8 bits, 48 KiB as floats) and
a small net whose own answers are the labels, so that nothing is wrong at first: `withstand` is asked in a ball in which
all images withstand, `break` in one in which all break.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SIDE, COUNTS = 64, (1000, 4000, 16_000)
CASES = ("load", "audit withstand", "audit break", "attack", "disentangle")


def main() -> None:
    """Every case at every count, or the one that the arguments name."""
    if len(sys.argv) > 1:
        print(json.dumps(peak(sys.argv[1], int(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            for case in CASES:
                asked = [sys.executable, __file__, case, str(count)]
                environment = os.environ | {"MEMORY_FOLDER": folder, "BRITTLE_STORE": f"{folder}/store"}
                subprocess.run(asked, check=True, env=environment)


def peak(case: str, count: int) -> dict[str, object]:
    """Do the work, and tell the peak of resident memory in MiB."""
    from brittle.attacks import L2, AttackSpec
    from brittle.science import Targeted
    from brittle.studies import Audit, DataSource, File, Make, RunAttack, Store, run_node

    folder = Path(os.environ["MEMORY_FOLDER"])
    data, weights = folder / f"{count}.safetensors", folder / "net.safetensors"
    if case == "load":
        _write(data, weights, count)
    source, net = DataSource.of(f"tensors:{data}"), File.of(str(weights))
    nodes = {
        "audit withstand": Audit(net, source, (L2("0.00001"),), "smoke", 0),
        "audit break": Audit(net, source, (L2(20),), "smoke", 0),
        "attack": RunAttack(net, source, L2(1), AttackSpec.of("pgd", steps=3), 0),
        "disentangle": Make("D_det", net, source, Targeted("shift", L2(1), 3, 0.5), L2(1), 0, part="test"),
    }
    for _ in run_node(nodes[case], Store()) if case in nodes else ():
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"case": case, "images": count, "peak MiB": round(most), "bytes MiB": round(count * 3 * SIDE**2 / 2**20)}


def _write(data: Path, weights: Path, count: int) -> None:
    """Images to be tested on, with the answers of a net as their labels, and the net."""
    import torch
    from safetensors.torch import save_file

    from brittle.attacks import classes_of
    from brittle.ground import ByteImages
    from brittle.learning import build_net, save_net

    torch.manual_seed(0)
    net, classes = build_net("fast", (3, SIDE, SIDE), 10), [str(k) for k in range(10)]
    images = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8)
    labels = classes_of(net, ByteImages(images, images.device))
    said = {"net": "fast", "shape": (3, SIDE, SIDE), "classes": classes, "mean": None, "std": None}
    save_net(weights, net, said)
    learned = {"images": images[:20].clone(), "labels": torch.arange(20) % 10}
    save_file(learned | {"test_images": images, "test_labels": labels}, data, {"classes": json.dumps(classes)})


if __name__ == "__main__":
    main()
