"""Which attack an audit should run after which: measured on a zoo of ours, chosen greedily, tried on nets of others.

    python benchmarks/schedule.py --work FOLDER [--nets NETS] [-n 200] [--out results/schedule.json]

Every candidate attacks, on every net and in every norm, all images that the net gets right, each on its own and leaving
as soon as it is broken for good. Since no image notices another, that is enough to know what any order of any of them
would break, and for how much work: the stages of a schedule are replayed from these figures. The greedy search takes,
again and again, the stage (an attack, and whom it tries) that breaks most for its work over all nets of the zoo, until
nothing breaks images on two of them any more. It is then replayed on nets that it never saw (NETS, as in
benchmarks/audits.py), beside the schedule of the audit and beside all candidates together. Work as in
benchmarks/audits.py: a gradient counts three.

FOLDER keeps what was measured, net by net: a second call goes on. One thread, an hour.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from audits import PUBLIC, Counted, net_of
from calibration import Winners, dense, learned, sound
from torch import Tensor, nn

from brittle.attacks import L1, L2, AttackSpec, Linf, Threat, parse_threat
from brittle.audits import effort_named, provenance
from brittle.audits.jobs import Job, jobs
from brittle.audits.pieces import Judged
from brittle.audits.schedule import Effort, Stage
from brittle.audits.state import Piece, ThreatState, first_state
from brittle.audits.subject import Subject
from brittle.ground import write_bytes
from brittle.learning import InnerAttack, Recipe, build_net, goal_named, load, train

USUAL = {
    "mnist": ("Linf:0.3", "L2:2", "L1:10"),
    "digits": ("Linf:0.1", "L2:0.5", "L1:1.5"),
    "cifar10": ("Linf:8/255", "L2:0.5", "L1:12"),
}
OTHERS = tuple(name for name, public in PUBLIC.items() if public.widths)  # all but the ResNet, which any attack breaks
CANDIDATES = """
apgd:steps=8
apgd:steps=30
apgd:steps=100
apgd:steps=30,loss=dlr
apgd:steps=100,loss=dlr
apgd:steps=30,loss=margin
apgd:steps=100,loss=margin
apgd_targeted:steps=30
apgd_targeted:steps=30,targets=3
mm:steps=20,targets=3
pma:steps=25
pgd:steps=20
mim:steps=20
second_order_mim:look=4
second_order_mim:look=4,loss=margin
second_order_mim:look=4,sigma=0.05
second_order_mim:look=4,sigma=0.2
second_order_mim:look=4,sigma=0.1,start=random
second_order_mim:look=4,steps=100,start=random,loss=margin
second_order_apgd:steps=50,draws=1
second_order_apgd:steps=100,draws=1,loss=margin
fmn:steps=30
fmn:steps=50 outside=0
fmn:steps=50 outside=1
fab_targeted:steps=20,targets=3
square:queries=300
square_apgd
square_apgd:queries=600,steps=50
"""
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
    "cifar10, PGD L2": ("cifar10", partial(PGD, "quick", inner=InnerAttack(steps=3), radius="L2:0.5", epochs=4)),
}


def candidates(threat: Threat) -> list[Stage]:
    """Every attack that may stand in the schedule of a norm; those of today's among them."""
    order = threat.order  # type: ignore[attr-defined]
    lines = [line.split() for line in filter(None, CANDIDATES.splitlines())]
    ours = [Stage(AttackSpec.parse(one), order, outside=int(more[0][-1]) if more else None) for one, *more in lines]
    today = [replace(one, share=1.0, gives_up=False) for one in effort_named("standard").stages_of(threat)]
    return list({_name(one): one for one in [*ours, *today] if not one.curve}.values())


def _name(stage: Stage) -> str:
    return str(stage.attack) + ("" if stage.outside is None else f" outside={stage.outside}")


