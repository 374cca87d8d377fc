"""What becomes of an attack's result: verified, as a piece of work, and kept in the journal."""

from dataclasses import dataclass, field

import torch
from msgspec import Struct
from torch import Tensor

from brittle.attacks import Aim, AttackResult, Threat, true_class
from brittle.ground import Flags, Images, Labels, keys_of

from .journal import Journal
from .state import Piece, ThreatState
from .subject import Subject
from .verification import verify


class PieceFacts(Struct, frozen=True):
    """What the journal keeps of a piece beside its tensors."""

    claimed: int
    seconds: float


def read_piece(journal: Journal, key: str, rows: Tensor) -> Piece | None:
    """What the journal holds under a key, of the examples `rows` [k]; a piece of other examples is none."""
    kept = journal.read(key, PieceFacts)
    if kept is None or not torch.equal(kept[0]["rows"], rows.cpu()):
        return None
    tensors = {name: value.to(rows.device) for name, value in kept[0].items()}
    return Piece(**tensors, claimed=kept[1].claimed, seconds=kept[1].seconds)


def write_piece(journal: Journal, key: str, piece: Piece) -> None:
    """Keep a piece under a key, for `read_piece`."""
    tensors = {name: value for name, value in piece._asdict().items() if isinstance(value, Tensor)}
    journal.write(key, tensors, PieceFacts(piece.claimed, piece.seconds))


@dataclass
class Judged:
    """Whether an image is broken for good, which ends the search for it: it is allowed, and fools in float32 and in 8
    bits. What is found so is remembered until the end of the piece, so that it need not be looked at again."""

    subject: Subject
    state: ThreatState
    known: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)  # by the clean one's key, label

    def __call__(self, x0: Images, x: Images, y: Aim) -> Flags:
        found, y = self.state.threat.contains(x0, x), true_class(y)
        rows = found.nonzero().squeeze(1)
        if len(rows):
            seen = verify(self.subject.judge, self.state.threat, x0[rows], x[rows], y[rows])
            found = found.index_copy(0, rows, seen.broken & seen.broken_8bit)
            if self.subject.majority is None:  # of a random model every look is another
                pairs = zip(x0[found], x[found], strict=True)
                self.known |= dict(zip(_names(x0[found], y[found]), pairs, strict=True))
        return found

    def _found(self, x0: Images, y: Labels) -> list[Tensor | None]:
        """The image that broke each of these examples, where one did."""
        pairs = (self.known.get(name) for name in _names(x0, y))
        known = zip(pairs, x0, strict=True)
        return [pair[1] if pair is not None and torch.equal(pair[0], clean) else None for pair, clean in known]

    def held(self, x0: Images, x: Images, y: Labels) -> Flags:
        """Which of these examples [k] were found to be broken for good by just these images `x` [k, *S]."""
        if not self.known:
            return torch.zeros(len(x), dtype=torch.bool, device=x.device)
        pairs = zip(self._found(x0, y), x, strict=True)
        same = [found is not None and torch.equal(found, image) for found, image in pairs]
        return torch.tensor(same, dtype=torch.bool, device=x.device)

    def piece(self, rows: Tensor, x: Images, y: Labels, result: AttackResult, claimed: Tensor) -> Piece:
        """What an attack's result on the examples `rows` [k] amounts to, of which it claims some, by their places in it
        [c]: these are verified, but for what was judged on the way."""
        threat, judge = self.state.threat, self.subject.judge
        broken, broken_8bit = torch.zeros_like(result.success), torch.zeros_like(result.success)
        held = claimed[self.held(x[claimed], result.x[claimed], y[claimed])]
        broken[held], broken_8bit[held] = True, True
        asked = claimed[~broken[claimed]]
        if len(asked):
            seen = verify(judge, threat, x[asked], result.x[asked], y[asked])
            broken[asked], broken_8bit[asked] = seen.broken, seen.broken_8bit & seen.broken
        self.known.clear()
        return Piece(
            rows=rows,
            broken=broken,
            broken_8bit=broken_8bit,
            x=result.x[broken],
            size=_size(threat, x[broken], result.x[broken]),
            margin=result.margin.nan_to_num(-torch.inf) * self.subject.temperature,  # on the scale of the clean ones
            claimed=len(claimed),
            seconds=0.0,
        )

    def so_far(self, rows: Tensor) -> Piece | None:
        """What was found of the examples `rows` [k] before a budget ended the piece, if anything was."""
        x, y = self.subject.x[rows], self.subject.y[rows]
        found = {place: image for place, image in enumerate(self._found(x, y)) if image is not None}
        self.known.clear()
        if not found:
            return None
        places, moved = list(found), torch.stack(list(found.values()))
        flags = torch.ones(len(places), dtype=torch.bool, device=rows.device)
        return Piece(
            rows=rows[places],
            broken=flags,
            broken_8bit=flags,
            x=moved,
            size=_size(self.state.threat, x[places], moved),
            margin=torch.zeros(len(places), device=rows.device),
            claimed=len(places),
            seconds=0.0,
        )


def _names(x0: Images, y: Labels) -> list[tuple[int, int]]:
    return list(zip(keys_of(x0).tolist(), y.tolist(), strict=True))


def _size(threat: Threat, x: Images, x_adv: Images) -> Tensor:
    """float64 [b] on the CPU, also of none."""
    if len(x) == 0:
        return torch.zeros(0, dtype=torch.float64)
    return threat.size(x.cpu().double(), x_adv.cpu().double())
