"""Audit records to one self-contained HTML page: read a run's folder, arrange what it says, hand it to the template."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from safetensors import SafetensorError, safe_open

from brittle.ground import BrittleError

from . import figures

FORMAT = "brittle-audit/1"
MATRIX_ROWS = 200  # examples listed on the page; audit.json has them all
AGAIN = "run the audit again"
LEVELS = {  # of verdicts and of checks: colour, sign, word
    "trust": ("good", "✓", "trust"),
    "suspicious": ("warn", "!", "suspicious"),
    "broken": ("bad", "✕", "broken"),
    "fine": ("good", "✓", "fine"),
    "warn": ("warn", "!", "warning"),
    "bad": ("bad", "✕", "bad"),
    "skipped": ("none", "–", "skipped"),
}
VERDICTS = ("trust", "suspicious", "broken")
WORST_FIRST = ("bad", "warn", "fine", "skipped")

NUMBER = (int, float)
MAYBE = type(None)
SHARE = {"correct": int, "n": int, "accuracy": (*NUMBER, MAYBE), "interval": [NUMBER]}
SHAPE: dict[str, Any] = {  # what the page reads; a record may hold more
    "model": {"name": str, "digest": str, "parameters": (int, MAYBE), "training": (dict, MAYBE)},
    "data": {"name": str, "n": int, "of": int, "classes": list, "digest": str},
    "verdict": {"level": frozenset(VERDICTS), "sentence": str, "next": str},
    "clean": SHARE,
    "union": SHARE,
    "union_8bit": SHARE,
    "threats": [
        {
            "threat": str,
            "norm": str,
            "eps": str,
            "robust": SHARE,
            "robust_8bit": SHARE,
            "attacks": [
                {"name": str, "tried": int, "claimed": int, "broke": int, "left": SHARE, "seconds": NUMBER},
            ],
            "curve": (dict, MAYBE),
        }
    ],
    "checks": [{"name": str, "threat": (str, MAYBE), "level": frozenset(WORST_FIRST), "text": str, "hint": (str, MAYBE)}],
    "gradients": [{"threat": str, "path": str, "mean_norm": list, "zero_share": (*NUMBER, MAYBE)}],
    "examples": [{"index": int, "label": int, "answer": int, "broken_by": dict}],
    "wall": [{"index": int, "label": int, "answer": int, "threat": str, "attack": str, "size": NUMBER}],
    "run": {
        "command": str,
        "seed": int,
        "seconds": NUMBER,
        "date": str,
        "versions": dict,
        "hardware": str,
        "precision": str,
    },
}

Record = dict[str, Any]


@dataclass(frozen=True)
class Audited:
    """One audited model, as read from a run's folder.

    Attributes:
        record: what `audit.json` says, format "brittle-audit/1".
        clean: the wall's clean images, uint8 [k, C, H, W]; k may be 0; other shapes are not shown.
        adversarial: the wall's adversarial images, float32 [k, C, H, W] in [0, 1], in the order of `record["wall"]`.
    """

    record: Record
    clean: np.ndarray[Any, Any]
    adversarial: np.ndarray[Any, Any]


def read_run(folder: Path) -> Audited:
    """The audit that a run left in its folder: `audit.json` and `audit.safetensors`.

    Raises:
        BrittleError: no finished audit there, a damaged one, or one in another format version.
    """
    text, tensors = folder / "audit.json", folder / "audit.safetensors"
    try:
        record = json.loads(text.read_bytes())
    except FileNotFoundError as error:
        raise BrittleError(f"{folder}: no finished audit here (audit.json is missing)") from error
    except OSError as error:
        raise BrittleError(f"{text}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise BrittleError(f"{text}: damaged, not JSON; {AGAIN}") from error
    written = record.get("format") if isinstance(record, dict) else None
    if written != FORMAT:
        raise BrittleError(f"{text}: its format is {written!r}, this version of brittle reads {FORMAT!r}; {AGAIN}")
    if fault := flaw(record, SHAPE, ""):
        raise BrittleError(f"{text}: damaged, {fault}; {AGAIN}")
    try:
        with safe_open(tensors, framework="numpy") as stored:
            clean, adversarial = (stored.get_tensor(key) for key in ("wall_clean", "wall_adversarial"))
    except FileNotFoundError as error:
        raise BrittleError(f"{folder}: audit.safetensors is missing; {AGAIN}") from error
    except (SafetensorError, OSError) as error:
        raise BrittleError(f"{tensors}: damaged ({str(error).splitlines()[0]}); {AGAIN}") from error
    if clean.shape != adversarial.shape or len(clean) != len(record["wall"]):
        raise BrittleError(
            f"{tensors}: damaged, {clean.shape} clean and {adversarial.shape} adversarial images "
            f"for {len(record['wall'])} entries of the wall; {AGAIN}"
        )
    return Audited(record, clean, adversarial)


def page(audits: Sequence[Audited], *, title: str = "brittle audit") -> str:
    """One HTML document about these audits, with everything inside: no font, script or image comes from elsewhere.

    The same audits give the same text, byte for byte. Everything a record says is escaped.

    Raises:
        BrittleError: no audit at all.
    """
    if not audits:
        raise BrittleError("a report needs at least one audit")
    records = [audited.record for audited in audits]
    colours = figures.colours_of([threat["threat"] for record in records for threat in record["threats"]])
    models = [model(audited, f"m{i}", colours) for i, audited in enumerate(audits, 1)]
    return template().render(
        title=title,
        models=models,
        colours=colours,
        compared=comparison(models, list(colours)) if len(models) > 1 else None,
        matrix_rows=MATRIX_ROWS,
    )


def write_page(audits: Sequence[Audited], path: Path, *, title: str = "brittle audit") -> Path:
    """The path of the page it writes; a reader finds the old file or the new one, never half of one.

    Raises:
        BrittleError: no audit at all, or a place that cannot be written.
    """
    text = page(audits, title=title)
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(text.encode("utf-8", "replace"))
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise BrittleError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def flaw(value: Any, shape: Any, at: str) -> str | None:
    """What in `value` is not as `shape` says, such as "threats[0].attacks[1] has no 'left'"; None if nothing."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{at} is no object"
        lacking = [f"{at or 'it'} has no {key!r}" for key in shape if key not in value]
        found = (flaw(value[key], part, f"{at}.{key}".lstrip(".")) for key, part in shape.items() if key in value)
        return lacking[0] if lacking else next(filter(None, found), None)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at} is no list"
        return next(filter(None, (flaw(item, shape[0], f"{at}[{i}]") for i, item in enumerate(value))), None)
    if isinstance(shape, frozenset):
        return None if value in shape else f"{at} cannot be {json.dumps(value)[:40]}"
    return None if isinstance(value, shape) else f"{at} cannot be {json.dumps(value)[:40]}"


