"""The pieces of work of an audit: one attack on one batch of examples of one threat, verified and kept in the
journal."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.attacks import (
    Attack,
    AttackResult,
    AttackSpec,
    MinimumNorm,
    StartFunction,
    against,
    answer_of,
    bisected,
    from_outside,
    given,
    rejects,
    session,
)
from brittle.ground import BrittleError, Images, Labels, eval_mode, fast_dtype

from .pieces import Judged
from .replay import Replay
from .schedule import CURVE_OF, PILOT_OF, Effort, Stage
from .state import AuditState, Piece, ThreatState
from .verification import verify

SEEDS = 7919  # between the seeds of two stages
BISECTIONS, INWARDS = 6, 10  # from an image that fools, and FMN's steps from there


class Job(NamedTuple):
    """One stage of the schedule in one threat."""

    number: int
    stage: Stage
    search: Attack | MinimumNorm
    judged: Judged

    @property
    def state(self) -> ThreatState:
        """How its threat stands."""
        return self.judged.state

    @property
    def name(self) -> str:
        """As it stands in reports."""
        loss, outside = self.stage.attack.loss, self.stage.outside is not None
        where = " from outside" if outside else " for the curve" if self.stage.curve else ""
        where = " as a pilot" if self.stage.pilot else where
        return self.search.name + (f" ({loss})" if loss else "") + where

    @property
    def pilot(self) -> bool | None:
        """Whether it is the pilot with noise, or without; none: it is no pilot."""
        return self.stage.noise if self.stage.pilot else None

    def parts(self) -> Iterator[tuple[Tensor, ...]]:
        """The rows that it tries, some batches at a time which do not depend on one another, nearest to breaking first;
        a stage may give up on the way."""
        subject = self.judged.subject
        if self.stage.curve:
            yield torch.split(subject.drawn(CURVE_OF), subject.batch)
            return
        if self.stage.pilot:
            yield torch.split(subject.drawn(PILOT_OF, self.state.right), subject.batch)
            return
        if self.stage.noise not in (None, self.state.noise_helps) or (self.stage.stuck and not self.state.stuck):
            return
        withstand = self.state.nearest()
        rows = withstand[: self.stage.most(int(self.state.right.sum()))]
        if len(rows) == 0:
            return
        for part in torch.split(rows, self.stage.at_a_time(len(withstand))):
            before = self._left(part)
            yield torch.split(part, subject.batch)
            if self._left(part) == before:
                return

    def _left(self, rows: Tensor) -> int:
        return int(self.state.alive[rows].sum() + self.state.alive_8bit[rows].sum())

    def key(self, rows: Tensor) -> str:
        """By which the journal and a random model's draws know the piece."""
        return f"{self.state.threat} {self.name} {self.number} {int(rows[0])}"

    def run(self, rows: Tensor) -> Piece:
        """Attack these examples, and verify what is claimed."""
        started, subject = time.monotonic(), self.judged.subject
        x, y = subject.x[rows], subject.y[rows]
        with subject.draws(self.key(rows)):
            result, minimum = self._curve(rows, x, y) if self.stage.curve else (self._attack(x, y), None)
            claimed = self._claimed(result, x, y)
            piece = self.judged.piece(rows, x, y, result, claimed)
        return piece._replace(minimum=minimum, seconds=time.monotonic() - started)

    def _attack(self, x: Images, y: Labels) -> AttackResult:
        attack = self.search.within(self.state.threat) if isinstance(self.search, MinimumNorm) else self.search
        return attack.tried(x, y)

    def _curve(self, rows: Tensor, x: Images, y: Labels) -> tuple[AttackResult, Tensor]:
        """The smallest changes: 0 where the model is wrong; of what is broken already, inwards from there; else from
        the image itself, which counts as an attack, too."""
        assert isinstance(self.search, MinimumNorm)
        threat, right = self.state.threat, self.state.right[rows]
        known = torch.tensor([row in self.state.found for row in rows.tolist()], device=rows.device) & self._walks
        minimum = torch.where(right.cpu(), torch.inf, 0).double()
        result = AttackResult(x.clone(), torch.zeros_like(right), torch.full(right.shape, -1e9, device=x.device))
        for which, search in ((right & ~known, self.search), (right & known, self._inwards(rows[known], x[known]))):
            some = which.nonzero().squeeze(1)
            if len(some) == 0:
                continue
            found = search.tried(x[some], y[some])
            # the curve counts what fools in float32, at its size in float64
            near = verify(self.judged.subject.judge, threat.whole(x), x[some], found.x, y[some])
            minimum[some.cpu()] = torch.where(near.broken.cpu() & found.size.cpu().isfinite(), near.size, torch.inf)
            fitted = search.fitted(found, threat, x[some], y[some])
            result = AttackResult(
                *(whole.index_copy(0, some, part.to(whole)) for whole, part in zip(result, fitted, strict=True))
            )
        return result, minimum

    @property
    def _walks(self) -> bool:
        return {"start", "steps"} <= set(self.stage.attack.entry.settings)

    def _inwards(self, rows: Tensor, x: Images) -> MinimumNorm:
        """The search, from the images that broke some examples; itself, where it takes no start."""
        assert isinstance(self.search, MinimumNorm)
        if not self._walks or len(rows) == 0:
            return self.search
        start = bisected(given(x, self.state.adversarial(rows.tolist())), BISECTIONS)
        spec, objective = self.stage.attack.changed(steps=INWARDS), self.search.objective
        search = spec.search_on(objective, self.state.threat, self.search.seed, start=start)
        assert isinstance(search, MinimumNorm)
        return search

    def _claimed(self, result: AttackResult, x: Images, y: Labels) -> Tensor:
        """The rows of the successes; what was searched in bfloat16 is only suspected there, and is asked again as the
        attack asked, with a gradient, but for what was judged in float32 on the way."""
        rows, kind, subject = result.success.nonzero().squeeze(1), result.x.device.type, self.judged.subject
        fast = self.stage.attack.entry.precision == "fast" and not subject.precise
        if len(rows) and fast and fast_dtype(kind) != torch.float32:
            held = self.judged.held(x[rows], result.x[rows], y[rows])
            asked = rows[~held]
            with session(against(subject.target)) as evaluate, torch.enable_grad():
                again = evaluate(result.x[asked].requires_grad_(), y[asked]).success if len(asked) else held[:0]
            rows = torch.cat([rows[held], asked[again]]).sort().values
        return rows


