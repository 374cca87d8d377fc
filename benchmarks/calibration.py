"""How often an audit's verdict is right: nets whose gradients are honest, and nets that hide theirs, all built here.

A net is flagged where the verdict is not `trust`. Sound nets are trained on digits in several ways; masked ones are
such nets behind one of the tricks of the literature. One thread, eight minutes.

    python benchmarks/calibration.py [--effort standard] [-n 100] [--out results/calibration.json]
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brittle.attacks import L2, Linf
from brittle.audits import Proportion, audit, provenance
from brittle.ground import write_bytes
from brittle.learning import Goal, InnerAttack, Recipe, build_net, goal_named, load, train

THREATS = (Linf(0.1), L2(0.5))
SOUND: dict[str, tuple[str, str, tuple[Any, ...]]] = {  # net, goal, threats
    "linear, standard": ("linear", "standard", ()),
    "mlp, standard": ("mlp", "standard", ()),
    "small, standard": ("small", "standard", ()),
    "quick, standard": ("quick", "standard", ()),
    "linear, PGD Linf": ("linear", "adversarial", (Linf(0.05),)),
    "mlp, PGD Linf 0.1": ("mlp", "adversarial", (Linf(0.1),)),
    "mlp, PGD Linf 0.2": ("mlp", "adversarial", (Linf(0.2),)),
    "mlp, PGD L2": ("mlp", "adversarial", (L2(0.5),)),
    "small, PGD Linf 0.1": ("small", "adversarial", (Linf(0.1),)),
    "small, PGD Linf 0.2": ("small", "adversarial", (Linf(0.2),)),
    "small, PGD L2": ("small", "adversarial", (L2(0.5),)),
    "quick, PGD Linf": ("quick", "adversarial", (Linf(0.1),)),
    "mlp, TRADES": ("mlp", "trades", (Linf(0.1),)),
    "small, TRADES": ("small", "trades", (Linf(0.1),)),
    "small, Mix": ("small", "adversarial", THREATS),
    "small, AVG": ("small", "avg", THREATS),
    "mlp, MAX": ("mlp", "max", THREATS),
    "small, MSD": ("small", "msd", THREATS),
}


class Backward(torch.autograd.Function):
    """The identity, with another gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.change = change
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.change(grad), None


class Before(nn.Module):
    """A net behind a function of its images."""

    def __init__(self, change: Callable[[Tensor], Tensor], net: nn.Module) -> None:
        super().__init__()
        self.change, self.net = change, net

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(self.change(x))
        return found


class After(Before):
    """A net before a function of its logits."""

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self.net(x))


