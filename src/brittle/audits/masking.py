"""Can the gradients be trusted? Attacks run in full on a few examples and compared with one another."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.attacks import Aim, Attack, AttackResult, AttackSpec, Ball, ModelObjective, Threat, true_class, within
from brittle.ground import Flags, Images, Labels

from .findings import Finding, Level
from .schedule import Effort
from .statistics import Proportion, paired_p_value
from .verification import verify

GRADIENTS = ("long", "clean start", "second-order")  # what a black box is compared with
FOLLOWED = 10  # examples whose gradients are followed
UNBOUNDED = "an unbounded attack wins"
GAP = 0.05  # differences below this share of the examples are not worth a word


class Comparison(NamedTuple):
    """`strong` must break at least as much as `weak`, or this is what it means and what to do."""

    name: str
    strong: str
    weak: str
    level: Level
    hint: str


COMPARISONS = (
    Comparison(
        "more steps help",
        "long",
        "short",
        "bad",
        "the loss surface misleads PGD: trust only minimum-norm and score-based attacks",
    ),
    Comparison(
        "larger eps helps",
        "double eps",
        "long",
        "bad",
        "a larger ball holds the smaller: the attack fails, not the adversary",
    ),
    Comparison(
        "random starts change little",
        "clean start",
        "long",
        "note",
        "the gradient at the data misleads: use random starts and restarts",
    ),
    Comparison(
        "averaged gradients gain nothing",
        "long",
        "second-order",
        "note",
        "plain PGD is blind here: its figure overstates robustness, quote the union",
    ),
    Comparison(
        "gradients beat guessing", "gradients", "black box", "bad", "gradients are masked: quote score-based attacks"
    ),
)


class Probe(NamedTuple):
    """What the probes of one threat say: findings, and the mean gradient length at each step of two paths."""

    findings: list[Finding]
    gradients: list[dict[str, Any]]


def probes(
    model: Callable[[Tensor], Any],
    threat: Ball,
    effort: Effort,
    x: Images,
    seed: int,
    precise: bool = False,
    random: bool = False,
) -> Iterator[tuple[str, Attack]]:
    """The attacks compared, by the names used in `COMPARISONS`, cheap first, and one that may change all of x; all in
    float32 where that is asked; a `random` model is taken at its first word."""

    def asked(spec: AttackSpec, threat: Threat) -> Attack:
        return _until_success(spec, model, threat, seed, precise, random)

    short, long, *others = (spec for spec in effort.compared if spec.entry.supports(threat, x.dim()))
    yield "short", asked(short, threat)
    yield "long", asked(long, threat)
    yield "clean start", asked(long.changed(start="clean"), threat)
    yield "double eps", asked(long, threat.scaled(2))
    yield "unbounded", asked(long, threat.whole(x))
    for spec in others:
        yield "second-order" if spec.cost.backwards else "black box", asked(spec, threat)


def _until_success(
    spec: AttackSpec, model: Callable[[Tensor], Any], threat: Threat, seed: int, precise: bool, random: bool
) -> Attack:
    """The attack, which lets go of an image as soon as it has success in float32, and has none otherwise."""

    def done(x0: Images, x: Images, y: Aim) -> Flags:
        return verify(model, threat, x0, x, true_class(y)).broken

    objective = replace(spec.objective(model), done=done)
    attack = within(spec.search_on(_in(objective, precise), threat, seed), threat)

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        found = attack.search(x, y, seed)
        rows = found.success.nonzero().squeeze(1)
        if len(rows) == 0 or random:
            return found
        held = verify(model, threat, x[rows], found.x[rows], true_class(y)[rows]).broken
        return found._replace(success=found.success.index_copy(0, rows, held))

    return replace(attack, search=search)


def _in(objective: ModelObjective, precise: bool) -> ModelObjective:
    return replace(objective, precision="float32") if precise else objective


class _Runs:
    """What each attack does to the probes, run only on the rows that are asked for."""

    def __init__(self, attacks: dict[str, Attack], x: Images, y: Labels) -> None:
        self.attacks, self.x, self.y = attacks, x, y
        self.known = {name: torch.zeros(len(x), dtype=torch.bool, device=x.device) for name in attacks}
        self.broken = {name: torch.zeros_like(flags) for name, flags in self.known.items()}

    def run(self, name: str, asked: Flags) -> Flags:
        """The probes [n] that an attack (or any of those with gradients) breaks, run where it is asked for."""
        if name == "gradients":
            return torch.stack([self.run(one, asked) for one in GRADIENTS if one in self.attacks]).any(0)
        rows = (asked & ~self.known[name]).nonzero().squeeze(1)
        if len(rows):
            self.broken[name][rows] = self.attacks[name].tried(self.x[rows], self.y[rows]).success
            self.known[name][rows] = True
        return self.broken[name]

    @property
    def everything(self) -> Flags:
        return torch.ones(len(self.x), dtype=torch.bool, device=self.x.device)


def probe(
    model: Callable[[Tensor], Any],
    threat: Threat,
    x: Images,
    y: Labels,
    effort: Effort,
    seed: int,
    batch: int = 250,
    precise: bool = False,
    random: bool = False,
) -> Probe:
    """Compare attacks on the examples given (those the model gets right), and follow its gradients along two paths.

    Cost: the long PGD on all; of the others, only what can tell: the stronger of two on what the weaker breaks, or the
    weaker on what the stronger leaves. All of both, where that shows a difference.
    """
    if threat.radius == 0 or len(x) == 0 or not isinstance(threat, Ball):
        why = "eps is 0" if threat.radius == 0 else "the model gets none of the probes right"
        why = why if isinstance(threat, Ball) else "no gradient can be followed in this threat"
        return Probe([Finding("probes", "skipped", f"nothing to compare: {why}")], [])
    attacks = {
        name: replace(attack, batch=batch) for name, attack in probes(model, threat, effort, x, seed, precise, random)
    }
    runs = _Runs(attacks, x, y)
    titles = {
        name: attack.name + {"clean start": " from the data", "double eps": " at twice eps"}.get(name, "")
        for name, attack in attacks.items()
    } | {"gradients": "all with gradients"}
    left = ~runs.run("long", runs.everything)
    findings = [_unbounded(int((left & ~runs.run("unbounded", left)).sum()) / len(x), titles["unbounded"])]
    findings += [
        _compared(one, runs, titles) for one in COMPARISONS if {one.strong, one.weak} <= {*attacks, "gradients"}
    ]
    able = (spec for spec in effort.compared[1:3] if spec.entry.supports(threat, x.dim()))
    walks = [
        replace(within(spec.search_on(_in(spec.objective(model), precise), threat, seed), threat), batch=batch)
        for spec in able
    ]
    paths = [_path(walk, x[:FOLLOWED], y[:FOLLOWED], seed) for walk in walks]
    findings.append(_alive(paths[0]["zero_share"], min(len(x), FOLLOWED)))
    return Probe(findings, [{"threat": str(threat), **path} for path in paths])


def _unbounded(left: float, name: str) -> Finding:
    text = f"{name} with the whole image to change leaves {left:.0%}"
    if left > GAP:
        return Finding(
            UNBOUNDED,
            "bad",
            text,
            "the gradients lead nowhere: no figure from gradient attacks means robustness",
        )
    return Finding(UNBOUNDED, "fine", text)


def _compared(one: Comparison, runs: _Runs, titles: dict[str, str]) -> Finding:
    """What the weaker breaks and the stronger leaves; the reverse counts only if that is much."""
    strong, weak, n = titles[one.strong], titles[one.weak], len(runs.x)
    if one.weak == "long":
        gained = runs.run("long", runs.everything) & ~runs.run(one.strong, runs.run("long", runs.everything))
    else:
        left = ~runs.run("long", runs.everything)
        if one.strong == "gradients":
            left = left & ~runs.run("second-order", left)
        gained = left & runs.run(one.weak, left)
        gained = gained & ~runs.run(one.strong, gained)
    if int(gained.sum()) / n <= GAP:
        return Finding(one.name, "fine", f"{weak} breaks {int(gained.sum())} of {n} that {strong} leaves")
    by_strong, by_weak = (runs.run(name, runs.everything) for name in (one.strong, one.weak))
    more, less = int((by_weak & ~by_strong).sum()), int((by_strong & ~by_weak).sum())
    shares = [float((~flags).float().mean()) for flags in (by_strong, by_weak)]
    text = f"{strong} leaves {shares[0]:.0%}, {weak} {shares[1]:.0%}"
    if (more - less) / n > GAP and paired_p_value(more, less) < 0.05:
        return Finding(one.name, one.level, text, one.hint)
    return Finding(one.name, "fine", text)


def _path(attack: Attack, x: Images, y: Labels, seed: int) -> dict[str, Any]:
    """Mean length of the gradient followed at each step, and the share of examples where the first is exactly zero."""
    assert attack.path is not None
    parts = zip(torch.split(x, attack.batch), torch.split(y, attack.batch), strict=True)
    paths = [
        [step.grad.flatten(1).norm(dim=1) for step in attack.path(*part, seed) if step.grad is not None]
        for part in parts
    ]
    norms = torch.cat([torch.stack(path) for path in paths], dim=1).nan_to_num()
    return {
        "path": attack.name,
        "mean_norm": norms.mean(1).tolist(),
        "zero_share": float((norms[0] == 0).float().mean()),
    }


def _alive(share: float, n: int) -> Finding:
    if Proportion(round(share * n), n).interval[0] > GAP:  # one image of ten says little
        level: Level = "bad" if share > 0.5 else "warn"
        hint = "PGD stands still there: use margin losses, averaged gradients or score-based attacks"
        return Finding(
            "gradients are alive", level, f"the gradient is exactly zero on {share:.0%} of the examples", hint
        )
    return Finding("gradients are alive", "fine", f"the gradient is exactly zero on {share:.0%} of the examples")
