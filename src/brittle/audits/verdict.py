"""From tallies to words: the verdict in one sentence, and the record that is written and shown."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from brittle.ground import Images, Labels

from .doctor import Finding
from .statistics import Proportion
from .threat_state import ThreatState

FORMAT = "brittle-audit/1"
WALL = 12  # triples shown per threat
CURVE = 40  # points of an accuracy-versus-eps curve, from 0 to twice the threat's eps


def verdict_of(
    clean: Proportion,
    union: Proportion,
    robust: dict[str, Proportion],
    findings: Sequence[Finding],
    skipped: Sequence[str],
) -> dict[str, str]:
    """`trust`, `suspicious` or `broken`; one sentence; what to do next (in commands, MODEL stands for the model)."""
    bad = [finding for finding in findings if finding.level == "bad"]
    doubtful = [finding for finding in findings if finding.level == "warn"]
    where = " or ".join(robust) if len(robust) > 1 else next(iter(robust))
    figure = f"{union} of {union.n} images withstand every attack in {where}"
    again = "brittle audit MODEL --effort thorough -n all"
    if bad:
        level, why, next_step = "broken", f"but do not trust it: {_said(bad[0])}", bad[0].hint
    elif any(finding.level == "skipped" for finding in findings) and not skipped:
        level, why, next_step = "suspicious", "but whether gradients can be trusted was not looked at", again
    elif skipped:
        level, why, next_step = (
            "suspicious",
            f"an upper bound: the budget left out {len(skipped)} pieces of work",
            "brittle audit MODEL",
        )
    elif doubtful:
        level, why, next_step = (
            "suspicious",
            f"and single attacks mislead here: {_said(doubtful[0])}; quote the union",
            again,
        )
    else:
        level, why, next_step = "trust", "and no sign of masked gradients was seen", again
    return {"level": level, "sentence": f"{figure}, {why}.", "next": next_step}


def _said(finding: Finding) -> str:
    threat, colon, _ = finding.name.partition(": ")
    return f"in {threat} {finding.text}" if colon else finding.text


def record_of(
    clean: Proportion,
    union: Proportion,
    union_8bit: Proportion,
    states: Sequence[ThreatState],
    findings: Sequence[Finding],
    gradients: Sequence[dict[str, Any]],
    skipped: Sequence[str],
    verdict: dict[str, str],
    answers: Callable[[Images], list[int]],
    x: Images,
    y: Labels,
) -> dict[str, Any]:
    """All figures of an audit as JSON; model, data and circumstances are added where they are known."""
    labels, said = y.tolist(), answers(x)
    return {
        "format": FORMAT,
        "verdict": verdict,
        "clean": clean.record(),
        "union": union.record(),
        "union_8bit": union_8bit.record(),
        "threats": [_threat(state) for state in states],
        "checks": [_check(finding) for finding in findings],
        "gradients": list(gradients),
        "skipped": list(skipped),
        "examples": [
            {
                "index": i,
                "label": labels[i],
                "answer": said[i],
                "broken_by": {str(one.threat): one.breaker[i] for one in states},
            }
            for i in range(len(labels))
        ],
        "wall": [entry for state in states for entry in _wall(state, labels, answers)],
    }


def _threat(state: ThreatState) -> dict[str, Any]:
    n = len(state.alive)
    return {
        "threat": str(state.threat),
        "norm": state.threat.norm,
        "eps": state.threat.eps,
        "robust": Proportion(int(state.alive.sum()), n).record(),
        "robust_8bit": Proportion(int(state.alive_8bit.sum()), n).record(),
        "attacks": list(state.tally.values()),
        "curve": _curve(state),
    }


def _curve(state: ThreatState) -> dict[str, Any] | None:
    """Accuracy at each eps: the share of examples whose smallest perturbation found is larger (an upper bound)."""
    sizes = state.minimum[~state.minimum.isnan()]
    name = next((name for name in state.tally if name.startswith("FMN")), None)
    if name is None or state.threat.radius == 0:
        return None
    eps = torch.linspace(0, 2 * state.threat.radius, CURVE + 1, dtype=torch.float64)
    counts = (sizes[None, :] > eps[:, None]).sum(1)
    points = [Proportion(int(count), len(sizes)) for count in counts]
    return {
        "attack": name,
        "n": len(sizes),
        "eps": eps.tolist(),
        "accuracy": [point.accuracy for point in points],
        "low": [point.interval[0] for point in points],
        "high": [point.interval[1] for point in points],
    }


def _check(finding: Finding) -> dict[str, Any]:
    threat, colon, name = finding.name.partition(": ")
    return {
        "name": name if colon else finding.name,
        "threat": threat if colon else None,
        "level": finding.level,
        "text": finding.text,
        "hint": finding.hint,
    }


def _wall(state: ThreatState, labels: list[int], answers: Callable[[Images], list[int]]) -> list[dict[str, Any]]:
    rows = [row for row, breaker in enumerate(state.breaker) if breaker][:WALL]
    said = answers(state.adversarial[rows]) if rows else []
    return [
        {
            "index": row,
            "label": labels[row],
            "answer": answer,
            "threat": str(state.threat),
            "attack": state.breaker[row],
            "size": float(state.sizes[row]),
        }
        for row, answer in zip(rows, said, strict=True)
    ]
