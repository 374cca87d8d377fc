"""Which attack an audit should run after which: measured on a zoo of ours, chosen greedily, tried on nets of others.

    python benchmarks/schedule.py --work FOLDER [--nets NETS] [-n 200] [--out results/schedule.json]

Every candidate attacks, on every net and in every norm, all images that the net gets right, each on its own and leaving
as soon as it is broken for good. Since no image notices another, that is enough to know what any order of any of them
would break, and for how much work: the stages of a schedule are replayed from these figures. The greedy search takes,
again and again, the stage (an attack, and whom it tries) that breaks most for its work over all nets of the zoo, until
nothing breaks images on two of them any more or is worth its work; then single changes are kept that lower the price of
the whole: what it leaves, and PRICE for its work. Both are replayed on nets that they never saw (NETS, as in
benchmarks/audits.py), beside the audit's schedule as it is today, the one by hand before it, and all candidates
together. Work as in benchmarks/audits.py: a gradient counts three.

FOLDER keeps what was measured, net by net: a second call goes on, and one with all there takes minutes. Where attacks
have changed it must be emptied. One thread, an hour and a half.
"""

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from audits import Counted, net_of
from calibration import Winners, dense, learned, sound
from nets import SEEN
from numpy.typing import NDArray
from torch import nn

from brittle.attacks import L1, L2, AttackSpec, Linf, Threat, parse_threat
from brittle.audits import effort_named, provenance
from brittle.audits.jobs import Job, jobs
from brittle.audits.schedule import Effort, Stage
from brittle.audits.state import first_state
from brittle.audits.subject import Subject
from brittle.ground import write_bytes
from brittle.learning import InnerAttack, Recipe, build_net, goal_named, load, train

