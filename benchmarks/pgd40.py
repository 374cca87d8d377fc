"""PGD-40 on 1,000 MNIST test images against a PGD-trained `madry` net: brittle beside foolbox, torchattacks and ART.

Each library runs in a process of its own (so that none profits from another's settings), all on the same checkpoint,
images, eps, step size and start (the clean image); rounds are interleaved, and the figures are ratios of medians within
this one run. Peers run with each of several batch sizes, and the best counts. Robust accuracy is judged in plain
float32 by the parent.

    python benchmarks/pgd40.py [--checkpoint FILE] [--rounds 5] [--out results/bench-pgd40.json]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.attacks import L2, Linf, Threat
from brittle.attacks.memory import BATCH
from brittle.audits import provenance, verify
from brittle.learning import Adversarial, InnerAttack, Recipe, load, load_net

N, STEPS = 1000, 40
THREATS = {"Linf:0.3": (Linf(0.3), 0.01), "L2:2": (L2(2), 0.125)}
PEERS = ("foolbox", "torchattacks", "art")
BATCHES = (100, 250, 1000)


def attack_of(
    library: str, net: nn.Module, threat: Threat, step: float, batch: int
) -> Callable[[Tensor, Tensor], Tensor]:
    """The library's PGD-40 from the clean image, as a function of images and labels."""
    eps, linf = threat.radius, threat.norm == "Linf"
    if library == "brittle":
        from brittle.attacks import against, pgd

        return pgd(against(net, precision="fast"), threat, steps=STEPS, step=step, start="clean")
    if library == "foolbox":
        import foolbox

        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        kind = foolbox.attacks.LinfPGD if linf else foolbox.attacks.L2PGD
        pgd_ = kind(abs_stepsize=step, steps=STEPS, random_start=False)
        return batched(lambda x, y: pgd_(model, x, y, epsilons=eps)[1], batch)
    if library == "torchattacks":
        import torchattacks

        if linf:
            return batched(torchattacks.PGD(net, eps=eps, alpha=step, steps=STEPS, random_start=False), batch)
        return batched(torchattacks.PGDL2(net, eps=eps, alpha=step, steps=STEPS, random_start=False), batch)
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    estimator = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu")
    attack = ProjectedGradientDescentPyTorch(
        estimator,
        norm=float("inf") if linf else 2,
        eps=eps,
        eps_step=step,
        max_iter=STEPS,
        num_random_init=0,
        batch_size=batch,
        verbose=False,
    )
    return lambda x, y: torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def batched(attack: Callable[[Tensor, Tensor], Tensor], size: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, y: torch.cat([attack(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)])


def serve(library: str, checkpoint: str, folder: str) -> None:
    """One library's process: for each line (threat, batch, images) on stdin run the attack once; answer seconds and
    peak memory."""
    net, _ = load_net(Path(checkpoint))
    test = load("mnist").test.take(N)
    for line in sys.stdin:
        name, batch, count = line.split()
        x, y = test.take(int(count)).x(), test.labels[: int(count)]
        threat, step = THREATS[name]
        attack = attack_of(library, net, threat, step, int(batch))
        started = time.perf_counter()
        x_adv = attack(x, y)
        seconds = time.perf_counter() - started
        torch.save(x_adv.detach().float(), f"{folder}/{library}.pt")
        print(
            json.dumps({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}),
            flush=True,
        )


class Worker:
    """A library's process, asked line by line."""

    def __init__(self, library: str, checkpoint: Path, folder: str) -> None:
        words = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--serve",
            library,
            "--checkpoint",
            str(checkpoint),
            "--out",
            folder,
        ]
        self.library, self.folder = library, folder
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, threat: str, batch: int, count: int = N) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{threat} {batch} {count}\n")
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline()).startswith("{"):  # a peer may print
            if not line:
                raise SystemExit(f"{self.library} stopped; its message stands above")
        return dict(json.loads(line))

    def images(self) -> Tensor:
        return torch.load(f"{self.folder}/{self.library}.pt", weights_only=True)


def measure(checkpoint: Path, rounds: int) -> dict[str, Any]:
    """Seconds, robust accuracy and peak memory of each library in each threat, rounds interleaved."""
    net, header = load_net(checkpoint)
    test = load("mnist").test.take(N)
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for threat in THREATS:
            workers = {library: Worker(library, checkpoint, folder) for library in ("brittle", *PEERS)}
            # a first round on fewer images warms everything up and picks each peer's best batch size
            first = {
                library: {
                    batch: worker.run(threat, batch, max(250, batch))["seconds"] / max(250, batch) for batch in BATCHES
                }
                for library, worker in workers.items()
            }
            best = {library: min(seconds, key=lambda batch: seconds[batch]) for library, seconds in first.items()}
            seconds: dict[str, list[float]] = {library: [] for library in workers}
            peak: dict[str, float] = {}
            for _ in range(rounds):
                for library, worker in workers.items():
                    said = worker.run(threat, best[library])
                    seconds[library].append(said["seconds"])
                    peak[library] = said["peak_mib"]
            rows = {}
            for library, worker in workers.items():
                check_set = verify(net, THREATS[threat][0], test.x(), worker.images(), test.labels)
                rows[library] = {
                    "median_s": statistics.median(seconds[library]),
                    "seconds": seconds[library],
                    "batch": best[library] if library != "brittle" else BATCH,
                    "robust_accuracy": 1 - float(check_set.broken.float().mean()),
                    "peak_mib": peak[library],
                }
                worker.process.communicate()
            for library in PEERS:
                rows[library]["brittle_is_faster_by"] = rows[library]["median_s"] / rows["brittle"]["median_s"]
            table[threat] = rows
            show(threat, rows)
    return {
        "n": N,
        "steps": STEPS,
        "rounds": rounds,
        "model": header["name"],
        "table": table,
        "run": provenance(torch.device("cpu"), 0.0, 0),
    }


def show(threat: str, rows: dict[str, Any]) -> None:
    print(f"\nPGD-{STEPS} {threat}, {N} images")
    for library, row in rows.items():
        ratio = f"{row['brittle_is_faster_by']:.2f}x" if library != "brittle" else ""
        cost = f"{row['median_s']:7.2f} s  batch {row['batch']:<5}{row['peak_mib']:6.0f} MiB"
        print(f"  {library:<13}{cost}{100 * row['robust_accuracy']:7.1f} %  {ratio}", flush=True)


def trained() -> Path:
    """The net that is attacked: from the store, or trained now (docs/mnist-linf.md)."""
    from brittle.studies import DataSource, Store, Train, run_node

    recipe = Recipe(epochs=2.5, batch=64, lr=1.5e-3)
    node = Train(DataSource.of("mnist"), "madry", Adversarial((Linf(0.3),), InnerAttack(steps=5)), recipe)
    for event in run_node(node, Store()):
        folder = event.folder
    assert folder is not None
    return folder / "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="results/bench-pgd40.json")
    parser.add_argument("--serve", choices=("brittle", *PEERS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, str(asked.checkpoint), asked.out)
        return
    result = measure(asked.checkpoint or trained(), asked.rounds)
    Path(asked.out).parent.mkdir(parents=True, exist_ok=True)
    Path(asked.out).write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten to {asked.out}")


if __name__ == "__main__":
    main()
