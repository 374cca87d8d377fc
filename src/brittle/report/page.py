"""Audit records to one self-contained HTML page: arrange what they say and hand it to the template."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from brittle.ground import BrittleError, write_out

from . import figures, pictures, words
from .comparison import comparison
from .reading import CHECKS, Audited, Record
from .svg import themed

DOUBTS_TOLD = 5  # findings told before the fold
BRIEF = 4  # threats, of one audit alone, whose attacks fit on paper
MATRIX_ROWS = 200  # examples listed on the page; audit.json has them all
LEVELS = {  # of verdicts and of checks: colour, sign, word
    "trust": ("good", "✓", "trust"),
    "suspicious": ("warn", "!", "suspicious"),
    "broken": ("bad", "✕", "broken"),
    "fine": ("good", "✓", "fine"),
    "note": ("none", "•", "note"),
    "warn": ("warn", "!", "warning"),
    "bad": ("bad", "✕", "bad"),
    "skipped": ("none", "–", "skipped"),
}


def page(audits: Sequence[Audited], *, title: str | None = None) -> str:
    """One HTML document about these audits, with everything inside: no font, script or image comes from elsewhere.

    The same audits give the same text, byte for byte. Everything a record says is escaped.

    Args:
        title: of the page; without one, it names the model, or asks which of several is more robust.
    Raises:
        BrittleError: no audit at all.
    """
    if not audits:
        raise BrittleError("a report needs at least one audit")
    kinds = {(one.record["model"]["name"], one.record["model"]["digest"]) for one in audits}
    audits = told_apart(audits)
    records = [audited.record for audited in audits]
    colours = figures.colours_of([threat["threat"] for record in records for threat in record["threats"]])
    models = [model(audited, f"m{i}", colours) for i, audited in enumerate(audits, 1)]
    return template("page.html.j2").render(
        title=title or _title([name for name, _ in kinds], len(models)),
        models=models,
        many=len(kinds),
        colours=colours,
        compared=comparison(models, list(colours)) if len(models) > 1 else None,
        told=DOUBTS_TOLD,
        brief=len(models) == 1 and len(records[0]["threats"]) <= BRIEF,
    )


def _title(names: Sequence[str], audits: int) -> str:
    if len(names) == 1:
        return f"{'Audit' if audits == 1 else f'{audits} audits'} of {names[0]}"
    return f"Which of {len(names)} models is more robust?"


def told_apart(audits: Sequence[Audited]) -> list[Audited]:
    """The same audits; models of one name are called by the folders of their runs, or by their places, too."""
    names = [audited.record["model"]["name"] for audited in audits]
    found = []
    for place, (audited, name) in enumerate(zip(audits, names, strict=True), 1):
        called = [one.folder for one, other in zip(audits, names, strict=True) if other == name]
        which = audited.folder if audited.folder and called.count(audited.folder) == 1 else str(place)
        model = audited.record["model"] | ({"name": f"{name} ({which})"} if len(called) > 1 else {})
        found.append(replace(audited, record=audited.record | {"model": model}))
    return found


def write_page(audits: Sequence[Audited], path: Path, *, title: str | None = None) -> Path:
    """The path of the page it writes; a reader finds the old file or the new one, never half of one.

    Raises:
        BrittleError: no audit at all, or a place that cannot be written.
    """
    return write_out(Path(path), page(audits, title=title))


def model(audited: Audited, ident: str, colours: dict[str, str]) -> Record:
    """All the template shows of one audited model."""
    record = audited.record
    classes = record["data"]["classes"]

    def named(label: int) -> str:
        return str(classes[label]) if 0 <= label < len(classes) else str(label)

    threats, examples = record["threats"], record["examples"]
    checks = sorted(record["checks"], key=lambda check: CHECKS.index(check["level"]))
    history = (record["model"]["training"] or {}).get("history") or []
    counts = [threat["curve"]["n"] or record["data"]["n"] for threat in threats if threat["curve"]]
    drawn = {
        "curves": figures.curves(threats, colours, f"{ident}-curves"),
        "breakers": figures.breakers(threats, examples, colours, f"{ident}-breakers"),
        "gradients": figures.gradients(record["gradients"], colours, f"{ident}-gradients"),
        "training": figures.training(history, f"{ident}-training"),
    }
    wall = [triple(audited, i, named) for i in range(len(record["wall"])) if audited.clean.ndim == 4]
    return {
        **record,
        "ident": ident,
        "headline": words.headline(record),
        "differences": words.differences(record),
        "certainty": words.certainty(record),
        "doubts": words.doubts(record),
        "threats": [{**threat, "count": len(threat["attacks"])} for threat in threats],
        "figures": {name: Markup(svg) for name, svg in drawn.items()},
        "checks": checks,
        "checked": list(Counter(check["level"] for check in checks).items()),
        "skipped": record.get("skipped", []),
        "curve_n": max((n for n in counts if n < record["data"]["n"]), default=None),
        "walls": {
            name: [one for one in wall if one["threat"] == name]
            for name in dict.fromkeys(one["threat"] for one in wall)
        },
        "example": wall[0] if wall else None,
        "images_missing": len(audited.clean) < len(record["wall"]),
        "matrix": [
            {
                **example,
                **{key: named(example[key]) for key in ("label", "answer")},
                "right": example["label"] == example["answer"],
            }
            for example in examples[:MATRIX_ROWS]
        ],
    }


def triple(audited: Audited, i: int, named: Callable[[int], str]) -> Record:
    """Clean image, adversarial image and their magnified difference, as PNGs, with what is said about them."""
    shown = audited.record["wall"][i]
    clean, adversarial = audited.clean[i], audited.adversarial[i]
    between, factor = pictures.difference(clean, adversarial)
    return {
        **shown,
        "label": named(shown["label"]),
        "answer": named(shown["answer"]),
        "clean": pictures.picture(clean),
        "adversarial": pictures.picture(adversarial),
        "difference": pictures.picture(between),
        "factor": f"{factor:.3g}",
        "size_text": f"{shown['size']:.4g}",
        "shape": Markup('width="%d" height="%d"') % (clean.shape[-1], clean.shape[-2]),
        "large": max(clean.shape[-2:]) > 96,
    }


@cache
def template(name: str) -> Template:
    """A page's template, with its filters, read once; the policy of a page lets no script run but ours."""
    loader = PackageLoader("brittle.report", ".")
    room = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters.update(percent=percent, interval=interval, duration=duration, pieces=pieces, level=LEVELS.__getitem__)
    room.filters.update(ink=themed, allowed=words.allowed)
    script, *_ = loader.get_source(room, "page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    room.globals.update(script=Markup(script), script_hash=Markup(f"sha256-{digest}"))
    return room.get_template(name)


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


def pieces(command: str) -> list[Markup]:
    """The words of a command, an option together with its value; a long path may be broken after each slash."""
    found: list[str] = []
    for word in command.split(" "):
        if found and found[-1].startswith("-") and " " not in found[-1] and not word.startswith("-"):
            found[-1] += f" {word}"
        else:
            found.append(word)
    return [Markup("/<wbr>").join(piece.split("/")) for piece in found]