class Winners(nn.Module):
    """k-WTA (Xiao et al. 2020): of each layer's units the largest tenth."""

    def forward(self, x: Tensor) -> Tensor:
        least = x.topk(max(1, x.shape[1] // 10), dim=1).values[:, -1:]
        return torch.where(x >= least, x, 0)


class Steps(nn.Module):
    """Activations 0 or 1; a straight-through gradient while it learns, none afterwards."""

    def forward(self, x: Tensor) -> Tensor:
        hard = (x > 0).to(x.dtype)
        return hard + (x.sigmoid() - x.sigmoid().detach()) if self.training else hard + 0 * x


def thermometer(x: Tensor) -> Tensor:
    """Buckman et al. 2018: each pixel as ten flags."""
    return torch.cat([(x > level / 10).to(x.dtype) for level in range(10)], 1)


def jpeg(x: Tensor) -> Tensor:
    """Cosine transform of the 8 x 8 pixels, rounded, and back."""
    k = torch.arange(8, device=x.device, dtype=x.dtype)
    basis = torch.cos(math.pi * (2 * k + 1)[None] * k[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis.T @ ((basis @ x @ basis.T) * 4).round() / 4 @ basis


def resized(x: Tensor) -> Tensor:
    """Xie et al. 2018: made smaller and put somewhere, at random."""
    size = int(torch.randint(6, 9, ()))
    small = F.interpolate(x, size=(size, size), mode="bilinear")
    left, top = (int(torch.randint(0, 9 - size, ())) for _ in range(2))
    return F.pad(small, (left, 8 - size - left, top, 8 - size - top))


def dense(*activations: nn.Module, channels: int = 1) -> nn.Module:
    first, second = activations
    width = 64 * channels
    return nn.Sequential(*(nn.Flatten(), nn.Linear(width, 256), first, nn.Linear(256, 256), second, nn.Linear(256, 10)))


def learned(net: nn.Module, goal: Goal | None = None, epochs: float = 12) -> nn.Module:
    """The net after training on digits."""
    for _ in train(net, load("digits"), goal or goal_named("standard"), Recipe(epochs=epochs), device="cpu"):
        pass
    return net.eval()


def sound(name: str) -> nn.Module:
    torch.manual_seed(0)
    net, goal, threats = SOUND[name]
    inner = InnerAttack(steps=7) if threats else None
    return learned(build_net(net, load("digits").shape, 10), goal_named(goal, threats, inner))  # type: ignore[arg-type]


def masked() -> Iterator[tuple[str, nn.Module]]:
    """Nets that hide their gradients: tricks before, inside of and behind nets that were trained with or without
    PGD."""
    net, robust = sound("small, standard"), sound("mlp, PGD Linf 0.1")
    yield "temperature: logits times 500", After(lambda z: 500 * z, robust)
    yield "defensive distillation", learned(After(lambda z: z / 50, dense(nn.ReLU(), nn.ReLU()))).net  # type: ignore[union-attr, misc]
    yield "probabilities of large logits", After(lambda z: (300 * z).softmax(1), robust)
    yield "saturating sigmoid", After(lambda z: (20 * z).sigmoid(), robust)
    yield "rounded logits", After(lambda z: (2 * z).round() / 2 + 0 * z, robust)
    yield "the class alone", After(lambda z: 10 * F.one_hot(z.argmax(1), 10).to(z) + 0 * z, net)
    yield "k-WTA", learned(dense(Winners(), Winners()))
    yield "steps for activations", learned(dense(Steps(), Steps()), epochs=25)
    yield "thermometer code", learned(Before(thermometer, dense(nn.ReLU(), nn.ReLU(), channels=10)))
    yield "three bits of depth", Before(lambda x: (7 * x).round() / 7, net)
    yield "black and white", learned(Before(lambda x: (x > 0.5).to(x.dtype) + 0 * x, dense(nn.ReLU(), nn.ReLU())))
    yield "JPEG", Before(jpeg, net)
    yield "random resizing", Before(resized, net)
    yield "noise on the images", Before(lambda x: x + 0.2 * torch.randn_like(x), net)
    yield "dropout while it answers", Before(lambda x: F.dropout(x, 0.3, training=True), net)
    yield "a shattered gradient", Before(lambda x: Backward.apply(x, lambda g: g * (1e4 * g).sin().sign()), robust)
    yield "a gradient turned round", Before(lambda x: Backward.apply(x, lambda g: -g), robust)
    yield "noise for a gradient", Before(lambda x: Backward.apply(x, torch.randn_like), robust)
    yield "no gradient", Before(lambda x: x.detach(), robust)


def judged(name: str, kind: str, net: nn.Module, n: int, effort: str) -> Iterator[dict[str, Any]]:
    """What an audit says of one net, threat by threat."""
    test = load("digits").test.take(n)
    for threat in THREATS:
        began = time.process_time()
        record = audit(net, (test.x(), test.labels), [threat], effort=effort).record
        signs = [check.name for check in record.checks if check.level in ("warn", "bad")]
        yield {
            "net": name,
            "kind": kind,
            "threat": str(threat),
            "clean": record.clean.accuracy,
            "robust": record.union.accuracy,
            "verdict": record.verdict.level,
            "signs": signs,
            "differences": next((check.text for check in record.checks if check.name == "finite differences"), None),
            "cpu_s": time.process_time() - began,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", default="standard")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("results/calibration.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    nets = [*((name, "sound", sound(name)) for name in SOUND), *((name, "masked", net) for name, net in masked())]
    for name, kind, net in nets:
        for row in judged(name, kind, net, asked.n, asked.effort):
            rows.append(row)
            print(
                f"{kind:7}{name:32}{row['threat']:10}{row['robust']:6.0%} {row['verdict']:11}{', '.join(row['signs'])}"
            )
    flagged = {
        kind: Proportion(
            sum(row["verdict"] != "trust" for row in rows if row["kind"] == kind),
            sum(row["kind"] == kind for row in rows),
        )
        for kind in ("sound", "masked")
    }
    print(*(f"{kind} flagged: {share}" for kind, share in flagged.items()), sep="\n")
    run = provenance(torch.device("cpu"), sum(row["cpu_s"] for row in rows), 0)
    shares = {kind: share.record() for kind, share in flagged.items()}
    record = {"n": asked.n, "effort": asked.effort, "flagged": shares, "rows": rows, "run": run}
    write_bytes(asked.out, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
