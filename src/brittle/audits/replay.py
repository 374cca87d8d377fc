"""What broke examples in other threats of an audit, tried in this one."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from brittle.attacks import AttackResult, Ball, against, evaluation_at, merged, session

from .pieces import Judged
from .state import REPLAY, AuditState, Piece, ThreatState


@dataclass
class Replay:
    """What broke examples in other threats, brought into this one: a look at each, which costs next to nothing."""

    whole: AuditState
    judged: Judged
    seen: set[tuple[str, int]] = field(default_factory=set)  # threats and rows that were looked at
    name, pilot = REPLAY, None

    @property
    def state(self) -> ThreatState:
        """How its threat stands."""
        return self.judged.state

    def parts(self) -> Iterator[tuple[Tensor, ...]]:
        """The rows that still withstand and were broken in another threat since the last look."""
        if not isinstance(self.state.threat, Ball):
            return
        news = {(str(one.threat), row) for one in self.whole.threats if one is not self.state for row in one.found}
        fresh = {row for _, row in news - self.seen}
        self.seen |= news
        rows = [row for row in self.state.alive.nonzero().squeeze(1).tolist() if row in fresh]
        if rows:
            yield torch.split(torch.tensor(rows, device=self.state.alive.device), self.judged.subject.batch)

    def key(self, rows: Tensor) -> str:
        """By which the journal and a random model's draws know the piece."""
        return f"{self.state.threat} {self.name} {len(self.seen)} {int(rows[0])}"

    def run(self, rows: Tensor) -> Piece:
        """Look at the images that broke these examples elsewhere."""
        started, subject, threat = time.monotonic(), self.judged.subject, self.state.threat
        x, y = subject.x[rows], subject.y[rows]
        assert isinstance(threat, Ball)
        best = AttackResult(x, torch.zeros_like(y, dtype=torch.bool), torch.full(y.shape, -1e9, device=x.device))
        with subject.draws(self.key(rows)), session(against(subject.target)) as evaluate:
            for other in self.whole.threats:
                there = [place for place, row in enumerate(rows.tolist()) if row in other.found]
                if other is self.state or not there:
                    continue
                some = torch.tensor(there, device=rows.device)
                moved = threat.project(x[some], other.adversarial(rows[some].tolist()).to(x))
                shown = evaluation_at(evaluate, moved, y[some])
                fooled, margin = shown.success & ~shown.margin.isnan(), shown.margin.nan_to_num(-1e9).to(best.margin)
                best = merged(best, some, AttackResult(moved, fooled, margin))
            claimed = best.success.nonzero().squeeze(1)
            piece = self.judged.piece(rows, x, y, best, claimed)
        return piece._replace(seconds=time.monotonic() - started)