def model(audited: Audited, ident: str, colours: dict[str, str]) -> Record:
    """All the template shows of one audited model."""
    record = audited.record
    classes = record["data"]["classes"]

    def named(label: int) -> str:
        return str(classes[label]) if 0 <= label < len(classes) else str(label)

    threats, examples = record["threats"], record["examples"]
    history = (record["model"]["training"] or {}).get("history") or []
    counts = [threat["curve"].get("n", record["data"]["n"]) for threat in threats if threat["curve"]]
    drawn = {
        "curves": figures.curves(threats, colours, f"{ident}-curves"),
        "breakers": figures.breakers(threats, examples, colours, f"{ident}-breakers"),
        "gradients": figures.gradients(record["gradients"], colours, f"{ident}-gradients"),
        "training": figures.training(history, f"{ident}-training"),
    }
    return {
        **record,
        "ident": ident,
        "figures": {name: Markup(svg) for name, svg in drawn.items()},
        "checks": sorted(record["checks"], key=lambda check: WORST_FIRST.index(check["level"])),
        "checked": [(level, n) for level in WORST_FIRST if (n := [c["level"] for c in record["checks"]].count(level))],
        "skipped": record.get("skipped", []),
        "starts": first_paths(record["gradients"]),
        "curve_n": max((n for n in counts if n < record["data"]["n"]), default=None),
        "wall": [triple(audited, i, named) for i in range(len(record["wall"])) if audited.clean.ndim == 4],
        "matrix": [
            {**example, "label": named(example["label"]), "answer": named(example["answer"]), "right": right(example)}
            for example in examples[:MATRIX_ROWS]
        ],
    }