USUAL = {
    "mnist": ("Linf:0.3", "L2:2", "L1:10"),
    "digits": ("Linf:0.1", "L2:0.5", "L1:1.5"),
    "cifar10": ("Linf:8/255", "L2:0.5", "L1:12"),
}
OTHERS = tuple(name for name in SEEN if name != "aa_resnet18")  # which any attack breaks
CANDIDATES = """
inf,2,1 1 apgd:steps=8
inf,2,1 1 apgd:steps=30
inf,2,1 1 apgd:steps=100
inf,2,1 1 apgd:steps=30,loss=dlr
inf,2,1 1 apgd:steps=100,loss=dlr
inf,2,1 1 apgd:steps=30,loss=margin
inf,2,1 1 apgd:steps=100,loss=margin
inf,2,1 1 apgd_targeted:steps=30
inf,2,1 1 apgd_targeted:steps=30,targets=3
inf,2,1 1 mm:steps=20,targets=3
inf,2,1 1 pma:steps=25
inf,2,1 1 pgd:steps=20
inf,2,1 1 mim:steps=20
inf,2,1 1 second_order_mim:look=4
inf,2,1 1 second_order_mim:look=4,loss=margin
inf,2,1 1 second_order_mim:look=4,sigma=0.05
inf,2,1 1 second_order_mim:look=4,sigma=0.2
inf,2,1 1 second_order_mim:look=4,sigma=0.1,start=random
inf,2,1 1 second_order_mim:look=4,steps=100,start=random,loss=margin
inf,2,1 1 second_order_apgd:steps=50,draws=1
inf,2,1 1 second_order_apgd:steps=100,draws=1,loss=margin
inf,2,1 1 fmn:steps=30
inf,2,1 1 fmn:steps=50 outside=0
inf,2,1 1 fmn:steps=50 outside=1
inf,2,1 1 fab_targeted:steps=20,targets=3
inf,2,1 1 square:queries=300
inf,2,1 1 square_apgd
inf,2,1 1 square_apgd:queries=600,steps=50
2,1 1 apgd:steps=40
1 1 apgd:steps=40,loss=dlr
2 1 second_order_apgd:steps=100,draws=1
2,1 1 second_order_mim:look=4,steps=100,draws=1,start=random,loss=margin
2,1 1 square_apgd:queries=500,steps=50
inf 1 square_apgd:queries=1000,steps=100
"""
Flags: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float32]
PRICE, TRIES = 0.0015, 2500  # points of robust accuracy that a forward pass for each image is worth; changes tried
AUTOATTACK = Path(__file__).parents[1] / "results/bench-audit.json"
BY_HAND = """
inf 1 apgd:steps=30
inf ~0.6 apgd:steps=30,loss=dlr
inf ~0.6 square_apgd
inf ~0.5 square_apgd:queries=600,steps=50
inf 0.2 apgd_targeted:steps=30
inf ~0.2 apgd:steps=100
inf ~0.2 second_order_mim:look=4,sigma=0.1,start=random
inf ~0.1 apgd:steps=100,loss=margin
inf ~0.1 fmn:steps=50 outside=0
inf ~0.1 square_apgd:queries=1000,steps=100
2 ~1 apgd:steps=8
2 1 second_order_mim:look=4,loss=margin
2 ~1 apgd:steps=30,loss=dlr
2 ~1 second_order_apgd:steps=100,draws=1
2 ~1 fmn:steps=50 outside=0
2 ~1 apgd:steps=40
2 ~1 second_order_mim:look=4,steps=100,draws=1,start=random,loss=margin
1 1 second_order_mim:look=4,sigma=0.2
1 ~1 apgd:steps=40
1 ~1 second_order_mim:look=4,steps=100,draws=1,start=random,loss=margin
1 ~0.2 second_order_apgd:steps=100,draws=1,loss=margin
1 ~1 apgd:steps=40,loss=dlr
1 ~1 fmn:steps=50 outside=0
2,1 ~0.2 apgd_targeted:steps=30,targets=3
2,1 ~0.1 apgd:steps=100,loss=margin
1 ~1 apgd:steps=100
2,1 ~0.1 fmn:steps=50 outside=1
2,1 ~0.1 square_apgd:queries=500,steps=50
"""  # the schedule until commit 4bcdab8, chosen on the published nets themselves
ORDERS = {"Linf": Linf(1).order, "L2": L2(1).order, "L1": L1(1).order}
SHARES = ((1.0, True), (0.4, True), (0.2, True), (0.1, True), (1.0, False), (0.2, False))


def trained(name: str, data: str, goal: str, inner: InnerAttack | None, radius: str, epochs: float) -> nn.Module:
    """A net of ours, seed 0."""
    torch.manual_seed(0)
    there = load(data)
    aim = goal_named(goal, (parse_threat(radius),) if inner else (), inner)
    for _ in train(net := build_net(name, there.shape, 10), there, aim, Recipe(epochs=epochs), device="cpu"):
        pass
    return net.eval()


MNIST = (*(f"zoo:mnist-{name}" for name in ("standard", "linf", "l2", "trades", "msd")), "hot:mnist-standard")
DIGITS = ("small, standard", "mlp, PGD Linf 0.1", "small, MSD")
PGD = partial(trained, data="cifar10", goal="adversarial")
ZOO: dict[str, tuple[str, Callable[[], nn.Module]]] = {  # the data of each net, and the net
    **{name: ("mnist", partial(net_of, Path(), name)) for name in MNIST},
    "mnist, FGSM": ("mnist", partial(trained, "fast", "mnist", "adversarial", InnerAttack(steps=1), "Linf:0.3", 3)),
    **{f"digits {name}": ("digits", partial(sound, name)) for name in DIGITS},
    "digits k-WTA": ("digits", lambda: learned(dense(Winners(), Winners()))),
    "cifar10, standard": ("cifar10", partial(trained, "fast", "cifar10", "standard", None, "", 8)),
    "cifar10, PGD": ("cifar10", partial(PGD, "fast", inner=InnerAttack(steps=4), radius="Linf:8/255", epochs=8)),
}