Work = Job | Replay


def jobs(state: AuditState, effort: Effort, extra: Iterable[AttackSpec], seed: int) -> list[Work]:
    """The work in its order: stage by stage, then threat by threat, so that a budget is spread evenly; where there are
    several threats, each stage after what the others found.

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
    several = len(state.threats) > 1
    again = [[Replay(state, Judged(state.subject, one))] if several else [] for one in state.threats]
    ordered: list[Work] = []
    for number in range(max(map(len, work))):
        for jobs, replay in zip(work, again, strict=True):
            ordered += [*replay, jobs[number]] if number < len(jobs) else []
    return ordered + [one for replay in again for one in replay]


def later(state: AuditState, one: ThreatState, effort: Effort, seed: int, *, gives_up: bool) -> list[Job]:
    """The searches without gradients of an effort in one threat; each may give up where it breaks none."""
    stages = effort.stages_of(one.threat, state.subject.x.dim(), blind=True)
    return _in_one(state, one, [replace(stage, gives_up=gives_up) for stage in stages if stage.blind], seed)


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
        judged, objective = Judged(whole.subject, state), stage.attack.objective(whole.subject.target)
        if whole.subject.precise:
            objective = replace(objective, precision="float32")
        if not stage.curve:
            objective = replace(objective, done=judged)
        more = {} if stage.outside is None else {"start": _outside(whole, stage.outside)}
        search = stage.attack.search_on(objective, state.threat, seed + SEEDS * number, **more)
        found.append(Job(number, stage, search, judged))
    return found


def _outside(state: AuditState, rank: int) -> StartFunction:
    answers, model = state.answers, state.subject.model
    if rejects(model):  # what is rejected is not called otherwise
        with torch.no_grad(), eval_mode(model):
            answers = answers.masked_fill(answers == answer_of(model, state.subject.x[:1]).shape[1] - 1, -1)
    return from_outside(state.subject.x, answers, rank=rank, bisections=BISECTIONS)
