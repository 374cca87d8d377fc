"""How an audit stands while it goes on: the whole, and each of its threats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from msgspec.structs import replace
from torch import Tensor

from brittle.attacks import (
    Evaluation,
    Threat,
    require_threat,
)
from brittle.ground import BrittleError, Flags, Images, Labels, PerExample

from .records import AttackTally, Check, GradientPath, ProportionRecord
from .statistics import Proportion
from .subject import Subject, prepared

REPLAY, GRID = "replay", "grid"  # what other threats broke; every image that is allowed
LOST = 0.95  # of what the model gets right
MOVED = 0.1  # of a margin


class Piece(NamedTuple):
    """What one attack did to the examples `rows` [k], looked at afresh.

    `broken` and `broken_8bit` [k] say which it broke, `x` and `size` [b] hold only those; `minimum` [k] is the smallest
    size found, where the attack looks for that; `margin` [k] is how far the wrong class came (-inf where NaN came up);
    `claimed` is how many successes the attack spoke of.
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
    sizes: Tensor
    clean: PerExample  # the margin of the clean image
    margin: PerExample  # the largest that any attack reached
    minimum: Tensor  # smallest size found; NaN where it was not looked for
    minimum_by: str | None = None  # the attack that looked for it
    found: dict[int, Tensor] = field(default_factory=dict)  # the adversarial image of each example that is broken
    pieces: list[str] = field(default_factory=list)  # the attack of each piece, in their order
    broke_in: dict[int, int] = field(default_factory=dict)  # in which piece each example broke
    pilots: dict[bool, int] = field(default_factory=dict)  # what the pilots with noise and without broke
    exhausted: set[int] = field(default_factory=set)  # examples that withstand every image that is allowed
    nan: int = 0  # examples on which an attack met NaN
    proved: list[str | None] = field(default_factory=list)  # how each example was proved robust; empty: not asked
    tally: dict[str, AttackTally] = field(default_factory=dict)

    @classmethod
    def at_first(cls, threat: Threat, clean: Evaluation) -> "ThreatState":
        """Before any attack: alive is what the model gets right."""
        right = ~clean.success
        zeros = torch.zeros(len(right), dtype=torch.float64)
        minimum, margin = torch.full_like(zeros, torch.nan), clean.margin.clone()
        return cls(
            threat, right, right.clone(), right.clone(), [None] * len(right), zeros, clean.margin, margin, minimum
        )

    def nearest(self) -> Tensor:
        """The rows still attacked, nearest to breaking first, after them those that are broken but not in 8 bits."""
        rows = self.alive_8bit.nonzero().squeeze(1)
        rows = rows[self.margin[rows].argsort(descending=True, stable=True)]
        return rows[self.alive[rows].int().argsort(descending=True, stable=True)]

    @property
    def stuck(self) -> bool:
        """Whether attacks moved the margin by less than a tenth (`MOVED`) on most of what withstands: there it tells
        little of what is nearest to breaking, and gradients lead hardly anywhere."""
        moved = (self.margin - self.clean)[self.alive]
        return bool((moved < MOVED * self.clean[self.alive].abs()).float().mean() > 0.5)

    def withdraw(self, row: int) -> None:
        """Take an example back that is not broken when it is looked at once more."""
        name, self.breaker[row] = self.breaker[row], None
        self.alive[row], self.alive_8bit[row], self.sizes[row] = True, True, 0
        if not self.minimum[row].isnan():
            self.minimum[row] = torch.inf  # what was found there does not hold
        del self.found[row]
        for late in set(self.pieces[self.broke_in.pop(row) :]):  # what is left after each attack's last piece
            past = self.tally[late]
            left = ProportionRecord.of(Proportion(past.left.correct + 1, past.left.n))
            self.tally[late] = replace(past, left=left, broke=past.broke - (late == name))

    def adversarial(self, rows: Sequence[int]) -> Images:
        """The adversarial images of some examples that are broken [k, *S]."""
        return torch.stack([self.found[row] for row in rows]).to(self.alive.device)

    @property
    def robust(self) -> Proportion:
        return Proportion(int(self.alive.sum()), len(self.alive))

    @property
    def lost(self) -> str:
        """Why attacks need not be compared with one another: nearly all that the model gets right is broken. Empty
        where it is not."""
        right, left = int(self.right.sum()), int(self.alive.sum())
        if not right or left > (1 - LOST) * right:
            return ""
        return f"{right - left} of {right} are broken: no robustness is left that masked gradients could feign"

    @property
    def noise_helps(self) -> bool:
        """Whether gradients with noise broke more in the pilots than gradients without; without pilots: yes."""
        return self.pilots.get(True, 0) > self.pilots.get(False, -1)

    @property
    def proven(self) -> Proportion | None:
        """The share that is proved robust; none if no proof was asked for."""
        return Proportion(sum(proof is not None for proof in self.proved), len(self.alive)) if self.proved else None

    def enter(self, name: str, piece: Piece, pilot: bool | None = None) -> None:
        """Take in what the attack `name` did; `pilot`: as the pilot with noise, or without."""
        if pilot is not None:
            self.pilots[pilot] = self.pilots.get(pilot, 0) + int(piece.broken.sum())
        rows, fresh = piece.rows, piece.broken & self.alive[piece.rows]
        broken = rows[fresh]
        self.alive[broken] = False
        self.alive_8bit[rows[piece.broken_8bit]] = False
        self.margin[rows] = torch.maximum(self.margin[rows], piece.margin.to(self.margin))
        self.nan += int((piece.margin == -torch.inf).sum())
        if name == GRID:
            self.exhausted.update(rows[(piece.margin < 0) & piece.margin.isfinite()].tolist())
        if piece.minimum is not None:
            self.minimum[rows.cpu()], self.minimum_by = piece.minimum.cpu(), name
        kept = fresh[piece.broken]  # of the images that broke, those that are news
        self.sizes[broken.cpu()] = piece.size.cpu()[kept.cpu()]
        for row, image in zip(broken.tolist(), piece.x[kept].cpu(), strict=True):
            self.breaker[row], self.found[row], self.broke_in[row] = name, image, len(self.pieces)
        self.pieces.append(name)
        left = ProportionRecord.of(self.robust)
        past = self.tally.pop(name, None) or AttackTally(name, 0, 0, 0, 0, 0.0, left)  # each where it ran last
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


def first_state(subject: Subject, threats: Iterable[Threat | str]) -> AuditState:
    """How an audit stands before any attack.

    Raises:
        BrittleError: no threat, or examples or a model that are unfit to be attacked.
    """
    distinct = list(dict.fromkeys(map(require_threat, [threats] if isinstance(threats, str) else threats)))
    if not distinct:
        raise BrittleError("an audit needs at least one threat, such as Linf(0.3)")
    subject, checks = prepared(subject)
    clean = subject.clean()
    states = [ThreatState.at_first(threat, clean) for threat in distinct]
    return AuditState(subject, ~clean.success, subject.answers(subject.x), states, checks)