def candidates(threat: Threat) -> list[Stage]:
    """Every attack that may stand in the schedule of a norm; those of today's among them."""
    order = threat.order  # type: ignore[attr-defined]
    ours = [replace(one, share=1.0, gives_up=False) for one in _read(CANDIDATES, order)]
    alone = {"share": 1.0, "gives_up": False, "noise": None, "pilot": False}
    today = [replace(one, **alone) for one in effort_named("standard").stages_of(threat)]  # type: ignore[arg-type]
    return list({_name(one): one for one in [*ours, *today] if not one.curve}.values())


def _read(text: str, order: float | None) -> list[Stage]:
    """The lines of a norm: norms, whom (a share of the images, the nearest; ~: it gives up), attack, where from."""
    found = []
    for orders, share, attack, *more in map(str.split, filter(None, text.splitlines())):
        outside = int(more[0].removeprefix("outside=")) if more else None
        stage = Stage(AttackSpec.parse(attack), order, float(share.removeprefix("~")), share.startswith("~"), outside)
        found += [stage] if str(order).removesuffix(".0") in orders.split(",") else []
    return found


def _name(stage: Stage) -> str:
    return str(stage.attack) + ("" if stage.outside is None else f" outside={stage.outside}")


class State(NamedTuple):
    """How a net stands in the middle of a schedule, image by image [n]: which withstand, which do in 8 bits, and the
    margins reached."""

    alive: Flags
    alive_8bit: Flags
    margin: Floats


@dataclass(frozen=True)
class Table:
    """What every candidate did on one net in one threat, on the images [n] that it was tried on.

    Attributes:
        right, clean: what the net gets right, and its margins.
        broken, broken_8bit, margin, work: by the candidate's name, one entry an image.
    """

    net: str
    threat: Threat
    right: Flags
    clean: Floats
    broken: dict[str, Flags]
    broken_8bit: dict[str, Flags]
    margin: dict[str, Floats]
    work: dict[str, Floats]

    @property
    def start(self) -> State:
        """Before any attack."""
        return State(self.right, self.right, self.clean)

    def after(self, state: State, stage: Stage) -> tuple[State, float]:
        """Replay a stage on the survivors, as `audits.jobs.Job.parts` chooses them; what is left, and its work."""
        name, work = _name(stage), 0.0
        alive, alive_8bit, margin = (part.copy() for part in state)
        rows = np.flatnonzero(alive_8bit)
        rows = rows[np.argsort(-margin[rows], kind="stable")]
        rows = rows[np.argsort(~alive[rows], kind="stable")]
        some = stage.at_a_time(len(rows))
        rows = rows[: stage.most(int(self.right.sum()))]
        for part in (rows[at : at + some] for at in range(0, len(rows), some)):
            before = alive[part].sum() + alive_8bit[part].sum()
            work += self.work[name][part].sum()
            alive[part] &= ~self.broken[name][part]
            alive_8bit[part] &= ~self.broken_8bit[name][part]
            margin[part] = np.maximum(margin[part], self.margin[name][part])
            if alive[part].sum() + alive_8bit[part].sum() == before:
                break
        return State(alive, alive_8bit, margin), float(work) / len(self.right)

    def breaking(self, alive: Flags) -> list[str]:
        """The candidates that break any of what is alive."""
        return [name for name, broken in self.broken.items() if (broken & alive).any()]

    @property
    def whole(self) -> float:
        """What all candidates together cost an image."""
        return float(sum(work[self.right].sum() for work in self.work.values())) / len(self.right)

    @property
    def best(self) -> int:
        """Images that withstand all candidates."""
        return int((self.right & ~np.stack(list(self.broken.values())).any(0)).sum())


