"""The first half hour on a GPU: is every attack right there, how fast is what matters, and what makes the host wait?

    python benchmarks/gpu.py [--device cuda] [--seconds 590] [--toy] [--out results/gpu/gpu.json]

One row a question, written as soon as it is known; called again it goes on with what is missing (status 75 where the
seconds were spent before the end). Three kinds of rows:

- `same`: robust accuracy of an attack on the device and on the CPU, in float32, from the same noise; images that fell
  on one side only. They should be none but for rounding: at most 0.2 points.
- `speed`: seconds of ours, of a bare loop of as many passes, and of other libraries where they are installed, on
  random images and nets of CIFAR's shape: interleaved rounds, medians of one run; images a second; the share of the
  matrix rate that bfloat16 reaches here on a large product.
- `waits`: how often the host waits for the device in a step, by torch's profiler.

`--toy` asks the same of tiny nets and few images, to see that every row runs (with `--device cpu` anywhere).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from brittle.attacks import L1, L2, AttackSpec, Linf, MinimumNorm, Threat, against, attack_entries, loss_named
from brittle.audits import audit, provenance, verify
from brittle.ground import fast_dtype, functional_model, pick_device, write_bytes
from brittle.learning import Adversarial, DataSet, InnerAttack, Recipe, Split, build_net, load, load_model, train

CUT_SHORT = 75  # status: call again to go on
THREATS = (Linf(0.3), L2(2), L1(10))
CIFAR = Linf("8/255")
SMALL = {"steps": 20, "queries": 100, "draws": 2, "targets": 2, "iterations": 5}
Row = dict[str, Any]
Question = Callable[[], Row]


@dataclass(frozen=True)
class Scale:
    """How much is asked."""

    device: torch.device
    images: int
    batch: int
    steps: int
    rounds: int
    nets: tuple[str, ...]
    product: int  # of matrices of this size the matrix rate is taken
    subject: str


class Wide(nn.Module):
    """A block of a wide residual net. Source: Zagoruyko and Komodakis 2016."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(inside), nn.BatchNorm2d(outside)
        self.one = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.way = nn.Conv2d(inside, outside, 1, stride, bias=False) if (inside, stride) != (outside, 1) else None

    def forward(self, x: Tensor) -> Tensor:
        ready = self.first(x).relu()
        moved: Tensor = self.two(self.second(self.one(ready)).relu())
        return moved + (x if self.way is None else self.way(ready))


