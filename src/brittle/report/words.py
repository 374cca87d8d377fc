"""What a record says, in plain words: what an attacker did, in which threats, and how sure that is.

Every sentence follows from figures of the record; none says more than they do.
"""

from __future__ import annotations

import math
from functools import cache

from brittle.attacks import L0, NormBall, Spatial, parse_threat
from brittle.ground import BrittleError

from .reading import Record

CHANGES = {
    math.inf: "change each pixel by up to {eps}",
    2: "change pixels by up to {eps} in all, as a straight distance",
    1: "change pixels by up to {eps} in all, added up",
}  # by the order of a norm; pixels go from 0 to 1
RANDOM, CLASSES, DOUBTS = "draws", "classes only", ("bad", "warn", "note")


@cache
def allowed(threat: str) -> str:
    """What a threat allows an attacker to do, as far as its kind is known here: "change each pixel by up to 8/255"."""
    try:
        kind = parse_threat(threat)
    except BrittleError:
        return ""
    eps = threat.partition(":")[2]
    if isinstance(kind, L0):
        return f"change up to {eps} {'pixel' if eps == '1' else 'pixels'} at will"
    if isinstance(kind, Spatial):
        degrees, pixels = eps.split(",")
        return (
            f"turn the image by up to {degrees}° and move it by up to {pixels} {'pixel' if pixels == '1' else 'pixels'}"
        )
    return CHANGES[kind.order].format(eps=eps) if isinstance(kind, NormBall) and kind.order in CHANGES else ""


def headline(record: Record) -> str:
    """What the attacks did, in one sentence."""
    right, left, n = record["clean"]["correct"], record["union"]["correct"], record["clean"]["n"]
    if not record["threats"]:
        return f"No threat was tried; left alone it is right on {right:,} of {images(n)}."
    if right == 0:
        return f"It is right on none of {images(n)}, even without an attack."
    if left == 0:
        said = f"Attacks made it wrong on {_all(right)} that it gets right"
    elif left == right:
        said = f"No attack made it wrong on any of the {right:,} images that it gets right"
    else:
        said = f"Attacks made it wrong on {right - left:,} of the {right:,} images that it gets right"
    if record["verdict"]["level"] == "broken":
        return f"{said}; but a check failed, so do not rely on these figures."
    return f"{said}."


def images(count: int) -> str:
    return f"{count:,} {'image' if count == 1 else 'images'}"


def _all(count: int) -> str:
    return "the only image" if count == 1 else f"all {count:,} images"


def differences(record: Record) -> str:
    """Which threats are withstood best and worst, as far as the intervals tell; '' for a single one."""
    threats = [one for one in record["threats"] if one["robust"]["accuracy"] is not None]
    if len(threats) < 2 or record["clean"]["correct"] == 0:
        return ""
    worst, *_, best = sorted(threats, key=lambda one: float(one["robust"]["accuracy"]))
    if worst["robust"]["interval"][1] >= best["robust"]["interval"][0]:
        return "No threat does clearly more harm than another: their intervals overlap."
    return f"Of these threats, {worst['threat']} clearly does more harm than {best['threat']}."


def certainty(record: Record) -> list[str]:
    """How far the figures can be trusted, a sentence each."""
    said = [_checked(record), *_proved(record)]
    if record["threats"]:
        untried = ", not attacks that were not tried" if _undecided(record) else ""
        n = record["data"]["n"]
        chosen = "this one image" if n == 1 else f"these {images(n)}"
        said.append(f"The intervals (95 %) cover the choice of {chosen}{untried}.")
    union, rounded = record["union"]["correct"], record["union_8bit"]["correct"]
    if rounded > union:
        undone = rounded - union
        withstand = "image withstands" if undone == 1 else "images withstand"
        said.append(f"Rounded to 8 bits, as a file would store them, attacks do less: {undone:,} more {withstand}.")
    said += [f"Its answers are random: {check['text']}." for check in record["checks"] if check["name"] == RANDOM]
    if record["model"].get("reject") is not None:
        said.append(
            f"Class {record['model']['reject']} rejects an image. An attack counts where the answer is wrong and not "
            "rejected; a clean image that is rejected counts as wrong."
        )
    return said


def _checked(record: Record) -> str:
    looked = [check for check in record["checks"] if check["level"] != "skipped"]
    doubts = [check for check in looked if check["level"] in ("bad", "warn")]
    if not looked:
        return "No check was made of whether these figures can be trusted."
    one, checks = len(doubts) == 1, "the only check" if len(looked) == 1 else f"{len(looked)} checks"
    if doubts:
        return f"Of {checks} {len(doubts)} {'casts' if one else 'cast'} doubt on these figures."
    if record["verdict"]["level"] == "trust":
        room = " They are upper bounds: a stronger attack could find more." if _undecided(record) else ""
        return f"None of {checks} casts doubt on these figures.{room}"
    why = "the budget was spent before everything was tried" if record["skipped"] else "not everything was tried"
    return f"None of {checks} casts doubt on these figures, but {why}."


def _undecided(record: Record) -> bool:
    """Whether stronger attacks could find more: not all that withstands is proved."""
    return any(
        one["robust"]["correct"] > (one["proved"]["correct"] if one.get("proved") else 0) for one in record["threats"]
    )


def _proved(record: Record) -> list[str]:
    """What is certain whatever the attack, on these images."""
    union, threats = record.get("union_proved"), [one for one in record["threats"] if one.get("proved")]
    if union and union["correct"]:
        share = f"{100 * union['accuracy']:.1f} %"
        if union["correct"] == record["union"]["correct"]:
            return [f"The {share} are exact on these images: each one that withstands is proved to withstand."]
        return [
            f"At least {share} of these images withstand every attack there can be in these threats: that is proved."
        ]
    return [
        f"In {one['threat']} at least {100 * one['proved']['accuracy']:.1f} % of these images withstand every attack "
        "there can be: that is proved."
        for one in threats
        if one["proved"]["correct"]
    ]


def doubts(record: Record) -> list[Record]:
    """The checks a reader must know of, the worst first; one that says the same in several threats is told once."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for check in sorted((one for one in record["checks"] if one["level"] in DOUBTS), key=_rank):
        where = told.setdefault((check["level"], check["text"], check["hint"] or ""), [])
        where += [check["threat"]] if check["threat"] else []
    return [
        {"level": level, "text": text, "hint": hint, "where": ", ".join(dict.fromkeys(where))}
        for (level, text, hint), where in told.items()
    ]


def _rank(check: Record) -> int:
    return DOUBTS.index(check["level"])
