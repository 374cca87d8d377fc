"""The audit: staged attacks in several threats at once, every success verified, survivors only, resumable."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import Threat, against, check_examples, classes_of, logits_of, session
from brittle.ground import BrittleError, Flags, Images, Labels, eval_mode

from .doctor import Finding, doctor
from .ensemble import effort_named
from .jobs import jobs
from .journal import Journal
from .masking import Probe, probe
from .provenance import provenance
from .report import Report
from .statistics import Proportion
from .threat_state import ThreatState
from .verdict import record_of, verdict_of


@dataclass(frozen=True)
class AuditSettings:
    """How an audit is done, whatever the model.

    Attributes:
        effort: `quick`, `standard`, `thorough`, or `smoke`, which only shows that all runs.
        seed: the only source of randomness, beside the images.
        budget: seconds after which no new piece of work begins.
        batch: examples whose activations are held at once; no figure depends on it.
    """

    effort: str = "standard"
    seed: int = 0
    budget: float | None = None
    batch: int = 250

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise BrittleError(f"a batch holds at least 1 example, not {self.batch}")


@dataclass(frozen=True)
class AuditEvent:
    """Progress of an audit: pieces done, pieces in all, what is being done, and at the end the report."""

    done: int
    total: int
    text: str
    report: Report | None = None


def audit(
    model: Callable[[Tensor], Any],
    data: tuple[Images, Labels],
    threats: Iterable[Threat],
    *,
    effort: str = "standard",
    seed: int = 0,
    budget: float | None = None,
    batch: int = 250,
    journal: Journal | None = None,
) -> Report:
    """Robust accuracy of `model` in each threat and in their union, verified, with intervals and a verdict on the
    gradients.

    An example counts as robust if the model is right on it and on everything that any attack found. Attacks run in
    stages on the survivors; a success counts after a float32 forward pass and a float64 norm (`verify`).

    Args:
        model: images in [0, 1] to logits. Modules are moved to the device.
        data: images [n, *S] float in [0, 1], labels int64 [n].
        threats: such as `[Linf(0.3), L2(2), L1(10)]`.
        effort: `quick`, `standard` or `thorough`.
        budget: seconds after which no new piece of work begins; what was left out is recorded, and figures are upper
            bounds.
        batch: examples whose activations are held at once; smaller for large models.
    Raises:
        BrittleError: examples or model unfit to be attacked.
    Cost: per surviving example and threat about 1,100 gradients at `standard`.
    Random: a function of `seed` and the images.
    """
    for event in audit_events(model, data, threats, AuditSettings(effort, seed, budget, batch), journal):
        report = event.report
    assert report is not None, "the last event carries the report"
    return report


def audit_events(
    model: Callable[[Tensor], Any],
    data: tuple[Images, Labels],
    threats: Iterable[Threat],
    settings: AuditSettings,
    journal: Journal | None = None,
) -> Iterator[AuditEvent]:
    """`audit`, step by step: an event before each piece of work, the last with the report."""
    threats, effort, started = _distinct(threats), effort_named(settings.effort), time.monotonic()
    check_examples(*data)
    (x, y), journal = data, journal or Journal(None, "")
    if x.dtype not in (torch.float32, torch.float64):
        raise BrittleError(f"an audit is done in float32 or float64, not {x.dtype}: half precision rounds eps away")

    def spent() -> bool:
        return settings.budget is not None and time.monotonic() - started > settings.budget

    some = min(100, settings.batch)
    findings = doctor(model, x[:some], y[:some])
    fatal = [
        finding for finding in findings if finding.level == "bad" and finding.name in ("answer", "finite", "classes")
    ]
    if fatal:
        raise BrittleError(f"the model cannot be attacked: {fatal[0].text}; {fatal[0].hint}")
    right = _right(model, x, y, settings.batch)
    states = [ThreatState.at_first(threat, x, right) for threat in threats]
    work = jobs(model, states, effort, x, settings.seed, settings.batch)
    total = len(work) + len(threats)
    skipped: list[str] = []
    for done, job in enumerate(work):
        alive = job.alive
        if len(alive) == 0:
            continue
        kept = job.read(journal, alive)
        if kept is None and spent():
            skipped.append(f"{job.name} in {job.state.threat} on {len(alive)} examples")
            continue
        if kept is None:
            yield AuditEvent(done, total, f"{job.state.threat} {job.name}, {len(alive)} examples")
            kept = job.run(model, x, y, alive)
            journal.write(job.key, *kept)
        job.enter(kept)
    findings += [_claims(state) for state in states]
    gradients: list[dict[str, Any]] = []
    rows = right.nonzero().squeeze(1)[: effort.probes]
    for count, threat in enumerate(threats):
        yield AuditEvent(len(work) + count, total, f"{threat} comparing attacks")
        compare = partial(probe, model, threat, x[rows], y[rows], effort, settings.seed, settings.batch)
        found = _probed(journal, threat, spent(), compare)
        findings += [finding._replace(name=f"{threat}: {finding.name}") for finding in found.findings]
        gradients += found.gradients
    run = provenance(x.device, time.monotonic() - started, settings.seed) | {"effort": settings.effort}

    def answers(images: Images) -> list[int]:
        return list(classes_of(model, images, settings.batch).tolist())

    report = _report(x, y, right, answers, states, findings, gradients, skipped, run)
    yield AuditEvent(total, total, "done", report)


def _distinct(threats: Iterable[Threat]) -> list[Threat]:
    kept = list(dict.fromkeys(threats))
    if not kept:
        raise BrittleError("an audit needs at least one threat, such as Linf(0.3)")
    return kept


def _right(model: Callable[[Tensor], Any], x: Images, y: Labels, batch: int) -> Flags:
    with torch.no_grad(), eval_mode(model):
        classes = logits_of(model(x[:1])).shape[1]
    if int(y.max()) >= classes:
        raise BrittleError(f"labels go up to {int(y.max())} but the model has {classes} classes")
    with session(against(model)) as evaluate, torch.no_grad():
        return torch.cat(
            [~evaluate(*part).success for part in zip(torch.split(x, batch), torch.split(y, batch), strict=True)]
        )


def _claims(state: ThreatState) -> Finding:
    """Whether what attacks claimed held when it was looked at afresh."""
    claimed, verified = (sum(row[key] for row in state.tally.values()) for key in ("claimed", "verified"))
    text = f"{verified} of {claimed} claimed successes held in float32, inside the ball"
    doubtful = claimed >= 10 and verified < 0.9 * claimed
    hint = (
        "what did not hold counts as robust here: look at dtype, range and randomness of the model" if doubtful else ""
    )
    return Finding(f"{state.threat}: successes hold", "bad" if doubtful else "fine", text, hint)


def _probed(journal: Journal, threat: Threat, spent: bool, compare: Callable[[], Probe]) -> Probe:
    key = f"probes-{threat.norm}-{threat.eps}".replace("/", "of")
    kept = journal.read(key)
    if kept is not None:
        return Probe([Finding(*finding) for finding in kept[1]["findings"]], kept[1]["gradients"])
    if spent:
        text, hint = "the budget was spent before attacks could be compared", "give a larger --budget"
        return Probe([Finding("probes", "skipped", text, hint)], [])
    found = compare()
    journal.write(key, {}, {"findings": [list(finding) for finding in found.findings], "gradients": found.gradients})
    return found


def _report(
    x: Images,
    y: Labels,
    right: Flags,
    answers: Callable[[Images], list[int]],
    states: Sequence[ThreatState],
    findings: list[Finding],
    gradients: list[dict[str, Any]],
    skipped: list[str],
    run: dict[str, Any],
) -> Report:
    n = len(x)
    withstands = torch.stack([state.alive for state in states])
    clean, union = Proportion(int(right.sum()), n), Proportion(int(withstands.all(0).sum()), n)
    union_8bit = Proportion(int(torch.stack([state.alive_8bit for state in states]).all(0).sum()), n)
    robust = {str(state.threat): Proportion(int(state.alive.sum()), n) for state in states}
    verdict = verdict_of(clean, union, robust, findings, skipped)
    record = record_of(clean, union, union_8bit, states, findings, gradients, skipped, verdict, answers, x, y) | {
        "run": run
    }
    adversarial = torch.stack([state.adversarial for state in states])
    return Report(clean, union, union_8bit, robust, verdict, record, withstands.cpu(), adversarial.cpu(), x.cpu())