def wide(depth: int, width: int, classes: int = 10) -> nn.Sequential:
    """WRN-depth-width for images of 32 x 32, with random weights."""
    sizes = [16, 16 * width, 32 * width, 64 * width]
    blocks: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
    for inside, outside, stride in zip(sizes[:-1], sizes[1:], (1, 2, 2), strict=True):
        for number in range((depth - 4) // 6):
            blocks.append(Wide(inside if number == 0 else outside, outside, stride if number == 0 else 1))
    head = (nn.BatchNorm2d(sizes[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(sizes[-1], classes))
    return nn.Sequential(*blocks, *head)


def net_of(name: str, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    if name.startswith("wrn"):
        depth, width = map(int, name.removeprefix("wrn-").split("-"))
        return wide(depth, width).eval().to(device)
    return build_net(name, (3, 32, 32), 10).eval().to(device)


def random_images(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = torch.Generator().manual_seed(0)
    images, labels = torch.rand(count, 3, 32, 32, generator=rows), torch.randint(0, 10, (count,), generator=rows)
    return images.to(device), labels.to(device)


# Is it right?


def same(name: str, threat: Threat, scale: Scale) -> Row:
    """What an attack leaves on the device and on the CPU, in float32."""
    subject = load_model(scale.subject)
    part = load("digits" if "digits" in scale.subject else "mnist").test.take(scale.images)
    settings = {key: value for key, value in SMALL.items() if key in attack_entries()[name].settings}
    spec, left, seconds = AttackSpec.of(name, **settings), [], []
    for place in (torch.device("cpu"), scale.device):
        model = subject.model.to(place)  # type: ignore[attr-defined]
        x, y = part.x().to(place), part.labels.to(place)
        loss = loss_named(spec.loss or spec.entry.loss or "cross_entropy")
        search = spec.search_on(against(model, loss, precision="float32"), threat, 0)
        attack = search.within(threat) if isinstance(search, MinimumNorm) else search
        began = time.perf_counter()
        moved = attack(x, y)
        left.append(~verify(model, threat, x, moved, y).broken.cpu())
        seconds.append(time.perf_counter() - began)
    (cpu, there), n = left, len(part)
    points = 100 * abs(int(cpu.sum()) - int(there.sum())) / n
    figures = {"cpu": int(cpu.sum()), "device": int(there.sum()), "n": n, "differ": int((cpu != there).sum())}
    return {**figures, "points": points, "fine": points <= max(0.2, 100 / n), "seconds": seconds}


# How fast?


def rates(work: dict[str, Callable[[], object]], images: int, scale: Scale) -> Row:
    """Seconds of each, interleaved, by the median; images a second."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for name in work:
        work[name]()  # memory, kernels, what is compiled
    for _ in range(scale.rounds):
        for name, run in work.items():
            settled(scale.device)
            began = time.perf_counter()
            run()
            settled(scale.device)
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {name: {"seconds": each, "images_per_second": images / each} for name, each in medians.items()}


def settled(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    torch.zeros(1, device=device).item()


def attacked(name: str, what: str, scale: Scale) -> Row:
    """PGD, APGD or S-O beside a bare loop of as many gradients, and beside others."""
    net, (x, y) = net_of(name, scale.device), random_images(scale.batch, scale.device)
    spec = AttackSpec.of(what, steps=scale.steps)
    attack, own = spec.build(net, CIFAR), functional_model(net, fast_dtype(scale.device.type))
    count = round(spec.cost.backwards)

    def bare() -> None:
        for _ in range(count):
            at = x.detach().requires_grad_()
            torch.autograd.grad(nn.functional.cross_entropy(own(at).float(), y, reduction="sum"), at)

    work: dict[str, Callable[[], object]] = {"ours": lambda: attack(x, y), "bare": bare}
    work |= {peer: partial(run, x, y) for peer, run in peers(net, what, scale.steps)}
    found = rates(work, len(x) * count, scale)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        net(x)
    needed = 2 * counted.get_total_flops() * count  # a gradient with respect to the images costs a second pass
    rate = matrix_rate(scale)
    return {**found, "operations": needed, "share_of_matrix_rate": needed / found["ours"]["seconds"] / rate}


def peers(net: nn.Module, what: str, steps: int) -> Iterator[tuple[str, Callable[[Tensor, Tensor], object]]]:
    """The same attack of other libraries, where they are installed."""
    try:
        import torchattacks
    except ImportError:
        pass
    else:
        eps = CIFAR.radius
        made = {"pgd": lambda: torchattacks.PGD(net, eps, eps / 4, steps), "apgd": lambda: torchattacks.APGD(net)}
        if what in made:
            attack = made[what]()
            if what == "apgd":
                attack.eps, attack.steps, attack.n_restarts = eps, steps, 1
            yield "torchattacks", attack
    try:
        import foolbox
    except ImportError:
        return
    if what == "pgd":
        model = foolbox.PyTorchModel(net, bounds=(0, 1))
        run = foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=steps)
        yield "foolbox", lambda x, y: run(model, x, y, epsilons=CIFAR.radius)


def audited(name: str, scale: Scale) -> Row:
    """A quick audit of a net with random weights, told its own answers as labels."""
    net, (x, _) = net_of(name, scale.device), random_images(scale.images, scale.device)
    with torch.no_grad():
        y = torch.cat([net(part).argmax(1) for part in x.split(scale.batch)])
    work: dict[str, Callable[[], object]] = {
        "ours": lambda: audit(net, (x, y), [CIFAR], effort="quick", batch=scale.batch)
    }
    return rates(work, len(x), replace(scale, rounds=1))


def trained(name: str, scale: Scale) -> Row:
    """Steps of adversarial training with PGD-7, beside a bare loop of as many gradients in the same precision."""
    images, labels = (one.cpu() for one in random_images(8 * scale.batch, scale.device))
    part = Split((images * 255).to(torch.uint8), labels, tuple(map(str, range(10))), "random")
    data = DataSet("random", part, part.take(8), part.take(8))
    goal, kind = Adversarial((CIFAR,), InnerAttack("pgd", 7)), scale.device.type
    steps = iter(train(net_of(name, scale.device), data, goal, Recipe(10_000, scale.batch), device=str(scale.device)))
    net, (x, y) = net_of(name, scale.device).train(), random_images(scale.batch, scale.device)
    half = fast_dtype(kind)

    def bare() -> None:
        with torch.autocast(kind, half, enabled=half != torch.float32):
            for _ in range(7):
                at = x.detach().requires_grad_()
                torch.autograd.grad(nn.functional.cross_entropy(net(at).float(), y), at)
            torch.autograd.grad(nn.functional.cross_entropy(net(x).float(), y), tuple(net.parameters()))

    return rates({"ours": lambda: next(steps), "bare": bare}, scale.batch, scale)


def matrix_rate(scale: Scale) -> float:
    """Operations a second of one large product in the fast precision."""
    size, kind = scale.product, fast_dtype(scale.device.type)
    a, b = (torch.randn(size, size, device=scale.device).to(kind) for _ in range(2))
    found = rates({"product": lambda: a @ b}, 1, replace(scale, rounds=max(5, scale.rounds)))
    return float(2 * size**3 / found["product"]["seconds"])


# What waits?


def waits(name: str, what: str, scale: Scale) -> Row:
    """How often the host waits in a step: calls that synchronise, of a long and of a short attack."""
    net, (x, y) = net_of(name, scale.device), random_images(min(32, scale.batch), scale.device)
    counts = []
    for steps in (scale.steps, 2 * scale.steps):
        attack = AttackSpec.of(what, steps=steps).build(net, CIFAR)
        attack(x, y)
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if scale.device.type == "cuda" else []
        with torch.profiler.profile(activities=kinds) as profile:
            attack(x, y)
            settled(scale.device)
        events = {event.key: event.count for event in profile.key_averages()}
        looks = sum(events.get(key, 0) for key in ("aten::item", "aten::nonzero", "cudaStreamSynchronize"))
        counts.append((looks, sum(count for key, count in events.items() if key.startswith("cudaLaunchKernel"))))
    (few, kernels), (more, launched) = counts
    per_step = {"waits": (more - few) / scale.steps, "launches": (launched - kernels) / scale.steps}
    return {"whole": few, "per_step": per_step, "fine": more == few}


def questions(scale: Scale) -> dict[str, Question]:
    """Every row by its name, in the order of their use."""
    asked: dict[str, Question] = {}
    for name, entry in attack_entries().items():
        for threat in THREATS:
            if entry.supports(threat):
                asked[f"same {name} {threat}"] = partial(same, name, threat, scale)
    for net in scale.nets:
        for what in ("pgd", "apgd"):
            asked[f"waits {net} {what}"] = partial(waits, net, what, scale)
            asked[f"speed {net} {what}"] = partial(attacked, net, what, scale)
        asked[f"speed {net} training"] = partial(trained, net, scale)
        asked[f"speed {net} audit"] = partial(audited, net, scale)
    return asked


def scale_of(device: str, toy: bool) -> Scale:
    place = pick_device(device)
    if toy:
        return Scale(place, 4, 4, 2, 1, ("fast", "wrn-10-1"), 16, "zoo:digits-linf")
    return Scale(place, 500, 512, 40, 5, ("resnet18", "wrn-28-10"), 8192, "zoo:mnist-linf")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=590)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/gpu/gpu.json"))
    asked = parser.parse_args(words)
    began, scale = time.monotonic(), scale_of(asked.device, asked.toy)
    rows: dict[str, Row] = json.loads(asked.out.read_text())["rows"] if asked.out.exists() else {}
    for name, ask in questions(scale).items():
        if name in rows and "error" not in rows[name]:
            continue
        if time.monotonic() - began > asked.seconds:
            print("time is up; call again to go on")
            return CUT_SHORT
        try:
            rows[name] = ask()
        except Exception as error:  # the other rows are wanted all the same
            rows[name] = {"error": f"{type(error).__name__}: {error}"}
        print(name, json.dumps(rows[name]), flush=True)
        run = provenance(scale.device, time.monotonic() - began, 0)
        write_bytes(asked.out, json.dumps({"run": run, "rows": rows}, indent=1).encode())
    wrong = [name for name, row in rows.items() if "error" in row or not row.get("fine", True)]
    print(f"{len(rows)} rows; to be looked at: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
