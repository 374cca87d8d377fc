"""The pieces of work of an audit: one attack on one batch of examples of one threat, verified and kept in the
journal."""

import time
from collections.abc import Iterable
from typing import NamedTuple

import torch
from msgspec import Struct
from torch import Tensor

from brittle.attacks import Attack, AttackSpec, MinimumNorm

from .ensemble import ensemble
from .journal import Journal
from .state import AuditState, Piece, Subject, ThreatState
from .verification import verify


class PieceFacts(Struct, frozen=True):
    """What the journal keeps of a piece beside its tensors."""

    claimed: int
    seconds: float


class Job(NamedTuple):
    """One attack of one threat on the examples `rows`, of which it tries those still alive."""

    state: ThreatState
    name: str
    attack: Attack | MinimumNorm
    rows: Tensor

    @property
    def title(self) -> str:
        return f"{self.state.threat} {self.name}"

    @property
    def key(self) -> str:
        return f"{self.title} {int(self.rows[0])}"

    @property
    def alive(self) -> Tensor:
        return self.rows[self.state.alive_8bit[self.rows]]

    def read(self, journal: Journal, alive: Tensor) -> Piece | None:
        """What the journal holds of this piece; a piece for other survivors is none."""
        kept = journal.read(self.key, PieceFacts)
        if kept is None or not torch.equal(kept[0]["rows"], alive.cpu()):
            return None
        tensors = {name: value.to(alive.device) for name, value in kept[0].items()}
        return Piece(**tensors, claimed=kept[1].claimed, seconds=kept[1].seconds)

    def write(self, journal: Journal, piece: Piece) -> None:
        """Keep the piece in the journal."""
        tensors = {name: value for name, value in piece._asdict().items() if isinstance(value, Tensor)}
        journal.write(self.key, tensors, PieceFacts(piece.claimed, piece.seconds))

    def run(self, subject: Subject, alive: Tensor) -> Piece:
        """Attack the examples `alive`, and verify what is claimed."""
        started, minimum = time.monotonic(), None
        threat, x, y = self.state.threat, subject.x[alive], subject.y[alive]
        if isinstance(self.attack, MinimumNorm):
            found = self.attack(x, y)
            result = self.attack.fitted(found, threat, x, y)
            # the curve counts what fools in float32, at its size in float64
            near = verify(subject.model, threat.whole(x), x, found.x, y)
            minimum = torch.where(near.broken.cpu() & found.size.cpu().isfinite(), near.size, torch.inf)
        else:
            result = self.attack.run(x, y)
        seen = verify(subject.model, threat, x, result.x, y)
        return Piece(
            rows=alive,
            broken=seen.broken,
            broken_8bit=seen.broken_8bit & seen.broken,
            x=result.x[seen.broken],
            size=seen.size[seen.broken.cpu()],
            minimum=minimum,
            claimed=int(result.success.sum()),
            seconds=time.monotonic() - started,
        )


def jobs(state: AuditState, specs: Iterable[AttackSpec], seed: int) -> list[Job]:
    """The work in its order: attack by attack, then threat by threat and batch by batch, so that a budget is spread
    evenly."""
    model, x, _, batch = state.subject
    ensembles = [ensemble(model, one.threat, specs, dims=x.dim(), seed=seed) for one in state.threats]
    rows = torch.split(torch.arange(len(x), device=x.device), batch)
    return [
        Job(one, *list(attacks.items())[stage], part)
        for stage in range(max(len(attacks) for attacks in ensembles))
        for one, attacks in zip(state.threats, ensembles, strict=True)
        if stage < len(attacks)
        for part in rows
    ]
