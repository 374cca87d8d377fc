"""Whether the margin does what its gradient says as far out as a threat reaches; where not, searches without gradients
have the last word."""

from collections.abc import Mapping
from math import inf

from torch import Tensor

from brittle.attacks import NormBall, against, evaluation_at, gradient_at, margin, session
from brittle.ground import Images, Labels

from .findings import Finding
from .records import Check
from .state import AuditState, ThreatState
from .subject import Subject

NAME = "gradients hold further out"
REACH: Mapping[float, tuple[float, ...]] = {inf: (1 / 8, 1 / 4, 1 / 2), 2: (1 / 8, 1 / 4, 1 / 2), 1: (1 / 8, 1 / 4)}
LOOKED_AT = 50  # images
HALF, HARDLY = 0.5, 0.25  # of them: less must follow their gradient for searches without; for a warning on its own
TELLING = 0.02  # of what the model gets right: so much more, broken without gradients, says that they mislead


def followed(state: AuditState) -> dict[str, float]:
    """In each threat, by its name, the share of images that follow their gradient.

    Not asked where nearly all is broken anyway, of random models, nor where searches without gradients ran already.
    Cost: a gradient and up to three forward passes of `LOOKED_AT` images for each threat.
    """
    subject, found = state.subject, dict[str, float]()
    if subject.blind or not subject.gradients or subject.majority is not None:
        return found
    rows = subject.drawn(LOOKED_AT, state.right)
    for one in state.threats if len(rows) else ():
        if one.lost or not isinstance(one.threat, NormBall) or one.threat.order not in REACH or not one.threat.radius:
            continue
        share = following(subject, one.threat, subject.x[rows], subject.y[rows])
        if share is not None:
            found[str(one.threat)] = share
    return found


def following(subject: Subject, threat: NormBall, x: Images, y: Labels) -> float | None:
    """The share of images [B, *S] whose margin gains at least half of what its gradient foretells, at the step along
    the threat's steepest direction at which that is the fewest; none where fewer than five are foretold to gain."""
    with session(against(subject.target, margin)) as evaluate:
        seen, grad = gradient_at(evaluate, x, y)
        shares = []
        for part in REACH[threat.order]:
            end = (x + part * threat.radius * threat.direction(x, grad)).clamp(0, 1)
            foretold = (grad * (end - x)).flatten(1).sum(1)
            gained: Tensor = evaluation_at(evaluate, end, y).margin - seen.margin
            if int((foretold > 0).sum()) < 5:
                return None
            shares.append(float((gained > foretold / 2)[foretold > 0].float().mean()))
    return min(shares)


def outcome(one: ThreatState, share: float, before: int) -> Check:
    """What it means that so many images follow their gradient; where they are few, `before` images withstood until
    searches without gradients ran."""
    said = f"the margin does what its gradient says on {share:.0%} of the images"
    if share >= HALF:
        return Check.of(Finding(NAME, "fine", f"as far out as the threat reaches {said}"), str(one.threat))
    broke = before - int(one.alive.sum())
    if broke > max(1, TELLING * int(one.right.sum())):
        text = f"further out {said} only, and searches without gradients broke {broke} of the {before} that were left"
        hint = "gradients mislead: the figure rests on searches without them, and the truth may be lower"
        return Check.of(Finding(NAME, "bad", text, hint), str(one.threat))
    text = f"further out {said} only, though searches without gradients broke {broke} of the {before} that were left"
    hint = "the truth may be lower: look at the loss further out (brittle curvature)"
    return Check.of(Finding(NAME, "warn" if share < HARDLY else "note", text, hint), str(one.threat))
