"""What attacks and training cost beyond the model: seconds of ours over those of a bare loop of as many passes.

Random weights, 250 random MNIST-sized images, one thread; seconds are the processor's, so that others on the machine
count little; rounds are interleaved, and a figure is a ratio of medians within one run.

    python benchmarks/floor.py [--rounds 5] [--steps 20] [--out results/bench-floor.json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import L1, L2, AttackSpec, Linf, MinimumNorm
from brittle.audits import provenance
from brittle.ground import Model, fast_dtype, functional_model, keep_freed_memory
from brittle.learning import Adversarial, InnerAttack, Recipe, build_net, load, train

NETS, BATCH = ("fast", "madry"), 250
THREATS = (Linf(0.3), L2(2), L1(10))
ATTACKS = ("pgd", "apgd", "second_order", "fmn", "square")


def bare(model: Model, x: Tensor, y: Tensor, gradients: int, forwards: int) -> None:
    """Nothing but the model: its loss with as many gradients, its answer as often."""
    for _ in range(gradients):
        at = x.detach().requires_grad_()
        torch.autograd.grad(torch.nn.functional.cross_entropy(model(at).float(), y, reduction="sum"), at)
    for _ in range(forwards):
        with torch.no_grad():
            model(x)


def cases(net: Any, x: Tensor, y: Tensor, steps: int) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Of each attack in each threat: the attack, and the bare loop of its cost."""
    found: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
    for name in ATTACKS:
        for threat in THREATS:
            asked = {"queries": 3 * steps} if name == "square" else {"steps": steps}
            spec = AttackSpec.of(name, **asked, **({"draws": 2} if name == "second_order" else {}))
            search = spec.search_on(spec.objective(net), threat)
            attack = search.within(threat) if isinstance(search, MinimumNorm) else search
            model = functional_model(net, fast_dtype("cpu") if spec.entry.precision == "fast" else torch.float32)
            backwards = round(spec.cost.backwards)
            forwards = round(spec.cost.forwards) - backwards
            found[f"{name} {threat}"] = (
                lambda attack=attack: attack(x, y),  # type: ignore[misc]
                lambda model=model, b=backwards, f=forwards: bare(model, x, y, b, f),  # type: ignore[misc]
            )
    return found


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(kind: str, rounds: int, steps: int) -> dict[str, dict[str, float]]:
    torch.manual_seed(0)
    net, x = build_net(kind, (1, 28, 28), 10).eval(), torch.rand(BATCH, 1, 28, 28)
    y = net(x).argmax(1)
    pairs = cases(net, x, y, steps)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for _ in range(rounds + 1):  # the first warms everything up
        for name, (ours, floor) in pairs.items():
            taken[name].append((seconds(ours), seconds(floor)))
    table = {}
    for name, rows in taken.items():
        ours_s, floor_s = (statistics.median(column) for column in zip(*rows[1:], strict=True))
        table[name] = {"ours_s": ours_s, "floor_s": floor_s, "ratio": ours_s / floor_s}
        print(f"{kind:<7}{name:<22}{ours_s:8.3f} s {floor_s:8.3f} s  {ours_s / floor_s:5.2f}x", flush=True)
    return table


def training(kind: str, steps: int) -> dict[str, float]:
    """The median step of training with PGD-7 in Linf on batches of 250, beside one without any of ours."""
    data, taken = load("mnist"), []
    torch.manual_seed(0)
    net = build_net(kind, data.shape, 10)
    goal, recipe = Adversarial((Linf(0.3),), InnerAttack(steps=7), ramp=0), Recipe(batch=BATCH, precision="float32")
    events = train(net, data, goal, recipe, device="cpu")
    x, y = data.train.take(BATCH).x(), data.train.labels[:BATCH]
    optimizer = recipe.over(net.parameters())

    def step() -> None:
        bare(functional_model(net, fast_dtype("cpu")), x, y, 7, 0)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()

    for _ in range(steps + 2):
        taken.append((seconds(lambda: next(events)), seconds(step)))
    ours_s, floor_s = (statistics.median(column) for column in zip(*taken[2:], strict=True))
    print(f"{kind:<7}{'training':<22}{ours_s:8.3f} s {floor_s:8.3f} s  {ours_s / floor_s:5.2f}x", flush=True)
    return {"ours_s": ours_s, "floor_s": floor_s, "ratio": ours_s / floor_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results/bench-floor.json"))
    asked = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    table = {kind: measure(kind, asked.rounds, asked.steps) for kind in NETS}
    for kind in NETS:
        table[kind]["training with PGD-7"] = training(kind, 4 * asked.rounds)
    run = provenance(torch.device("cpu"), 0.0, 0)
    record = {"batch": BATCH, "steps": asked.steps, "rounds": asked.rounds, "table": table, "run": run}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written to {asked.out}")


if __name__ == "__main__":
    main()
