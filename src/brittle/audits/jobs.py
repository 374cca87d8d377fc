"""The pieces of work of an audit: one attack on one batch of examples of one threat, verified and kept in the
journal."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from msgspec import Struct
from torch import Tensor

from brittle.attacks import (
    Aim,
    Attack,
    AttackResult,
    AttackSpec,
    Done,
    MinimumNorm,
    StartFunction,
    against,
    from_outside,
    session,
    true_class,
)
from brittle.ground import BrittleError, Flags, Images, Labels, fast_dtype

from .journal import Journal
from .schedule import AT_A_TIME, CURVE_OF, LEAST, Effort, Stage
from .state import AuditState, Piece, ThreatState
from .subject import Subject
from .verification import verify

SEEDS = 7919  # between the seeds of two stages


class PieceFacts(Struct, frozen=True):
    """What the journal keeps of a piece beside its tensors."""

    claimed: int
    seconds: float


class Job(NamedTuple):
    """One stage of the schedule in one threat."""

    state: ThreatState
    number: int
    stage: Stage
    search: Attack | MinimumNorm

    @property
    def name(self) -> str:
        """As it stands in reports."""
        loss, outside = self.stage.attack.loss, self.stage.outside is not None
        where = " from outside" if outside else " for the curve" if self.stage.curve else ""
        return self.search.name + (f" ({loss})" if loss else "") + where

    @property
    def title(self) -> str:
        return f"{self.state.threat} {self.name}"

    def parts(self, subject: Subject) -> Iterator[tuple[Tensor, ...]]:
        """The rows that it tries, some batches at a time which do not depend on one another, nearest to breaking first;
        a stage may give up on the way."""
        if self.stage.curve:
            yield torch.split(subject.drawn(CURVE_OF), subject.batch)
            return
        rows = self.state.nearest(self.stage.share, LEAST)
        if len(rows) == 0:
            return
        some = max(LEAST, math.ceil(AT_A_TIME * len(rows))) if self.stage.gives_up else len(rows)
        for part in torch.split(rows, some):
            yield torch.split(part, subject.batch)
            if self.state.alive_8bit[part].all():
                return

    def read(self, journal: Journal, rows: Tensor) -> Piece | None:
        """What the journal holds of this piece; a piece for other examples is none."""
        kept = journal.read(self._key(rows), PieceFacts)
        if kept is None or not torch.equal(kept[0]["rows"], rows.cpu()):
            return None
        tensors = {name: value.to(rows.device) for name, value in kept[0].items()}
        return Piece(**tensors, claimed=kept[1].claimed, seconds=kept[1].seconds)

    def write(self, journal: Journal, piece: Piece) -> None:
        """Keep the piece in the journal."""
        tensors = {name: value for name, value in piece._asdict().items() if isinstance(value, Tensor)}
        journal.write(self._key(piece.rows), tensors, PieceFacts(piece.claimed, piece.seconds))

    def _key(self, rows: Tensor) -> str:
        return f"{self.title} {self.number} {int(rows[0])}"

    def run(self, subject: Subject, rows: Tensor) -> Piece:
        """Attack these examples, and verify what is claimed."""
        with subject.draws(self._key(rows)):
            return self._run(subject, rows)

    def _run(self, subject: Subject, rows: Tensor) -> Piece:
        started, minimum = time.monotonic(), None
        threat, x, y = self.state.threat, subject.x[rows], subject.y[rows]
        if isinstance(self.search, MinimumNorm) and self.stage.curve:
            found = self.search(x, y)
            result = self.search.fitted(found, threat, x, y)
            # the curve counts what fools in float32, at its size in float64
            near = verify(subject.judge, threat.whole(x), x, found.x, y)
            minimum = torch.where(near.broken.cpu() & found.size.cpu().isfinite(), near.size, torch.inf)
        else:
            attack = self.search.within(threat) if isinstance(self.search, MinimumNorm) else self.search
            result = attack.run(x, y)
        claimed = self._claimed(subject, result, y)
        broken, broken_8bit = torch.zeros_like(result.success), torch.zeros_like(result.success)
        sizes = torch.zeros(0, dtype=torch.float64)
        if len(claimed):
            seen = verify(subject.judge, threat, x[claimed], result.x[claimed], y[claimed])
            broken[claimed], broken_8bit[claimed] = seen.broken, seen.broken_8bit & seen.broken
            sizes = seen.size[seen.broken.cpu()]
        return Piece(
            rows=rows,
            broken=broken,
            broken_8bit=broken_8bit,
            x=result.x[broken],
            size=sizes,
            margin=result.margin,
            minimum=minimum,
            claimed=len(claimed),
            seconds=time.monotonic() - started,
        )

    def _claimed(self, subject: Subject, result: AttackResult, y: Labels) -> Tensor:
        """The rows of the successes; what was searched in bfloat16 is only suspected there, and is asked again as the
        attack asked, with a gradient."""
        rows, kind = result.success.nonzero().squeeze(1), result.x.device.type
        if len(rows) and self.stage.attack.entry.precision == "fast" and fast_dtype(kind) != torch.float32:
            with session(against(subject.target)) as evaluate, torch.enable_grad():
                rows = rows[evaluate(result.x[rows].requires_grad_(), y[rows]).success]
        return rows


def jobs(state: AuditState, effort: Effort, extra: Iterable[AttackSpec], seed: int) -> list[Job]:
    """The work in its order: stage by stage, then threat by threat, so that a budget is spread evenly.

    Raises:
        BrittleError: a threat in which none of the attacks works, or an extra attack that works in none of the threats.
    """
    extra, dims = tuple(extra), state.subject.x.dim()
    for spec in extra:
        if not any(spec.entry.supports(one.threat, dims) for one in state.threats):
            told = ", ".join(str(one.threat) for one in state.threats)
            raise BrittleError(f"the attack {spec.name!r} does not work in {told}; brittle attacks tells which do")
    work = [
        _in_one(state, one, [*effort.stages_of(one.threat, dims, state.subject.blind), *_last(extra, one, dims)], seed)
        for one in state.threats
    ]
    return [jobs[number] for number in range(max(map(len, work))) for jobs in work if number < len(jobs)]


def _last(extra: Iterable[AttackSpec], state: ThreatState, dims: int) -> list[Stage]:
    return [Stage(spec, None) for spec in extra if spec.entry.supports(state.threat, dims)]


def _in_one(whole: AuditState, state: ThreatState, stages: list[Stage], seed: int) -> list[Job]:
    if not stages:
        raise BrittleError(
            f"no attack of this audit works in {state.threat}; brittle attacks tells which do, --with adds one"
        )
    found = []
    for number, stage in enumerate(stages):
        if not whole.subject.gradients and stage.attack.cost.backwards:
            continue
        objective = stage.attack.objective(whole.subject.target)
        if not stage.curve:
            objective = replace(objective, done=done_in(whole.subject, state))
        more = {} if stage.outside is None else {"start": _outside(whole, stage.outside)}
        search = stage.attack.search_on(objective, state.threat, seed + SEEDS * number, **more)
        found.append(Job(state, number, stage, search))
    return found


def _outside(state: AuditState, rank: int) -> StartFunction:
    return from_outside(state.subject.x, state.answers, rank=rank, bisections=6)


def done_in(subject: Subject, state: ThreatState) -> Done:
    """Whether an image is broken for good: it is allowed, and fools in float32 and in 8 bits."""

    def done(x0: Images, x: Images, y: Aim) -> Flags:
        found = state.threat.contains(x0, x)
        rows = found.nonzero().squeeze(1)
        if len(rows):
            seen = verify(subject.judge, state.threat, x0[rows], x[rows], true_class(y)[rows])
            found = found.index_copy(0, rows, seen.broken & seen.broken_8bit)
        return found

    return done
