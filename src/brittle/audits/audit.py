"""The audit: staged attacks in several threats at once, every success verified, survivors only, resumable."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import Attack, Fmn, Threat, against, check_examples, logits_of, session
from brittle.ground import BrittleError, Flags, Images, Labels, eval_mode

from .about import circumstances
from .doctor import Finding, doctor
from .ensemble import Effort, effort_named, ensemble
from .journal import Journal
from .masking import probe
from .report import Report
from .standing import Standing
from .statistics import Proportion
from .verdict import record_of, verdict_of
from .verification import verify

CHUNK = 250  # examples in one piece of work; the first chunk also draws the accuracy-versus-eps curve


@dataclass(frozen=True)
class Event:
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
    journal: Journal | None = None,
) -> Report:
    """Robust accuracy of `model` in each threat and in their union, verified, with intervals and a verdict on the gradients.

    An example counts as robust if the model is right on it and on everything that any attack found. Attacks run in stages
    on the survivors; a success counts after a float32 forward pass and a float64 norm (`verify`).

    Args:
        model: images in [0, 1] to logits. Modules are moved to the device.
        data: images [n, *S] float in [0, 1], labels int64 [n].
        threats: such as `[Linf(0.3), L2(2), L1(10)]`.
        effort: `quick`, `standard` or `thorough`.
        budget: seconds after which no new piece of work begins; what was left out is recorded, and figures are upper bounds.
    Raises:
        BrittleError: examples or model unfit to be attacked.
    Cost: per surviving example and threat about 1,100 gradients at `standard`.
    Random: a function of `seed` and the images.
    """
    for event in auditing(model, data, threats, effort=effort, seed=seed, budget=budget, journal=journal):
        report = event.report
    assert report is not None, "the last event carries the report"
    return report


def auditing(
    model: Callable[[Tensor], Any],
    data: tuple[Images, Labels],
    threats: Iterable[Threat],
    *,
    effort: str = "standard",
    seed: int = 0,
    budget: float | None = None,
    journal: Journal | None = None,
) -> Iterator[Event]:
    """`audit`, step by step: an event before each piece of work, the last with the report."""
    threats, tries, started = _distinct(threats), effort_named(effort), time.monotonic()
    check_examples(*data)
    (x, y), journal = data, journal or Journal(None, "")
    if x.dtype not in (torch.float32, torch.float64):
        raise BrittleError(f"an audit is done in float32 or float64, not {x.dtype}: half precision rounds eps away")
    fit = doctor(model, x[:100], y[:100])
    fatal = [finding for finding in fit if finding.level == "bad" and finding.name in ("answer", "finite", "classes")]
    if fatal:
        raise BrittleError(f"the model cannot be attacked: {fatal[0].text}; {fatal[0].hint}")
    right = _right(model, x, y)
    standings = [_standing(threat, x, right) for threat in threats]
    units = _units(model, standings, tries, x, seed)
    total = len(units) + len(threats)
    skipped: list[str] = []
    for done, (standing, name, attack, rows) in enumerate(units):
        alive = rows[standing.alive_8bit[rows]]
        if len(alive) == 0:
            continue
        key = f"{standing.threat.norm}-{standing.threat.eps}-{name}-{int(rows[0])}".replace("/", "of")
        kept = journal.read(key)
        if kept is None or not torch.equal(kept[0]["rows"], alive.cpu()):  # a piece for other survivors is none
            if budget is not None and time.monotonic() - started > budget:
                skipped.append(f"{name} in {standing.threat} on {len(alive)} examples")
                continue
            yield Event(done, total, f"{standing.threat} {name}, {len(alive)} examples")
            tensors, facts = _piece(model, standing.threat, attack, x[alive], y[alive])
            kept = {"rows": alive, **tensors}, facts
            journal.write(key, *kept)
        tensors, facts = _on(kept, x.device)
        standing.note(name, alive, tensors, facts)
        if isinstance(attack, Fmn) and int(rows[0]) == 0:
            standing.minimum = torch.zeros(len(rows), dtype=torch.float64).index_copy(0, alive.cpu(), tensors["minimum"].cpu())
    findings, gradients = [*fit, *(_claims(standing) for standing in standings)], []
    for count, standing in enumerate(standings):
        yield Event(len(units) + count, total, f"{standing.threat} comparing attacks")
        found, paths = _probed(journal, model, standing.threat, x, y, right, tries, seed, budget, started)
        findings += found
        gradients += paths
    run = circumstances(x.device, time.monotonic() - started, seed) | {"effort": effort}
    yield Event(total, total, "done", _report(x, y, right, model, standings, findings, gradients, skipped, run))


def _distinct(threats: Iterable[Threat]) -> list[Threat]:
    kept = list(dict.fromkeys(threats))
    if not kept:
        raise BrittleError("an audit needs at least one threat, such as Linf(0.3)")
    return kept


def _right(model: Callable[[Tensor], Any], x: Images, y: Labels) -> Flags:
    with torch.no_grad(), eval_mode(model):
        classes = logits_of(model(x[:1])).shape[1]
    if int(y.max()) >= classes:
        raise BrittleError(f"labels go up to {int(y.max())} but the model has {classes} classes")
    with session(against(model)) as see, torch.no_grad():
        return torch.cat([~see(x[i : i + CHUNK], y[i : i + CHUNK]).fooled for i in range(0, len(x), CHUNK)])


def _standing(threat: Threat, x: Images, right: Flags) -> Standing:
    return Standing(
        threat,
        right.clone(),
        right.clone(),
        [None] * len(x),
        x.clone(),
        torch.zeros(len(x), dtype=torch.float64),
    )


def _claims(standing: Standing) -> Finding:
    """Whether what attacks claimed held when it was looked at afresh."""
    claimed, verified = (sum(row[key] for row in standing.tally.values()) for key in ("claimed", "verified"))
    text = f"{verified} of {claimed} claimed successes held in float32, inside the ball"
    doubtful = claimed >= 10 and verified < 0.9 * claimed
    hint = "what did not hold counts as robust here: look at dtype, range and randomness of the model" if doubtful else ""
    return Finding(f"{standing.threat}: successes hold", "bad" if doubtful else "fine", text, hint)


def _units(
    model: Callable[[Tensor], Any], standings: Sequence[Standing], effort: Effort, x: Images, seed: int
) -> list[tuple[Standing, str, Attack | Fmn, Tensor]]:
    """The pieces of work: attack by attack, then threat by threat and chunk by chunk, so that a budget is spread evenly."""
    ensembles = [ensemble(model, standing.threat, effort, images=x.dim() == 4, seed=seed) for standing in standings]
    rounds = max(len(attacks) for attacks in ensembles)
    chunks = [torch.arange(i, min(i + CHUNK, len(x)), device=x.device) for i in range(0, len(x), CHUNK)]
    return [
        (standing, *list(attacks.items())[stage], rows)
        for stage in range(rounds)
        for standing, attacks in zip(standings, ensembles, strict=True)
        if stage < len(attacks)
        for rows in chunks
    ]


def _piece(
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
        "size": checked.size[broken],
        **extra,
    }
    return tensors, {"claimed": int(claimed.sum()), "seconds": time.monotonic() - started}


def _on(kept: tuple[dict[str, Tensor], dict[str, Any]], device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return {name: value.to(device) for name, value in kept[0].items()}, kept[1]


def _probed(
    journal: Journal,
    model: Callable[[Tensor], Any],
    threat: Threat,
    x: Images,
    y: Labels,
    right: Flags,
    effort: Effort,
    seed: int,
    budget: float | None,
    started: float,
) -> tuple[list[Finding], list[dict[str, Any]]]:
    key = f"probes-{threat.norm}-{threat.eps}".replace("/", "of")
    kept = journal.read(key)
    if kept is None:
        if budget is not None and time.monotonic() - started > budget:
            return [
                Finding(
                    f"{threat}: probes",
                    "skipped",
                    "the budget was spent before attacks could be compared",
                    "give a larger --budget",
                )
            ], []
        rows = right.nonzero().squeeze(1)[: effort.probes]
        found = probe(model, threat, x[rows], y[rows], effort, seed)
        kept = {}, {"findings": [list(finding) for finding in found.findings], "gradients": found.gradients}
        journal.write(key, *kept)
    findings = [Finding(*finding) for finding in kept[1]["findings"]]
    return [finding._replace(name=f"{threat}: {finding.name}") for finding in findings], kept[1]["gradients"]


def _report(
    x: Images,
    y: Labels,
    right: Flags,
    model: Callable[[Tensor], Any],
    standings: Sequence[Standing],
    findings: list[Finding],
    gradients: list[dict[str, Any]],
    skipped: list[str],
    run: dict[str, Any],
) -> Report:
    n = len(x)
    withstands = torch.stack([standing.alive for standing in standings])
    clean, union = Proportion(int(right.sum()), n), Proportion(int(withstands.all(0).sum()), n)
    union_8bit = Proportion(int(torch.stack([standing.alive_8bit for standing in standings]).all(0).sum()), n)
    robust = {str(standing.threat): Proportion(int(standing.alive.sum()), n) for standing in standings}
    verdict = verdict_of(clean, union, robust, findings, skipped)
    record = record_of(clean, union, union_8bit, standings, findings, gradients, skipped, verdict, _answers(model), x, y) | {
        "run": run
    }
    adversarial = torch.stack([standing.adversarial for standing in standings])
    return Report(clean, union, union_8bit, robust, verdict, record, withstands.cpu(), adversarial.cpu(), x.cpu())


def _answers(model: Callable[[Tensor], Any]) -> Callable[[Images], list[int]]:
    """The classes that the model answers for some images."""

    def answer(images: Images) -> list[int]:
        with torch.no_grad(), eval_mode(model):
            parts = [logits_of(model(images[i : i + CHUNK])).argmax(1) for i in range(0, len(images), CHUNK)]
        return torch.cat(parts).tolist() if parts else []

    return answer
