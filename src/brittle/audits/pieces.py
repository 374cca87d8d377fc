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
    kept = journal.read(key, PieceFacts)
    if kept is None or not torch.equal(kept[0]["rows"], rows.cpu()):
        return None
    tensors = {name: value.to(rows.device) for name, value in kept[0].items()}
    return Piece(**tensors, claimed=kept[1].claimed, seconds=kept[1].seconds)


def write_piece(journal: Journal, key: str, piece: Piece) -> None:
    tensors = {name: value for name, value in piece._asdict().items() if isinstance(value, Tensor)}
    journal.write(key, tensors, PieceFacts(piece.claimed, piece.seconds))


def verified_piece(
    subject: Subject,
    threat: Threat,
    rows: Tensor,
    x: Images,
    y: Labels,
    result: AttackResult,
    claimed: Tensor,
    judged: "Judged",
) -> Piece:
    """What an attack's result amounts to; what was judged on its way is not asked about twice."""
    broken, broken_8bit = torch.zeros_like(result.success), torch.zeros_like(result.success)
    held = claimed[judged.held(x[claimed], result.x[claimed])]
    broken[held], broken_8bit[held] = True, True
    size = torch.zeros(len(result.x), dtype=torch.float64)
    if len(held):
        size[held.cpu()] = threat.size(x[held].cpu().double(), result.x[held].cpu().double())
    asked = claimed[~broken[claimed]]
    if len(asked):
        seen = verify(subject.judge, threat, x[asked], result.x[asked], y[asked])
        broken[asked], broken_8bit[asked] = seen.broken, seen.broken_8bit & seen.broken
        size[asked.cpu()] = seen.size
    judged.forget()
    return Piece(
        rows=rows,
        broken=broken,
        broken_8bit=broken_8bit,
        x=result.x[broken],
        size=size[broken.cpu()],
        margin=result.margin.nan_to_num(-torch.inf) * subject.temperature,  # on the scale of the clean ones
        claimed=len(claimed),
        seconds=0.0,
    )


@dataclass
class Judged:
    """Whether an image is broken for good, which ends the search for it: it is allowed, and fools in float32 and in 8
    bits. What is found so is remembered until the end of the piece, so that it need not be looked at again."""

    subject: Subject
    state: ThreatState
    known: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)  # clean and adversarial, by the latter's key

    def __call__(self, x0: Images, x: Images, y: Aim) -> Flags:
        found = self.state.threat.contains(x0, x)
        rows = found.nonzero().squeeze(1)
        if len(rows):
            seen = verify(self.subject.judge, self.state.threat, x0[rows], x[rows], true_class(y)[rows])
            found = found.index_copy(0, rows, seen.broken & seen.broken_8bit)
            if self.subject.majority is None:  # of a random model every look is another
                self.known |= dict(zip(keys_of(x[found]).tolist(), zip(x0[found], x[found], strict=True), strict=True))
        return found

    def held(self, x0: Images, x: Images) -> Flags:
        """Which of these clean and adversarial images are among those found."""
        known = [self.known.get(key) for key in keys_of(x).tolist()] if self.known else [None] * len(x)
        pairs = zip(known, zip(x0, x, strict=True), strict=True)
        same = [one is not None and all(map(torch.equal, one, both)) for one, both in pairs]
        return torch.tensor(same, dtype=torch.bool, device=x.device)

    def so_far(self, rows: Tensor, x: Images) -> Piece | None:
        """What was found of some examples before a budget ended the piece, if anything was."""
        by_clean = dict(
            zip((keys_of(clean[None]).item() for clean, _ in self.known.values()), self.known.values(), strict=True)
        )
        pairs = [by_clean.get(key) for key in keys_of(x).tolist()]
        places = [k for k, pair in enumerate(pairs) if pair is not None and torch.equal(pair[0], x[k])]
        self.forget()
        if not places:
            return None
        moved = torch.stack([pairs[k][1] for k in places])  # type: ignore[index]
        flags = torch.ones(len(places), dtype=torch.bool, device=rows.device)
        return Piece(
            rows=rows[places],
            broken=flags,
            broken_8bit=flags,
            x=moved,
            size=self.state.threat.size(x[places].cpu().double(), moved.cpu().double()),
            margin=torch.zeros(len(places), device=rows.device),
            claimed=len(places),
            seconds=0.0,
        )

    def forget(self) -> None:
        self.known.clear()
