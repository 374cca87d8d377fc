"""A run's folder to an audit in memory, with one clear line about whatever is missing or damaged there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from brittle.ground import BrittleError

FORMAT = "brittle-audit/1"
AGAIN = "run the audit again"
VERDICTS = ("trust", "suspicious", "broken")
CHECKS = ("bad", "warn", "fine", "skipped")  # the worst first

NUMBER = (int, float)
MAYBE = type(None)
SHARE = {"correct": int, "n": int, "accuracy": (*NUMBER, MAYBE), "interval": [NUMBER]}
ATTACK = {
    "name": str,
    **dict.fromkeys(("tried", "claimed", "verified", "broke"), int),
    "left": SHARE,
    "seconds": NUMBER,
}
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
            "attacks": [ATTACK],
            "curve": (dict, MAYBE),
        }
    ],
    "checks": [{"name": str, "threat": (str, MAYBE), "level": frozenset(CHECKS), "text": str, "hint": (str, MAYBE)}],
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
    clean: NDArray[Any]
    adversarial: NDArray[Any]


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
