"""Our attacks beside their authors' code: the same net, images, threat and budget of gradients or queries.

    python benchmarks/parity.py --net FILE ... [-n 300] [--out results/parity.json]

writes one row for each net, threat and attack: how many of the images that the net gets right each of the two breaks,
in one run, and for minimum-norm attacks the median size. The tests call `compare` on nets trained on the digits.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

from brittle.attacks import AttackSpec, MinimumNorm, Threat, parse_threat
from brittle.ground import full_float32

STEPS, QUERIES = 100, 1000
SEEDS = {"apgd": 8, "apgd_targeted": 3, "square": 3}  # what is random; APGD from its draw breaks 130 +- 3 of 294


class Row(NamedTuple):
    """Images broken by either in one threat, of `n` that the net gets right; median sizes where they are measured. All
    are means over the seeds."""

    attack: str
    threat: str
    n: int
    ours: float
    theirs: float
    our_size: float | None = None
    their_size: float | None = None


def compare(net: nn.Module, x: Tensor, y: Tensor, threat: Threat, name: str, *, steps: int) -> Row:
    """One attack of the registry beside its authors' code, on the images that the net gets right, in so many steps (of
    Square: queries); what is random is run with several seeds."""
    with torch.no_grad(), full_float32():
        right = net(x).argmax(1) == y
    x, y = x[right], y[right]
    runs = [_broken(net, x, y, threat, name, steps, seed) for seed in range(SEEDS.get(name, 1))]
    ours, theirs, *sizes = (fmean(figures) for figures in zip(*runs, strict=True))
    return Row(name, str(threat), len(x), ours, theirs, *sizes)


def _broken(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, name: str, steps: int, seed: int
) -> tuple[float, ...]:
    """With one seed: the images that ours breaks, those that theirs breaks, and the median sizes of both."""
    settings = {"queries": steps} if name == "square" else {"steps": steps}
    spec = AttackSpec.of(name, **settings)
    search = spec.search_on(replace(spec.objective(net), precision="float32"), threat, seed)  # as theirs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = THEIRS[name](net, x, y, threat, steps, seed)
    wrong = fooled(net, theirs, y)
    broken = int((wrong & threat.contains(x, theirs.clamp(0, 1))).sum())
    if not isinstance(search, MinimumNorm):
        return int(search.run(x, y).success.sum()), broken
    found = search(x, y)
    size = torch.where(wrong, threat.size(x, theirs), torch.inf)
    ours = int(search.fitted(found, threat, x, y).success.sum())
    return ours, broken, float(found.size.median()), float(size.median())


def fooled(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return net(x).argmax(1) != y


def _apgd(net: nn.Module, x: Tensor, y: Tensor, threat: Any, steps: int, seed: int) -> Tensor:
    from pyautoattack.autopgd_base import APGDAttack

    options = {
        "n_iter": steps,
        "norm": threat.norm,
        "eps": threat.radius,
        "device": "cpu",
        "seed": seed,
        "use_largereps": threat.sparse_steps,
    }
    return APGDAttack(net, loss="ce", **options).perturb(x.clone(), y)


def _apgd_targeted(net: nn.Module, x: Tensor, y: Tensor, threat: Any, steps: int, seed: int) -> Tensor:
    from pyautoattack.autopgd_base import APGDAttack_targeted

    options = {
        "n_iter": steps,
        "norm": threat.norm,
        "eps": threat.radius,
        "device": "cpu",
        "seed": seed,
        "use_largereps": threat.sparse_steps,
    }
    return APGDAttack_targeted(net, n_target_classes=9, **options).perturb(x.clone(), y)


def _fab_targeted(net: nn.Module, x: Tensor, y: Tensor, threat: Any, steps: int, seed: int) -> Tensor:
    from pyautoattack.fab_pt import FABAttack_PT

    options = {"n_iter": steps, "norm": threat.norm, "eps": threat.radius, "device": "cpu"}
    return FABAttack_PT(net, targeted=True, n_target_classes=9, **options).perturb(x.clone(), y)


def _square(net: nn.Module, x: Tensor, y: Tensor, threat: Any, steps: int, seed: int) -> Tensor:
    from pyautoattack.square import SquareAttack

    options = {"n_queries": steps, "norm": threat.norm, "eps": threat.radius, "device": "cpu", "seed": seed}
    found: Tensor = SquareAttack(net, **options).perturb(x.clone(), y)
    return found


def _adv_lib(name: str) -> Any:
    """A function of Adversarial Library, whose plots and pictures, which it imports at once, are not needed here."""
    for absent in ("torchvision", "torchvision.transforms", "visdom"):
        sys.modules.setdefault(absent, MagicMock())
    from adv_lib import attacks

    return getattr(attacks, name)


ORDERS = {"Linf": float("inf"), "L2": 2, "L1": 1}
THEIRS: dict[str, Callable[[nn.Module, Tensor, Tensor, Any, int, int], Tensor]] = {
    "apgd": _apgd,
    "apgd_targeted": _apgd_targeted,
    "fab_targeted": _fab_targeted,
    "square": _square,
    "ddn": lambda net, x, y, threat, steps, seed: _adv_lib("ddn")(net, x, y, steps=steps, levels=None),
    "fmn": lambda net, x, y, threat, steps, seed: _adv_lib("fmn")(net, x, y, norm=ORDERS[threat.norm], steps=steps),
    "pdpgd": lambda net, x, y, threat, steps, seed: _adv_lib("pdpgd")(
        net, x, y, norm=ORDERS[threat.norm], num_steps=steps
    ),
    "sigma_zero": lambda net, x, y, threat, steps, seed: _adv_lib("sigma_zero")(net, x, y, num_steps=steps),
}
THREATS = {
    "apgd": ("Linf", "L2", "L1"),
    "apgd_targeted": ("Linf", "L2", "L1"),
    "fab_targeted": ("Linf", "L2", "L1"),
    "square": ("Linf", "L2", "L1"),
    "ddn": ("L2",),
    "fmn": ("Linf", "L2", "L1"),
    "pdpgd": ("Linf", "L2", "L1"),
    "sigma_zero": ("L0",),
}


def main() -> None:
    from brittle.learning import load, load_net

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", action="append", required=True, help="a checkpoint of ours, trained on MNIST")
    parser.add_argument("-n", type=int, default=300)
    parser.add_argument("--threats", nargs="+", default=["Linf:0.3", "L2:2", "L1:10", "L0:10"])
    parser.add_argument("--attacks", nargs="+", default=list(THEIRS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    test, rows = load("mnist").test.take(asked.n), []
    for path in asked.net:
        net = load_net(Path(path))[0].eval()
        for text in asked.threats:
            for name in asked.attacks:
                if text.partition(":")[0] in THREATS[name]:
                    steps = QUERIES if name == "square" else STEPS
                    row = compare(net, test.x(), test.labels, parse_threat(text), name, steps=steps)
                    rows.append({"net": Path(path).stem, **row._asdict()})
                    print(rows[-1], flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
