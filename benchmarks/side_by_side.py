"""Does it pay to compute two nodes of a paper side by side on a CPU, each on half of the threads, and not one on all?

Images per second of training and of PGD, by one process with all threads and by one process per thread, in interleaved
rounds within this one run; the figures are ratios of medians.

    python benchmarks/side_by_side.py [--rounds 5] [--seconds 6] [--out results/bench-side-by-side.json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from brittle.attacks import L2, against, pgd
from brittle.audits import provenance
from brittle.ground import keep_freed_memory
from brittle.learning import DataSet, Recipe, Split, Standard, build_net, train

NETS = {"quick": (3, 32, 32), "trades": (3, 32, 32), "madry": (1, 28, 28)}
WORK = ("training", "PGD")


def images_per_second(net: str, work: str, seconds: float) -> float:
    """What this process does alone, after a warm-up."""
    keep_freed_memory()
    torch.manual_seed(0)
    shape, batch = NETS[net], 128
    model = build_net(net, shape, 10)
    x, y = torch.randint(0, 256, (100 * batch, *shape), dtype=torch.uint8), torch.randint(0, 10, (100 * batch,))
    if work == "training":
        part = Split(x, y, tuple(map(str, range(10))), "random")
        data = DataSet("random", part, part.take(1), part.take(1))
        steps = iter(train(model, data, Standard(), Recipe(1000, batch), device="cpu"))
        return timed(lambda: next(steps), batch, seconds)
    attack, images = pgd(against(model, precision="fast"), L2(0.5), steps=10), x[:batch] / 255
    return timed(lambda: attack(images, y[:batch]), 10 * batch, seconds)


def timed(step, images: int, seconds: float) -> float:  # type: ignore[no-untyped-def]
    """Images per second of a step that is repeated."""
    step()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        step()
        count += images
    return count / (time.perf_counter() - began)


def together(net: str, work: str, processes: int, seconds: float) -> float:
    """Images per second of so many processes, which share the threads."""
    words = [sys.executable, __file__, "--worker", net, work, str(seconds)]
    env = os.environ | {"OMP_NUM_THREADS": str((os.cpu_count() or 1) // processes)}
    running = [subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(one.communicate()[0]) for one in running)


def main() -> None:
    """Run the rounds, print the table and write the record."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=6)
    words.add_argument("--out", type=Path, default=Path("results/bench-side-by-side.json"))
    words.add_argument("--worker", nargs=3)
    asked = words.parse_args()
    if asked.worker:
        net, work, seconds = asked.worker
        print(images_per_second(net, work, float(seconds)))
        return
    count, rows, started = os.cpu_count() or 1, [], time.perf_counter()
    measure_paper: dict[tuple[str, str, int], list[float]] = {}
    for _ in range(asked.rounds):
        for net in NETS:
            for work in WORK:
                for processes in (1, count):
                    measure_paper.setdefault((net, work, processes), []).append(
                        together(net, work, processes, asked.seconds)
                    )
    for net in NETS:
        for work in WORK:
            alone, split = (measure_paper[net, work, processes] for processes in (1, count))
            ratio = statistics.median(split) / statistics.median(alone)
            rows.append({"net": net, "work": work, "one process": alone, f"{count} processes": split, "ratio": ratio})
            print(
                f"{net:8} {work:10} one {statistics.median(alone):7.0f}/s, {count} {statistics.median(split):7.0f}/s: "
                f"{ratio:.2f}x"
            )
    about = provenance(torch.device("cpu"), time.perf_counter() - started, 0)
    record = {"rounds": asked.rounds, "seconds": asked.seconds, "rows": rows, "run": about}
    asked.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