def measured(name: str, data: str, build: Callable[[], nn.Module], within: str, n: int, folder: Path) -> Table | None:
    """The table of a net in a threat, from the folder if it is there; none where gradients are known to mislead."""
    threat, stages = parse_threat(within), candidates(parse_threat(within))
    path = folder / f"{name} {within} {n}.npz".replace("/", "-").replace(":", "-").replace(",", "")
    held = dict(np.load(path)) if path.exists() else {}
    missing = [one for one in stages if f"broken {_name(one)}" not in held]
    if missing:
        test, counted, began = load(data).test.take(n), Counted(build()), time.process_time()
        whole = first_state(Subject(counted, test.x(), test.labels, 250), [threat])
        if whole.subject.blind:
            return None
        state = whole.threats[0]
        held |= {"right": state.right.numpy(), "clean": state.margin.numpy()}
        for job in jobs(whole, Effort(tuple(missing), (), 0), (), 0):
            assert isinstance(job, Job)
            counted.shown = counted.gradients = 0
            pieces = [job.run(rows) for batches in job.parts() for rows in batches]
            total, whole_way = counted.work, job.stage.attack.cost.work
            rows = torch.cat([piece.rows for piece in pieces])
            done = torch.cat([piece.broken & piece.broken_8bit for piece in pieces])
            work = torch.full([n], float(whole_way))
            if done.any():
                work[rows[done]] = max(0.0, total - whole_way * float((~done).sum())) / float(done.sum())
            filled = {"work": work}
            for what in ("broken", "broken_8bit", "margin"):
                part = torch.cat([getattr(piece, what) for piece in pieces])
                filled[what] = part.new_zeros(n).index_copy(0, rows, part)
            held |= {f"{what} {_name(job.stage)}": value.numpy() for what, value in filled.items()}
        write_bytes(path, _packed(held))
        print(f"{name} {within}: {time.process_time() - began:.0f} CPU s", file=sys.stderr, flush=True)
    kinds = ("broken", "broken_8bit", "margin", "work")
    tables = [{_name(one): held[f"{kind} {_name(one)}"] for one in stages} for kind in kinds]
    return Table(name, threat, held["right"], held["clean"], *tables)


def _packed(held: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **held)
    return file.getvalue()


def greedy(tables: list[Table]) -> list[Stage]:
    """Stage after stage what breaks most for its work, until nothing breaks anything on two nets any more (on one alone
    it may be luck) or is worth its price; of all nets the mean share of what they get right."""
    states: list[State] = [table.start for table in tables]
    chosen: list[Stage] = []
    options = _options(tables)
    while True:
        useful = {name for table, state in zip(tables, states, strict=True) for name in table.breaking(state.alive)}
        tried = [(*_gain(tables, states, one), one) for one in options if _name(one) in useful]
        tried = [one for one in tried if one[2] >= min(2, len(tables)) and one[0] > PRICE * one[1]]
        if not tried:
            return chosen
        chosen.append(max(tried, key=lambda one: one[0] / max(one[1], 1e-9))[3])
        states = [table.after(state, chosen[-1])[0] for table, state in zip(tables, states, strict=True)]


def _options(tables: list[Table]) -> list[Stage]:
    return [replace(one, share=share, gives_up=up) for one in candidates(tables[0].threat) for share, up in SHARES]


def _gain(tables: list[Table], states: list[State], stage: Stage) -> tuple[float, float, int]:
    """What a stage would break in per cent of what the nets get right, for how much work, on how many nets."""
    done = [table.after(state, stage) for table, state in zip(tables, states, strict=True)]
    broken = [int(state.alive.sum() - after.alive.sum()) for state, (after, _) in zip(states, done, strict=True)]
    shares = [100 * count / max(1, int(table.right.sum())) for count, table in zip(broken, tables, strict=True)]
    return float(np.mean(shares)), float(np.mean([work for _, work in done])), sum(count > 0 for count in broken)


