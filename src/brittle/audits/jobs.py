"""The pieces of work of an audit: one attack on one batch of examples of one threat, verified and kept in the
journal."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.attacks import Attack, Fmn, Threat
from brittle.ground import Images, Labels

from .ensemble import Effort, ensemble
from .journal import Journal
from .threat_state import ThreatState
from .verification import verify

Kept = tuple[dict[str, Tensor], dict[str, Any]]


class Job(NamedTuple):
    """One attack of one threat on the examples `rows`, of which it tries those still alive."""

    state: ThreatState
    name: str
    attack: Attack | Fmn
    rows: Tensor

    @property
    def key(self) -> str:
        threat = self.state.threat
        return f"{threat.norm}-{threat.eps}-{self.name}-{int(self.rows[0])}".replace("/", "of")

    @property
    def alive(self) -> Tensor:
        return self.rows[self.state.alive_8bit[self.rows]]

    def read(self, journal: Journal, alive: Tensor) -> Kept | None:
        """What the journal holds of this piece; a piece for other survivors is none."""
        kept = journal.read(self.key)
        return kept if kept is not None and torch.equal(kept[0]["rows"], alive.cpu()) else None

    def run(self, model: Callable[[Tensor], Any], x: Images, y: Labels, alive: Tensor) -> Kept:
        """Attack the examples `alive`, and verify what is claimed."""
        tensors, facts = _attacked(model, self.state.threat, self.attack, x[alive], y[alive])
        return {"rows": alive, **tensors}, facts

    def enter(self, kept: Kept) -> None:
        """Tell the threat's standing how the piece ended."""
        tensors = {name: value.to(self.rows.device) for name, value in kept[0].items()}
        self.state.note(self.name, tensors["rows"], tensors, kept[1])


def jobs(
    model: Callable[[Tensor], Any], states: Sequence[ThreatState], effort: Effort, x: Images, seed: int, batch: int
) -> list[Job]:
    """The work in its order: attack by attack, then threat by threat and batch by batch, so that a budget is spread
    evenly."""
    ensembles = [ensemble(model, state.threat, effort, images=x.dim() == 4, seed=seed) for state in states]
    rows = torch.split(torch.arange(len(x), device=x.device), batch)
    return [
        Job(state, *list(attacks.items())[stage], part)
        for stage in range(max(len(attacks) for attacks in ensembles))
        for state, attacks in zip(states, ensembles, strict=True)
        if stage < len(attacks)
        for part in rows
    ]


def _attacked(
    model: Callable[[Tensor], Any], threat: Threat, attack: Attack | Fmn, x: Images, y: Labels
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Run one attack on some examples and verify what it claims."""
    started = time.monotonic()
    extra = {}
    if isinstance(attack, Fmn):
        minimum = attack(x, y)
        x_adv, claimed = minimum.within(threat, x)
        wide = Threat(threat.norm, "1e9")  # the curve counts what fools in float32, at its size in float64
        looked = verify(model, wide, x, minimum.x, y)
        extra["minimum"] = torch.where(looked.broken.cpu() & minimum.size.cpu().isfinite(), looked.size, torch.inf)
    else:
        x_adv, claimed, _ = attack.run(x, y)
    checked = verify(model, threat, x, x_adv, y)
    broken = checked.broken
    tensors = {
        "broken": broken,
        "broken_8bit": checked.broken_8bit & broken,
        "x": x_adv[broken],
        "size": checked.size[broken.cpu()],
        **extra,
    }
    return tensors, {"claimed": int(claimed.sum()), "seconds": time.monotonic() - started}
