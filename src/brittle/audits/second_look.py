"""What is asked once attacks are through: whether what they claim holds, and whether all was tried."""

import math
from collections.abc import Callable
from contextlib import suppress

import torch

from brittle.attacks import Voting, accepted, answer_of, rejects
from brittle.ground import OutOfTime, eval_mode, until

from .findings import Finding
from .records import Check
from .state import AuditState, ThreatState
from .statistics import Proportion

FEW = 10  # images of which no share is told
FRESH = 101  # draws of a random model, whose majority has the last word on what is broken


def second_look(state: AuditState, spent: Callable[[], bool]) -> list[Check]:
    """Whether successes hold (of a random model on fresh draws, until the budget is `spent`), whether NaN came up, and
    how close the rest is to breaking."""
    random = state.subject.majority is not None
    looks = [_once_more(state, one, spent) if random else _claims(one) for one in state.threats]
    return looks + [_nan(one) for one in state.threats if one.nan] + list(filter(None, map(_how_close, state.threats)))


def _claims(state: ThreatState) -> Check:
    """Whether what attacks claimed held when it was looked at afresh."""
    rows = list(state.tally.values())
    claimed, verified = sum(row.claimed for row in rows), sum(row.verified for row in rows)
    text = f"{verified} of {claimed} claimed successes held in float32, inside the ball"
    if claimed < 10 or verified >= 0.9 * claimed:
        return Check("successes hold", str(state.threat), "fine", text, "")
    hint = "what did not hold counts as robust here: look at dtype, range and randomness of the model"
    return Check("successes hold", str(state.threat), "bad", text, hint)


def _once_more(state: AuditState, one: ThreatState, spent: Callable[[], bool]) -> Check:
    """Ask a random model afresh about every image that is broken, since of many looks the luckiest was kept: one on
    which the majority is right counts as withstanding again; of the others, how many may as well be a tie."""
    subject, rows = state.subject, sorted(one.found)
    assert subject.majority is not None
    judge, votes = Voting(subject.majority.model, FRESH), list[float]()
    with subject.draws(f"once more {one.threat}"), torch.no_grad(), eval_mode(subject.model), suppress(OutOfTime):
        for part in torch.split(torch.tensor(rows, dtype=torch.int64), subject.batch) if rows else ():
            with until(spent):
                counts = answer_of(judge, one.adversarial(part.tolist()))
            y = subject.y[part.to(subject.y.device)]
            counts = accepted(counts, y) if rejects(judge) else counts
            own = counts.gather(1, y[:, None])
            votes += torch.where((counts > own).any(1), own.squeeze(1), torch.inf).tolist()  # inf: right after all
    for row, vote in zip(rows, votes, strict=False):
        if vote == torch.inf:
            one.withdraw(row)
    back, left = votes.count(torch.inf), len(rows) - len(votes)
    ties = sum(Proportion(int(vote), FRESH).interval[1] >= 0.5 for vote in votes if vote != torch.inf)
    robust, most = one.robust, Proportion(one.robust.correct + ties + left, one.robust.n)
    text = f"of {len(rows)} broken images {back} withstand after all by a majority of {FRESH} fresh draws"
    text += f", {ties} may be a tie" + (f", {left} were not asked again" if left else "")
    text += f": between {robust} and {most} withstand"
    hint = "give a larger --budget" if left else ""
    if left:
        state.skipped.append(f"fresh draws in {one.threat} on {left} examples")
    return Check("majority", str(one.threat), "skipped" if left else "fine", text, hint)


def _nan(one: ThreatState) -> Check:
    """Attacks that met NaN, whose successes there were not counted."""
    text = f"attacks met NaN {one.nan} times, in answers or in gradients"
    hint = (
        "find the operation that has no value or no derivative there (sqrt or log of 0); the figure is an upper bound"
    )
    return Check("finite", str(one.threat), "bad", text, hint)


def _how_close(one: ThreatState) -> Check | None:
    """How far beyond the threat the images lie that break what withstands; none where that was asked of few."""
    asked = one.alive.cpu() & ~one.minimum.isnan()
    if one.threat.radius == 0 or int(asked.sum()) < FEW:
        return None
    shares = torch.tensor([0.1, 0.5], dtype=torch.float64)
    sizes = torch.quantile(one.minimum[asked] / one.threat.radius, shares, interpolation="higher").tolist()
    near, half = (f"within {size:.2f} times eps" if math.isfinite(size) else "at no size found" for size in sizes)
    text = f"of {int(asked.sum())} looked at that withstand, a tenth break {near}, half {half}"
    return Check("how close", str(one.threat), "fine", text, "")


def every_image(state: AuditState, one: ThreatState, count: int) -> Finding:
    """Whether every allowed image was tried, so that no gradient needs to be trusted."""
    left = [row for row in one.alive.nonzero().squeeze(1).tolist() if row not in one.exhausted]
    if state.subject.majority is not None:
        return Finding(
            "every image is tried", "fine", f"{count:,} allowed images; a random model's answers prove nothing"
        )
    if left:
        text = f"{len(left)} that withstand were not tried with all {count:,} allowed images"
        return Finding("every image is tried", "skipped", text, "give a larger --budget")
    text = f"{count:,} allowed images are all tried: what is left is proved robust, whatever gradients do"
    return Finding("every image is tried", "fine", text)
