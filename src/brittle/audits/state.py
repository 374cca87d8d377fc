"""How an audit stands while it goes on: the whole, and each of its threats."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from brittle.attacks import (
    Averaged,
    Evaluation,
    Threat,
    Voting,
    against,
    check_examples,
    classes_of,
    logits_of,
    margin,
    session,
)
from brittle.ground import BrittleError, Flags, Images, Labels, PerExample, eval_mode, keys_of, uniform

from .doctor import doctor
from .records import AttackTally, Check, GradientPath, ProportionRecord
from .statistics import Proportion

DRAWS, VOTES = (4, 16), 25  # of a random model: for an average, at least and at most; for a majority


@dataclass(frozen=True)
class Subject:
    """The model, the examples that it is asked about, and how many of them are held at once.

    Attributes:
        seed: of what is drawn, the images aside.
        majority: of a random model, the majority of fresh draws; `model` is then its average over draws.
    """

    model: Callable[[Tensor], Any]
    x: Images
    y: Labels
    batch: int
    seed: int = 0
    majority: Voting | None = None

    @property
    def judge(self) -> Callable[[Tensor], Any]:
        """The model whose answers count."""
        return self.majority or self.model

    def answers(self, images: Images) -> Labels:
        """The classes that the model names for some images."""
        with self.draws("answers"):
            return classes_of(self.judge, images, self.batch)

    @contextmanager
    def draws(self, key: str) -> Iterator[None]:
        """The draws of a random model begin anew, as `key` says, so that a piece of work is always the same; torch's
        generator alone is set, and afterwards as it was."""
        if self.majority is None:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(int.from_bytes(hashlib.sha256(f"{self.seed} {key}".encode()).digest()[:6], "big"))
            yield

    def drawn(self, count: int) -> Tensor:
        """The rows of some examples, which their own pixels draw."""
        order = uniform(keys_of(self.x), torch.Size([1]), seed=0)[:, 0].argsort(stable=True)
        return order[:count].sort().values


class Piece(NamedTuple):
    """What one attack did to the examples `rows` [k], looked at afresh.

    `broken` and `broken_8bit` [k] say which it broke, `x` and `size` [b] hold only those; `minimum` [k] is the smallest
    size found, where the attack looks for that; `margin` [k] is how far the wrong class came.
    """

    rows: Int64[Tensor, "k"]
    broken: Flags
    broken_8bit: Flags
    x: Images
    size: Float64[Tensor, "b"]
    margin: PerExample
    claimed: int
    seconds: float
    minimum: Float64[Tensor, "k"] | None = None


@dataclass
class ThreatState:
    """How one threat stands: which examples withstand, which attack broke which, and each attack's tally.

    An example goes on being attacked until an adversarial image of it also fools when it is rounded to 8 bits:
    minimum-norm images lie on the decision boundary, and rounding alone would undo them.
    """

    threat: Threat
    right: Flags
    alive: Flags
    alive_8bit: Flags
    breaker: list[str | None]
    adversarial: Images
    sizes: Tensor
    margin: PerExample  # the largest that any attack reached, at first that of the clean image
    minimum: Tensor  # smallest size found; NaN where it was not looked for
    minimum_by: str | None = None  # the attack that looked for it
    proved: list[str | None] = field(default_factory=list)  # how each example was proved robust; empty: not asked
    tally: dict[str, AttackTally] = field(default_factory=dict)

    @classmethod
    def at_first(cls, threat: Threat, x: Images, clean: Evaluation) -> "ThreatState":
        """Before any attack: alive is what the model gets right."""
        zeros, right = torch.zeros(len(x), dtype=torch.float64), ~clean.success
        minimum, margin = torch.full_like(zeros, torch.nan), clean.margin.clone()
        return cls(threat, right, right.clone(), right.clone(), [None] * len(x), x.clone(), zeros, margin, minimum)

    def nearest(self, share: float, least: int) -> Tensor:
        """The rows still attacked, nearest to breaking first; of a share below 1 that share of the examples that the
        model gets right, but `least` of them."""
        rows = self.alive_8bit.nonzero().squeeze(1)
        rows = rows[self.margin[rows].argsort(descending=True, stable=True)]
        return rows if share == 1 else rows[: max(least, math.ceil(share * int(self.right.sum())))]

    @property
    def robust(self) -> Proportion:
        return Proportion(int(self.alive.sum()), len(self.alive))

    @property
    def proven(self) -> Proportion | None:
        """The share that is proved robust; none if no proof was asked for."""
        return Proportion(sum(proof is not None for proof in self.proved), len(self.alive)) if self.proved else None

    def enter(self, name: str, piece: Piece) -> None:
        """Take in what the attack `name` did."""
        rows, fresh = piece.rows, piece.broken & self.alive[piece.rows]
        broken = rows[fresh]
        self.alive[broken] = False
        self.alive_8bit[rows[piece.broken_8bit]] = False
        self.margin[rows] = torch.maximum(self.margin[rows], piece.margin.to(self.margin))
        if piece.minimum is not None:
            self.minimum[rows.cpu()], self.minimum_by = piece.minimum.cpu(), name
        kept = fresh[piece.broken]  # of the images that broke, those that are news
        self.adversarial[broken] = piece.x[kept].to(self.adversarial)
        self.sizes[broken.cpu()] = piece.size[kept].cpu()
        for row in broken.tolist():
            self.breaker[row] = name
        left = ProportionRecord.of(self.robust)
        past = self.tally.get(name) or AttackTally(name, 0, 0, 0, 0, 0.0, left)
        self.tally[name] = AttackTally(
            name,
            tried=past.tried + len(rows),
            claimed=past.claimed + piece.claimed,
            verified=past.verified + int(piece.broken.sum()),
            broke=past.broke + len(broken),
            seconds=past.seconds + piece.seconds,
            left=left,
        )


@dataclass
class AuditState:
    """How a whole audit stands: what it is of, what the model gets right, and what was found in each threat."""

    subject: Subject
    right: Flags
    answers: Labels
    threats: list[ThreatState]
    checks: list[Check]
    gradients: list[GradientPath] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def clean(self) -> Proportion:
        return Proportion(int(self.right.sum()), len(self.right))

    @property
    def withstands(self) -> Tensor:
        """Threats in rows, examples in columns."""
        return torch.stack([state.alive for state in self.threats])

    @property
    def union(self) -> Proportion:
        """Examples that withstand every attack of every threat."""
        return Proportion(int(self.withstands.all(0).sum()), len(self.right))

    @property
    def union_8bit(self) -> Proportion:
        alive = torch.stack([state.alive_8bit for state in self.threats])
        return Proportion(int(alive.all(0).sum()), len(self.right))

    @property
    def union_proven(self) -> Proportion | None:
        """Examples that are proved robust in every threat; none if no proof was asked for."""
        if not all(state.proved for state in self.threats):
            return None
        each = zip(*(state.proved for state in self.threats), strict=True)
        return Proportion(sum(None not in proofs for proofs in each), len(self.right))

    @property
    def robust(self) -> dict[str, Proportion]:
        return {str(state.threat): state.robust for state in self.threats}


def first_state(subject: Subject, threats: Iterable[Threat]) -> AuditState:
    """How an audit stands before any attack; a random model is averaged and judged by majority.

    Raises:
        BrittleError: no threat, or examples or a model that are unfit to be attacked.
    """
    distinct = list(dict.fromkeys(threats))
    if not distinct:
        raise BrittleError("an audit needs at least one threat, such as Linf(0.3)")
    check_examples(subject.x, subject.y)
    if subject.x.dtype not in (torch.float32, torch.float64):
        kind = subject.x.dtype
        raise BrittleError(f"an audit is done in float32 or float64, not {kind}: half precision rounds eps away")
    some = slice(0, max(20, min(100, subject.batch)))
    findings = doctor(subject.model, subject.x[some], subject.y[some])
    for finding in findings:
        if finding.level == "bad" and finding.name in ("answer", "finite", "classes"):
            raise BrittleError(f"the model cannot be attacked: {finding.text}; {finding.hint}")
    checks = [Check.of(finding) for finding in findings]
    if any(finding.name == "deterministic" and finding.level != "fine" for finding in findings):
        subject = _averaged(subject, some)
        text = f"attacks average over {subject.model.draws} draws, answers are by majority of {VOTES}"  # type: ignore[attr-defined]
        checks.append(Check("draws", None, "fine", text, ""))
    clean = _clean(subject)
    states = [ThreatState.at_first(threat, subject.x, clean) for threat in distinct]
    return AuditState(subject, ~clean.success, subject.answers(subject.x), states, checks)


def _averaged(subject: Subject, some: slice) -> Subject:
    """A random model as its average and its majority; as many draws for the average as its margins ask for.

    The mean margin of an image should be told from 0, at which attacks end, with some certainty: so many draws that its
    standard error is half of its length, on the median image.
    """
    x, y = subject.x[some], subject.y[some]
    majority = replace(subject, majority=Voting(subject.model, VOTES))
    with majority.draws("draws"), torch.no_grad(), eval_mode(subject.model):
        drawn = torch.stack([margin(logits_of(subject.model(x)).log_softmax(1), y) for _ in range(8)])
    needed = float((2 * drawn.std(0) / drawn.mean(0).abs().clamp(min=1e-6)).square().median())
    return replace(majority, model=Averaged(subject.model, min(max(math.ceil(needed), DRAWS[0]), DRAWS[1])))


def _clean(subject: Subject) -> Evaluation:
    """What the model shows of the clean examples."""
    model, x, y = subject.model, subject.x, subject.y
    with torch.no_grad(), eval_mode(model):
        classes = logits_of(model(x[:1])).shape[1]
    if int(y.max()) >= classes:
        raise BrittleError(f"labels go up to {int(y.max())} but the model has {classes} classes")
    with session(against(model)) as evaluate, torch.no_grad(), subject.draws("clean"):
        parts = zip(torch.split(x, subject.batch), torch.split(y, subject.batch), strict=True)
        found = [evaluate(*part) for part in parts]
    whole = Evaluation(*(torch.cat(part) for part in zip(*found, strict=True)))
    return whole if subject.majority is None else whole._replace(success=subject.answers(x) != y)
