"""From what an audit found to words and to its record."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from brittle.attacks import Threat

from .masking import COMPARISONS, UNBOUNDED
from .records import (
    AccuracyCurve,
    Asked,
    AuditRecord,
    Check,
    DataRecord,
    Example,
    ModelRecord,
    ProportionRecord,
    Provenance,
    ThreatRecord,
    Verdict,
    WallEntry,
)
from .state import AuditState, ThreatState
from .statistics import Proportion
from .subject import Subject
from .two_sided import PROOFS

COMPARED = {one.name for one in COMPARISONS} | {UNBOUNDED}
WALL = 12  # triples shown per threat
PREPARED = ("normalisation", "accuracy")  # checks whose hint is to be followed before anything is audited again
MOST = "--effort thorough -n all"  # an audit that leaves nothing out
CURVE = 20  # steps of an accuracy-versus-eps curve, from 0 to the threat's eps


def verdict_of(state: AuditState, asked: Asked | None = None) -> Verdict:
    """`trust`, `suspicious` or `broken`; one sentence; what to do next (in commands, MODEL stands for the model)."""
    checks = sorted(state.checks, key=lambda one: one.name not in PREPARED)
    bad, doubtful, unseen = ([one for one in checks if one.level == it] for it in ("bad", "warn", "skipped"))
    figure = _figure(state)
    same = f" --effort {asked.effort} -n {len(state.right)}" if asked else ""
    first = next((one for one in (*bad, *doubtful) if one.name in PREPARED), None)
    most = "" if asked and asked.effort == "thorough" else f"brittle audit MODEL {MOST}"
    again = _command(first, same) if first else most
    if bad:
        return Verdict("broken", f"{figure}, but do not trust it: {_said(bad[0])}.", _command(bad[0], same))
    if state.skipped:
        count = len(state.skipped)
        why = f"an upper bound: the budget left out {count} {'piece' if count == 1 else 'pieces'} of work"
        return Verdict("suspicious", f"{figure}, {why}.", f"brittle audit MODEL{same}")
    if unseen:
        return Verdict("suspicious", f"{figure}, but whether gradients can be trusted was not looked at.", again)
    if doubtful:
        return Verdict("suspicious", f"{figure}, but {_said(doubtful[0])}: {doubtful[0].hint}.", again)
    notes = [one for one in state.checks if one.level == "note" and one.threat and one.name != PROOFS]
    noted = f"; {_said(notes[0])}: quote the union, not single attacks" if notes else ""
    rests = sum(one.level == "fine" and one.name in COMPARED for one in state.checks)
    looks = f" in {rests} comparisons of attacks" if rests else ""
    return Verdict("trust", f"{figure}, and no sign of masked gradients was seen{looks}{noted}.", again)


def _command(check: Check, same: str) -> str:
    """The audit with the option that mends what was found; the hint where none does."""
    return f"brittle audit MODEL {check.option}{same}" if check.option else check.hint or ""


def _figure(state: AuditState) -> str:
    union, proven, threats = state.union, state.union_proven, " or ".join(state.robust)
    if proven is None or not proven.correct:
        return f"{union} of {union.n} images withstand every attack in {threats}"
    if proven.correct == union.correct:
        return f"{union} of {union.n} images are robust in {threats}, all of these are proved"
    return f"between {proven.accuracy:.1%} (proved) and {union} of {union.n} images are robust in {threats}".replace(
        "%", " %", 1
    )


def _said(check: Check) -> str:
    return f"in {check.threat} {check.text}" if check.threat else check.text


def record_of(state: AuditState, run: Provenance, asked: Asked | None = None) -> AuditRecord:
    """All figures of an audit; model and data are named where they are known (`Report.save`)."""
    subject, n = state.subject, len(state.right)
    labels, answers = subject.y.tolist(), state.answers.tolist()
    return AuditRecord(
        model=ModelRecord(name="model", digest="", parameters=None, training=None),
        data=DataRecord(f"images {list(subject.x.shape[1:])}", n, n, [], ""),
        verdict=verdict_of(state, asked),
        clean=ProportionRecord.of(state.clean),
        union=ProportionRecord.of(state.union),
        union_8bit=ProportionRecord.of(state.union_8bit),
        union_proved=ProportionRecord.of(state.union_proven) if state.union_proven else None,
        threats=[_threat(one, [] if subject.majority else state.threats) for one in state.threats],
        checks=state.checks,
        gradients=state.gradients,
        skipped=state.skipped,
        examples=[
            Example(index, label, answer, *_fate(state, index))
            for index, (label, answer) in enumerate(zip(labels, answers, strict=True))
        ],
        wall=[entry for one in state.threats for entry in _wall(one, subject)],
        asked=asked,
        run=run,
    )


def _fate(state: AuditState, index: int) -> tuple[dict[str, str | None], dict[str, str]]:
    """What broke an example, and what proved it robust, in each threat."""
    proofs = {str(one.threat): one.proved[index] for one in state.threats if one.proved}
    broken_by = {str(one.threat): one.breaker[index] for one in state.threats}
    return broken_by, {threat: proof for threat, proof in proofs.items() if proof}


def _threat(state: ThreatState, threats: Sequence[ThreatState]) -> ThreatRecord:
    """Its figures; a curve over the changes found in `threats` of its norm, if there are any."""
    robust_8bit = Proportion(int(state.alive_8bit.sum()), len(state.alive))
    return ThreatRecord(
        str(state.threat),
        ProportionRecord.of(state.robust),
        ProportionRecord.of(robust_8bit),
        list(state.tally.values()),
        _curve(state, [one for one in threats if _kind(one.threat) == _kind(state.threat)]),
        ProportionRecord.of(state.proven) if state.proven else None,
    )


def _kind(threat: Threat) -> str:
    """A threat without its size."""
    return str(threat).partition(":")[0]


def _curve(state: ThreatState, alike: Sequence[ThreatState]) -> AccuracyCurve | None:
    """Accuracy at each eps up to the threat's own: the share of examples whose smallest perturbation found, by whatever
    attack of this threat or of `alike`, those of the same norm, is larger (an upper bound). Further out nothing was
    attacked but by the search for the smallest change.

    None where `alike` is empty, as for a random model, whose majority at a boundary says one thing or the other."""
    if state.minimum_by is None or state.threat.radius == 0 or not alike:
        return None
    sizes = torch.stack([_smallest(one) for one in alike]).amin(0)[~state.minimum.isnan()]
    eps = torch.linspace(0, state.threat.radius, CURVE + 1, dtype=torch.float64)
    points = [Proportion(int((sizes > one).sum()), len(sizes)) for one in eps]
    return AccuracyCurve(
        attack=state.minimum_by,
        n=len(sizes),
        radius=state.threat.radius,
        eps=eps.tolist(),
        accuracy=[point.accuracy for point in points],
        low=[point.interval[0] for point in points],
        high=[point.interval[1] for point in points],
    )


def _smallest(state: ThreatState) -> Tensor:
    """The size of the smallest perturbation found of each example; infinite where none was."""
    broken, minimum = torch.tensor([name is not None for name in state.breaker]), state.minimum.nan_to_num(torch.inf)
    return torch.where(broken, torch.minimum(minimum, state.sizes).clamp(max=state.threat.radius), minimum)


def _wall(state: ThreatState, subject: Subject) -> Iterator[WallEntry]:
    """The first examples that the threat broke."""
    broken = [(row, attack) for row, attack in enumerate(state.breaker) if attack][:WALL]
    rows = [row for row, _ in broken]
    answers = subject.answers(state.adversarial(rows)).tolist() if rows else []
    for (row, attack), answer in zip(broken, answers, strict=True):
        yield WallEntry(row, int(subject.y[row]), answer, str(state.threat), attack, float(state.sizes[row]))
