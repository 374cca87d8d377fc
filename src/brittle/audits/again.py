"""Two audits of one question: an earlier one and one that was computed anew, image by image."""

from collections.abc import Iterator

from .records import AuditRecord, Example

SHOWN = 20  # images named one by one


def differences(then: AuditRecord, now: AuditRecord) -> list[str]:
    """Lines on all that two records say otherwise of the same images; none where they agree.

    What took part is named first, where it differs (model, data, versions): it is why the rest does. A model or data
    that a record does not know by a digest, as those of an audit in memory, are not compared.
    """
    lines = list(_images(then, now))
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    causes = list(_causes(then, now)) if lines else []
    return [*_subjects(then, now), *causes, *lines[:SHOWN], *more]


def _subjects(then: AuditRecord, now: AuditRecord) -> Iterator[str]:
    for what, old, new in (
        ("the model", then.model.digest, now.model.digest),
        ("the data set", then.data.digest, now.data.digest),
    ):
        if old and new and old != new:
            yield f"{what} is another: sha256 {old[:12]} then, {new[:12]} now"


def _causes(then: AuditRecord, now: AuditRecord) -> Iterator[str]:
    """Versions and hardware that may make figures differ."""
    for name, old in then.run.versions.items():
        new = now.run.versions.get(name, "none")
        if old != new:
            yield f"{name} {old} then, {new} now"
    for what in ("hardware", "precision"):
        old, new = getattr(then.run, what), getattr(now.run, what)
        if old != new:
            yield f"{what}: {old} then, {new} now"


def _images(then: AuditRecord, now: AuditRecord) -> Iterator[str]:
    if len(then.examples) != len(now.examples):
        yield f"{len(then.examples)} images then, {len(now.examples)} now"
        return
    for old, new in zip(then.examples, now.examples, strict=True):
        if (old.label, old.answer) != (new.label, new.answer):
            yield f"image {old.index}: {old.answer} for a {old.label} then, {new.answer} for a {new.label} now"
        for threat in old.broken_by | new.broken_by:
            fates = _fate(old, threat), _fate(new, threat)
            if fates[0] != fates[1]:
                yield f"image {old.index} in {threat}: {fates[0]} then, {fates[1]} now"


def _fate(example: Example, threat: str) -> str:
    if threat not in example.broken_by:
        return "not attacked"
    if example.broken_by[threat]:
        return f"broken by {example.broken_by[threat]}"
    if example.answer != example.label:
        return "wrong"
    proof = example.proved_by.get(threat)
    return f"proved robust by {proof}" if proof else "withstood"
