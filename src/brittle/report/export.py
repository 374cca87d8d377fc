"""An audit in other forms: per-image tables, adversarial images, RobustBench's model information, a robustness card."""

import csv
import io
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.audits import ByThreat
from brittle.ground import BrittleError, write_out
from brittle.learning import runs_code

from .reading import Record, effort_of, read_run

Rows = list[dict[str, Any]]


def export_audit(run: Path, target: Path, threat: str | None = None) -> Path:
    """Write what an audit found in the form that `target`'s ending names, and give `target` back.

    csv, parquet: a row for each image. safetensors, npz: the adversarial images of one threat, for `brittle verify` and
    other libraries. json: RobustBench's model information, for one threat. md: a robustness card.

    Args:
        run: the folder of an audit.
        threat: of images and model information; the only one, if there is one.
    Raises:
        BrittleError: no finished audit, another ending, a threat that was not audited, a place that cannot be written.
    """
    if target.suffix not in FORMS:
        raise BrittleError(f"{target}: an audit is exported to {', '.join(FORMS)}")
    return write_out(target, FORMS[target.suffix](run, threat))


def image_rows(record: Record) -> Rows:
    """A row for each image: index, the name of its file or its row in the user's own file where they are known, label,
    answer, and for each threat what broke it or proved it robust."""
    none = [None] * len(record["examples"])
    files = record["data"].get("files") or none
    places = none if files is not none else record["data"].get("rows") or none
    return [
        {"index": one["index"]}
        | ({"file": file} if file else {"row in the file": place} if place is not None else {})
        | {"label": one["label"], "answer": one["answer"]}
        | {f"{threat} broken by": attack for threat, attack in one["broken_by"].items()}
        | {
            f"{threat} proved by": one.get("proved_by", {}).get(threat)
            for threat in one["broken_by"]
            if any(row["threat"] == threat and row.get("proved") for row in record["threats"])
        }
        for one, file, place in zip(record["examples"], files, places, strict=True)
    ]


def _csv(run: Path, threat: str | None) -> bytes:
    rows, text = image_rows(read_run(run).record), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(run: Path, threat: str | None) -> bytes:
    try:
        from pyarrow import BufferOutputStream, Table, parquet
    except ImportError:
        raise BrittleError("Parquet is written by pyarrow: pip install pyarrow, or export to .csv") from None
    sink = BufferOutputStream()
    parquet.write_table(Table.from_pylist(image_rows(read_run(run).record)), sink)
    return bytes(sink.getvalue().to_pybytes())


def _images(run: Path, threat: str | None) -> dict[str, Tensor]:
    """`x_adv` [k, *S], `indices` and `labels` [k] of the images that broke in a threat; where the user's own file has
    them in another order, `rows_in_file` [k] too."""
    record, path = read_run(run).record, run / "audit.safetensors"
    name = _threat(record, threat)["threat"]
    try:
        with safe_open(path, "pt") as stored:
            x_adv, rows = (stored.get_tensor(f"{kind}/{name}") for kind in ("adversarial", "rows"))
    except (SafetensorError, OSError) as error:
        raise BrittleError(f"{path}: the adversarial images are not there ({str(error).splitlines()[0]})") from None
    if not len(rows):
        raise BrittleError(f"no image broke in {name}: there is nothing to export")
    labels = torch.tensor([one["label"] for one in record["examples"]])[rows]
    own = torch.tensor(record["data"].get("rows") or [])
    return {"x_adv": x_adv, "indices": rows, "labels": labels} | ({"rows_in_file": own[rows]} if len(own) else {})


def _safetensors(run: Path, threat: str | None) -> bytes:
    return save(_images(run, threat))


def _npz(run: Path, threat: str | None) -> bytes:
    content = io.BytesIO()
    arrays: dict[str, Any] = {name: value.numpy() for name, value in _images(run, threat).items()}
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _threat(record: Record, name: str | None) -> dict[str, Any]:
    threats: ByThreat[dict[str, Any]] = ByThreat({one["threat"]: one for one in record["threats"]})
    if name is None and len(threats) > 1:
        raise BrittleError(f"--threat is one of {', '.join(threats)}")
    return next(iter(threats.values())) if name is None else threats[name]


