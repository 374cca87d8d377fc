"""The other side of a verdict: what is proved of the examples that withstand."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from msgspec import Struct
from torch import Tensor

from brittle.attacks import Certifiable, Finite, rejects
from brittle.ground import BrittleError

from .journal import Journal
from .proofs import Layer, certify, graph_of
from .records import Check
from .state import GRID, AuditState, Piece, ThreatState
from .subject import Subject
from .verification import verify

BATCH = 20  # examples proved at once: what a kill costs at most
EVERY_IMAGE, SEARCH = "every image is tried", "exact search"
PROOFS = "proofs"  # the name of the check


class ProofFacts(Struct, frozen=True):
    """What the journal keeps of a batch of proofs beside its tensors."""

    by: list[str | None]
    seconds: float


def prove(state: AuditState, journal: Journal, spent: Callable[[], bool]) -> Iterator[tuple[int, str]]:
    """Prove what withstands, threat by threat; before a batch, the number of its threat and a line about it.

    What an exact search breaks is verified and counts as broken.
    """
    layers, why = _layers(state.subject.model, state.subject.x[:20])
    for number, one in enumerate(state.threats):
        if isinstance(one.threat, Finite) and GRID in one.tally and state.subject.majority is None:
            one.proved = [
                EVERY_IMAGE if alive and row in one.exhausted else None for row, alive in enumerate(one.alive.tolist())
            ]
        elif isinstance(one.threat, Certifiable) and layers:
            one.proved = [None] * len(one.alive)
            for rows in filter(len, torch.split(one.alive.nonzero().squeeze(1), BATCH)):
                piece = _kept(journal, one, rows)
                if piece is None and spent():
                    state.skipped.append(f"proofs in {one.threat} on {len(rows)} examples")
                    continue
                if piece is None:
                    done = sum(proof is not None for proof in one.proved)
                    yield number, f"{one.threat} proofs, {len(rows)} examples, {done} proved so far"
                    piece = _batch(state.subject, layers, one, rows)
                    journal.write(_key(one, rows), *piece)
                _enter(one, *piece)
        else:
            state.checks.append(_nothing(one, why or "no bounds are known for this kind of threat"))
            continue
        state.checks.append(_said(one))


def _layers(model: Callable[[Tensor], Any], x: Tensor) -> tuple[list[Layer], str]:
    if rejects(model):
        return [], "proofs know no class that rejects"
    try:
        return graph_of(model, x.cpu()), ""  # float64 and exact search are at home there
    except BrittleError as error:
        return [], str(error)


def _kept(journal: Journal, state: ThreatState, rows: Tensor) -> tuple[dict[str, Tensor], ProofFacts] | None:
    """What the journal holds of this batch; a batch of other examples, left by an audit cut short, is none."""
    kept = journal.read(_key(state, rows), ProofFacts)
    return kept if kept is not None and torch.equal(kept[0]["rows"], rows.cpu()) else None


def _key(state: ThreatState, rows: Tensor) -> str:
    return f"{state.threat} proofs {int(rows[0])}"


def _batch(
    subject: Subject, layers: list[Layer], state: ThreatState, rows: Tensor
) -> tuple[dict[str, Tensor], ProofFacts]:
    started = time.monotonic()
    assert isinstance(state.threat, Certifiable)
    found = certify(layers, state.threat, subject.x[rows].cpu(), subject.y[rows].cpu())
    broken = rows[found.broken.to(rows.device)]
    seen = verify(subject.judge, state.threat, subject.x[broken], found.x.to(subject.x.device), subject.y[broken])
    tensors = {"rows": rows, "broken": found.broken, "x": found.x}
    tensors |= {"held": seen.broken, "held_8bit": seen.broken_8bit & seen.broken, "size": seen.size}
    return tensors, ProofFacts(found.by, time.monotonic() - started)


def _enter(state: ThreatState, tensors: dict[str, Tensor], facts: ProofFacts) -> None:
    rows, broken, held = (tensors[name].to(state.alive.device) for name in ("rows", "broken", "held"))
    for row, proof in zip(rows.tolist(), facts.by, strict=True):
        state.proved[row] = proof
    if not broken.any():
        return
    held_8bit, both = tensors["held_8bit"].to(broken), torch.zeros_like(broken)
    flags, in_8bit = both.masked_scatter(broken, held), both.masked_scatter(broken, held_8bit)
    piece = Piece(
        rows=rows,
        broken=flags,
        broken_8bit=in_8bit,
        x=tensors["x"].to(held.device)[held],
        size=tensors["size"][held.cpu()],
        margin=state.margin[rows],
        claimed=int(broken.sum()),
        seconds=facts.seconds,
    )
    state.enter(SEARCH, piece)


def _said(state: ThreatState) -> Check:
    counts = Counter(proof for proof in state.proved if proof is not None)
    ways = ", ".join(f"{count} by {name}" for name, count in counts.items())
    left = state.robust.correct - sum(counts.values())
    text = f"{sum(counts.values())} of {state.robust.correct} that withstand are proved robust"
    return Check(PROOFS, str(state.threat), "fine", f"{text} ({ways})" if ways else text, f"{left} are undecided")


def _nothing(state: ThreatState, why: str) -> Check:
    return Check(PROOFS, str(state.threat), "note", f"nothing was proved: {why}", "what withstands is an upper bound")