def first_paths(paths: Sequence[Record]) -> list[Record]:
    """The first gradient path of each threat."""
    firsts: dict[str, Record] = {}
    for path in paths:
        firsts.setdefault(path["threat"], path)
    return list(firsts.values())


def right(example: Record) -> bool:
    """Whether the model is right on the clean example."""
    return bool(example["answer"] == example["label"])


def triple(audited: Audited, i: int, named: Callable[[int], str]) -> Record:
    """Clean image, adversarial image and their magnified difference, as PNGs, with what is said about them."""
    shown = audited.record["wall"][i]
    clean, adversarial = audited.clean[i], audited.adversarial[i]
    between, factor = figures.difference(clean, adversarial)
    return {
        **shown,
        "label": named(shown["label"]),
        "answer": named(shown["answer"]),
        "clean": figures.picture(clean),
        "adversarial": figures.picture(adversarial),
        "difference": figures.picture(between),
        "factor": f"{factor:.3g}",
        "size_text": f"{shown['size']:.4g}",
        "width": clean.shape[-1],
        "height": clean.shape[-2],
        "large": max(clean.shape[-2:]) > 96,
    }


def comparison(models: Sequence[Record], threats: Sequence[str]) -> Record:
    """Models as rows; clean, each threat and union as columns; each column's best, as far as the intervals allow."""
    columns = ["clean", *threats, "union"]
    rows = [
        {"clean": each["clean"], "union": each["union"], **{t["threat"]: t["robust"] for t in each["threats"]}} for each in models
    ]
    signs: list[dict[str, str]] = [{} for _ in models]
    said = []
    for column in columns:
        measured = sorted(
            (i for i, row in enumerate(rows) if column in row and row[column]["accuracy"] is not None),
            key=lambda i: -rows[i][column]["accuracy"],
        )
        if len(measured) < 2:
            continue
        best, second = measured[:2]
        level = [i for i in measured if rows[i][column]["interval"][1] >= rows[best][column]["interval"][0]]
        for i in level:
            signs[i][column] = "best" if len(level) == 1 else "level"
        if column != "clean":
            said.append({"column": column, "best": best, "second": second, "alone": len(level) == 1, "level": level})
    notes = []
    if len({(each["data"]["digest"], each["data"]["n"]) for each in models}) > 1:
        notes.append("The models were audited on different examples, so small differences mean little.")
    if len({tuple(sorted(t["threat"] for t in each["threats"])) for each in models}) > 1:
        notes.append("The models were audited under different threats, so their unions are not the same question.")
    return {"columns": columns, "rows": rows, "signs": signs, "said": said, "notes": notes}


@cache
def template() -> Template:
    """The page's template, with its filters, read once."""
    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters.update(percent=percent, interval=interval, duration=duration, options=options, level=LEVELS.__getitem__)
    return room.from_string(files("brittle.report").joinpath("page.html.j2").read_text("utf-8"))


def percent(share: Record) -> str:
    """An accuracy as "87.1 %"."""
    return "–" if share["accuracy"] is None else f"{100 * share['accuracy']:.1f} %"


def interval(share: Record) -> str:
    """Its 95 % interval as "[84.9, 89.1]"."""
    return "[" + ", ".join(f"{100 * end:.1f}" for end in share["interval"]) + "]"


def duration(seconds: float) -> str:
    """Seconds as "12.3 s", "3 min 5 s" or "2 h 10 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def options(command: str) -> list[tuple[str, bool]]:
    """The words of a command, an option with its value in one piece; and whether the piece is not to be broken."""
    pieces: list[str] = []
    for word in command.split(" "):
        after_option = bool(pieces) and pieces[-1].startswith("-") and " " not in pieces[-1]
        if after_option and not word.startswith("-"):
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    return [(piece, piece.startswith("-") and len(piece) <= 28) for piece in pieces]
