"""An audit done anew from its report."""

import shlex
from pathlib import Path

import typer

from brittle.errors import BrittleError

from .files import computed
from .given import Given


def repeated(
    report: Path,
    where: Given,
    typed: frozenset[str],
    device: str,
    batch: int | None,
    json: bool,
    on: str | None = None,
) -> None:
    """Do the audit that `report` (a folder, or its audit.json) tells of, and say what came out otherwise.

    Args:
        where: model and data; of what is not in `typed` the report says it.
    """
    from brittle.attacks import AttackSpec, parse_threat
    from brittle.audits import decode_record, differences
    from brittle.learning import runs_code
    from brittle.studies import Audit

    from .terminal import as_json
    from .terminal import out as terminal

    path = report / "audit.json" if report.is_dir() else report
    try:
        then = decode_record(path.read_bytes())
    except OSError as error:
        raise BrittleError(f"{path}: cannot be read ({error.strerror})") from None
    except BrittleError as error:
        raise BrittleError(f"{path}: {error}") from None
    asked = then.asked
    if asked is None:
        raise BrittleError(f"{path} does not say how it was asked for, as reports do since 0.1.0")
    if not (where.model or then.model.source):
        data = "" if where.data or then.data.given else " --data DATA"
        raise BrittleError(
            f"{path} names no model, as one that Report.save was not told of; name it: brittle audit MODEL{data} "
            f"--again {shlex.quote(str(report))}"
        )
    if "model" not in typed and runs_code(then.model.source):
        raise BrittleError(
            f"{path} names {then.model.source}, a program of whoever wrote it; if you trust it, say so: "
            f"brittle audit {shlex.join([then.model.source, '--again', str(report)])}"
        )
    file, source = where.filled(
        typed,
        model=then.model.source,
        data=then.data.given,
        data_dir=Path(then.data.folder) if then.data.folder else None,
        weights=Path(then.model.weights) if then.model.weights else None,
        **{option.replace("-", "_"): text for option, text in then.model.inputs.items()},
    ).subject()
    threats = tuple(parse_threat(one.threat) for one in then.threats)
    every = then.data.given and then.data.n == then.data.of  # of images in memory, the first so many
    node = Audit(
        model=file,
        data=source,
        threats=threats,
        effort=asked.effort,
        n=0 if every else then.data.n,
        seed=asked.seed,
        budget=asked.budget,
        batch=batch or asked.batch,
        extra=tuple(AttackSpec.parse(text) for text in asked.attacks),
        certify=asked.certify,
        bpda=tuple(then.model.bpda),
        reject=then.model.reject,
    )
    now = decode_record((computed(node, None, device, True, on) / "audit.json").read_bytes())
    found = differences(then, now)
    if json:
        as_json({"images": len(now.examples), "differences": found})
    else:
        same = f"computed anew: all {len(now.examples)} images as reported, in {len(threats)} threats"
        if unknown := [what for what, one in (("model", then.model), ("data", then.data)) if not one.digest]:
            same += f" (which {' and '.join(unknown)} it was of the report does not say)"
        for line in found or [same]:
            terminal.print(line)
    if found:
        raise typer.Exit(1)