@dataclass(frozen=True)
class Table:
    """What every candidate did on one net in one threat, on the images [n] that it was tried on.

    Attributes:
        right, clean: what the net gets right, and its margins.
        broken, broken_8bit, margin, work: by the candidate's name, one entry an image.
    """

    net: str
    threat: Threat
    right: Tensor
    clean: Tensor
    broken: dict[str, Tensor]
    broken_8bit: dict[str, Tensor]
    margin: dict[str, Tensor]
    work: dict[str, Tensor]

    def start(self) -> ThreatState:
        """Before any attack."""
        n = len(self.right)
        zeros = torch.zeros(n, dtype=torch.float64)
        alive = self.right.clone(), self.right.clone()
        return ThreatState(self.threat, self.right, *alive, [None] * n, zeros, self.clean.clone(), zeros.clone())

    def run(self, state: ThreatState, stage: Stage) -> float:
        """Replay a stage on the survivors; its work."""
        n, name, work = len(self.right), _name(stage), 0.0
        subject = Subject(lambda x: x, torch.zeros(n, 1), torch.zeros(n, dtype=torch.int64), n)
        for batches in Job(0, stage, None, Judged(subject, state)).parts():  # type: ignore[arg-type]
            for rows in batches:
                work += float(self.work[name][rows].sum())
                broken = self.broken[name][rows]
                none = torch.zeros(int(broken.sum()), 1)
                eight, margin = self.broken_8bit[name][rows], self.margin[name][rows]
                state.enter(name, Piece(rows, broken, eight, none, none[:, 0].double(), margin, 0, 0.0))
        return work

    def breaking(self, alive: Tensor) -> list[str]:
        """The candidates that break any of what is alive."""
        return [name for name, broken in self.broken.items() if (broken & alive).any()]

    @property
    def best(self) -> int:
        """Images that withstand all candidates."""
        return int((self.right & ~torch.stack(list(self.broken.values())).any(0)).sum())


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
    tables = [{_name(one): torch.from_numpy(held[f"{kind} {_name(one)}"]) for one in stages} for kind in kinds]
    return Table(name, threat, torch.from_numpy(held["right"]), torch.from_numpy(held["clean"]), *tables)


def _packed(held: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **held)
    return file.getvalue()


def greedy(tables: list[Table]) -> list[dict[str, Any]]:
    """Stage after stage what breaks most for its work, until nothing breaks anything on two nets any more (on one alone
    it may be luck): of each net the share of what it gets right, and the work for an image of it, are added up."""
    states = [table.start() for table in tables]
    chosen: list[dict[str, Any]] = []
    options = [replace(one, share=share, gives_up=up) for one in candidates(tables[0].threat) for share, up in SHARES]
    while True:
        useful = {name for table, state in zip(tables, states, strict=True) for name in table.breaking(state.alive)}
        tried = [_gain(tables, states, one) for one in options if _name(one) in useful]
        tried = [one for one in tried if one["nets"] >= min(2, len(tables))]
        if not tried:
            return chosen
        chosen.append(max(tried, key=lambda one: one["gain"] / max(one["work"], 1e-9)))
        for table, state in zip(tables, states, strict=True):
            table.run(state, chosen[-1]["stage"])


def _gain(tables: list[Table], states: list[ThreatState], stage: Stage) -> dict[str, Any]:
    """What a stage would break, as a share of what the nets get right, on how many nets, for how much work."""
    gain = work = 0.0
    nets = 0
    for table, state in zip(tables, states, strict=True):
        after = _forked(state)
        work += table.run(after, stage) / len(table.right)
        broken = int(state.alive.sum() - after.alive.sum())
        gain, nets = gain + broken / max(1, int(table.right.sum())), nets + (broken > 0)
    return {"stage": stage, "gain": gain / len(tables), "nets": nets, "work": work / len(tables)}


def _forked(state: ThreatState) -> ThreatState:
    """A copy that may go on by itself; what a stage does not ask about begins anew."""
    parts = {name: getattr(state, name).clone() for name in ("alive", "alive_8bit", "margin", "sizes")}
    return replace(state, **parts, breaker=[None] * len(state.alive), found={}, pieces=[], broke_in={}, tally={})


def replayed(table: Table, stages: Iterable[Stage]) -> list[tuple[int, float]]:
    """After each stage: images left, and the work so far for an image."""
    state, work, found = table.start(), 0.0, []
    for stage in stages:
        work += table.run(state, stage) / len(table.right)
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
        net, public = cache(partial(net_of, asked.nets, name)), PUBLIC[name]
        each = (measured(name, public.data, net, within, asked.n, asked.work) for within in public.threats)
        unseen += [one for one in each if one]
    for norm, order in ORDERS.items():
        here = [table for table in seen if table.threat.order == order]  # type: ignore[attr-defined]
        there = [table for table in unseen if table.threat.order == order]  # type: ignore[attr-defined]
        chosen = greedy(here)
        today = [one for one in effort_named("standard").stages_of(here[0].threat) if not one.curve]
        found[norm] = {
            "greedy": [one | {"stage": said(one["stage"])} for one in chosen],
            "today": [said(one) for one in today],
            "rows": [
                {
                    "net": table.net,
                    "threat": str(table.threat),
                    "seen": table in here,
                    "right": int(table.right.sum()),
                    "all": table.best,
                    "greedy": replayed(table, [one["stage"] for one in chosen]),
                    "today": replayed(table, today),
                }
                for table in [*here, *there]
            ],
        }
    run = provenance(torch.device("cpu"), time.process_time() - began, 0)
    write_bytes(asked.out, (json.dumps({"n": asked.n, "norms": found, "run": run}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