def _robustbench(run: Path, threat: str | None) -> bytes:
    """The fields of RobustBench's model_info; what an audit cannot know is empty."""
    record = read_run(run).record
    one, how = _threat(record, threat), record["model"].get("training") or {}
    kind, _, eps = one["threat"].partition(":")
    share = f"{100 * one['robust']['accuracy']:.2f}"
    info = {
        "link": "",
        "name": record["model"]["name"],
        "authors": "",
        "additional_data": "",
        "number_forward_passes": 1,
        "dataset": record["data"]["name"].partition("/")[0],
        "venue": "",
        "architecture": how.get("net") or "",
        "eps": eps,
        "norm": kind,
        "clean_acc": f"{100 * record['clean']['accuracy']:.2f}",
        "reported": share,
        "brittle_acc": share,
        "unreliable": record["verdict"]["level"] == "broken",
        "footnote": f"brittle audit, effort {effort_of(record)}: {record['verdict']['sentence']}",
    }
    return json.dumps(info, indent=2).encode()


def _card(run: Path, threat: str | None) -> bytes:
    record = read_run(run).record
    model, data, made = record["model"], record["data"], record["run"]
    lines = [
        f"# Robustness of {model['name']}",
        "",
        f"**{record['verdict']['level']}**: {record['verdict']['sentence']}",
        "",
        "| | withstands | in 8 bits | proved robust |",
        "|---|---|---|---|",
        _row("clean", record["clean"], None, None),
        *(_row(one["threat"], one["robust"], one["robust_8bit"], one.get("proved")) for one in record["threats"]),
        _row("union", record["union"], record["union_8bit"], record.get("union_proved")),
        "",
        "Percent, with exact 95 % intervals. What withstands is an upper bound of the truth, what is proved a lower.",
        "",
        f"- Model: {model['source'] or model['name']}{_digest(model)}",
        f"- Data: {data['n']} of {data['of']} images of {data['name']}{_digest(data)}",
        f"- Effort: {effort_of(record)}, seed {made['seed']}, {made['date']}, {made['hardware']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in made['versions'].items())}",
        f"- Command: `{made['command']}`",
        f"- Again, image by image: `{_again(model, data, run)}`",
    ]
    doubts = [check for check in record["checks"] if check["level"] in ("bad", "warn", "note")]
    if doubts:
        lines += ["", "## What to know", ""]
        lines += [f"- {one['name']}{_where(one)}: {one['text']}. {one['hint'] or ''}".rstrip() for one in doubts]
    return ("\n".join(lines) + "\n").encode()


def _digest(what: dict[str, Any]) -> str:
    return f", sha256 `{what['digest']}`" if what["digest"] else ""


def _again(model: dict[str, Any], data: dict[str, Any], run: Path) -> str:
    """The command that does the audit anew. A model must be typed if it is a program, which is not run because a report
    names it, or has no name; data that have none must be, too."""
    source = model["source"]
    words = [] if source and not runs_code(source) else [source or "MODEL"]
    words += [] if data.get("given") else ["--data", "DATA"]
    return shlex.join(["brittle", "audit", *words, "--again", str(run)])


def _where(check: dict[str, Any]) -> str:
    return f" in {check['threat']}" if check["threat"] else ""


def _row(name: str, *shares: dict[str, Any] | None) -> str:
    return f"| {' | '.join([name, *map(_share, shares)])} |"


def _share(proportion: dict[str, Any] | None) -> str:
    if proportion is None or proportion["accuracy"] is None:
        return ""
    low, high = proportion["interval"]
    return f"{100 * proportion['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


FORMS: dict[str, Callable[[Path, str | None], bytes]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".npz": _npz,
    ".json": _robustbench,
    ".md": _card,
}