def improved(tables: list[Table], stages: list[Stage], tries: int) -> list[Stage]:
    """The schedule after single changes that lowered its price, tried at random (seed 0): a stage left out, moved, put
    in, tried on more or fewer images, another attack in its place."""
    random, options, best = Random(0), _options(tables), price(tables, stages)
    for _ in range(tries if stages else 0):
        changed, place = list(stages), random.randrange(len(stages))
        what, option = random.randrange(5), random.choice(options)
        if what == 0:
            del changed[place]
        elif what == 1:
            changed.insert(random.randrange(len(stages)), changed.pop(place))
        elif what == 2:
            changed.insert(random.randrange(len(stages) + 1), option)
        elif what == 3:
            changed[place] = replace(changed[place], share=option.share, gives_up=option.gives_up)
        else:
            changed[place] = replace(option, share=changed[place].share, gives_up=changed[place].gives_up)
        if changed and (now := price(tables, changed)) < best:
            stages, best = changed, now
    return stages


def price(tables: list[Table], stages: list[Stage]) -> float:
    """What a schedule leaves, in per cent of what a net gets right, and `PRICE` times its work, the mean over nets; a
    point for each forward pass beyond an eleventh of AutoAttack's work, where that is known."""
    each = []
    for table in tables:
        left, work = replayed(table, stages)[-1]
        most = _known().get((table.net, str(table.threat)), math.inf) / 11
        each.append(100 * left / max(1, int(table.right.sum())) + PRICE * work + max(0.0, work - most))
    return float(np.mean(each))


@cache
def _known() -> dict[tuple[str, str], float]:
    """AutoAttack's work for an image, by net and threat."""
    rows = json.loads(AUTOATTACK.read_text())["rows"]
    return {(row["net"], row["threat"]): row["work"] for row in rows if row["tool"] == "autoattack"}


def replayed(table: Table, stages: Iterable[Stage]) -> list[tuple[int, float]]:
    """After each stage: images left, and the work so far for an image."""
    state, work, found = table.start, 0.0, []
    for stage in stages:
        state, more = table.after(state, stage)
        work += more
        found.append((int(state.alive.sum()), work))
    return found


def said(stage: Stage) -> str:
    """As a line of the schedule."""
    return f"{'~' if stage.gives_up else ''}{stage.share:g} {_name(stage)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what was measured")
    parser.add_argument("--nets", type=Path, help="folder with published nets")
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("results/schedule.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.work.mkdir(parents=True, exist_ok=True)
    began, found = time.process_time(), {}
    seen: list[Table] = []
    for name, (data, build) in ZOO.items():
        net = cache(build)
        seen += [one for within in USUAL[data] if (one := measured(name, data, net, within, asked.n, asked.work))]
    unseen: list[Table] = []
    for name in OTHERS if asked.nets else ():
        net, public = cache(partial(net_of, asked.nets, name)), SEEN[name]
        each = (measured(name, public.data, net, within, asked.n, asked.work) for within in public.threats)
        unseen += [one for one in each if one]
    for norm, order in ORDERS.items():
        here = [table for table in seen if table.threat.order == order]  # type: ignore[attr-defined]
        there = [table for table in unseen if table.threat.order == order]  # type: ignore[attr-defined]
        first, today = (
            greedy(here),
            [
                one
                for one in effort_named("standard").stages_of(here[0].threat)
                if one.noise is not False and not one.pilot
            ],
        )
        ways = {
            "greedy": first,
            "improved": improved(here, first, TRIES),
            "by hand": _read(BY_HAND, order),
            "today": [one for one in today if not one.curve],
        }
        found[norm] = {
            "stages": {way: [said(one) for one in stages] for way, stages in ways.items()},
            "rows": [
                {
                    "net": table.net,
                    "threat": str(table.threat),
                    "seen": table in here,
                    "right": int(table.right.sum()),
                    "all": [table.best, table.whole],
                    **{way: replayed(table, stages) for way, stages in ways.items()},
                }
                for table in [*here, *there]
            ],
        }
    run = provenance(torch.device("cpu"), time.process_time() - began, 0)
    write_bytes(asked.out, (json.dumps({"n": asked.n, "norms": found, "run": run}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
