"""A run's folder to an audit in memory, with one clear line about whatever is missing or damaged there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from brittle.audits import decode_record
from brittle.ground import BrittleError

AGAIN = "run the audit again"
CHECKS = ("bad", "warn", "note", "fine", "skipped")  # the worst first

Record = dict[str, Any]


@dataclass(frozen=True)
class Audited:
    """One audited model, as read from a run's folder.

    Attributes:
        record: what `audit.json` says (`brittle.audits.AuditRecord`), as plain JSON.
        clean: the wall's clean images, uint8 [k, C, H, W]; k may be 0; other shapes are not shown.
        adversarial: the wall's adversarial images, float32 [k, C, H, W] in [0, 1], in the order of `record["wall"]`.
        folder: what the run's folder is called.
    """

    record: Record
    clean: NDArray[Any]
    adversarial: NDArray[Any]
    folder: str = ""


def effort_of(record: Record) -> str:
    """The name of the effort of an audit; empty where its record does not say."""
    return str((record.get("asked") or {}).get("effort") or record["run"].get("effort", ""))


def read_run(folder: Path) -> Audited:
    """The audit that a run left in its folder: `audit.json`, and the images of `audit.safetensors` if it is there.

    Raises:
        BrittleError: no finished audit there, a damaged one, or one in another format version.
    """
    path = folder / "audit.json"
    try:
        record: Record = msgspec.to_builtins(decode_record(path.read_bytes()))
    except FileNotFoundError as error:
        raise BrittleError(f"{folder}: no finished audit here (audit.json is missing)") from error
    except OSError as error:
        raise BrittleError(f"{path}: cannot be read ({error.strerror or error})") from error
    except BrittleError as error:
        raise BrittleError(f"{path}: {error}; {AGAIN}") from error
    for curve in (threat["curve"] for threat in record["threats"] if threat["curve"]):
        if len({len(curve[line]) for line in ("eps", "accuracy", "low", "high")}) > 1:
            raise BrittleError(f"{path}: damaged: a curve's lists differ in length; {AGAIN}")
    tensors = folder / "audit.safetensors"
    if not tensors.exists():  # a record is small enough to be kept without its images
        return Audited(record, np.empty(0), np.empty(0), folder.resolve().name)
    try:
        with safe_open(tensors, framework="numpy") as stored:
            clean, adversarial = (stored.get_tensor(key) for key in ("wall_clean", "wall_adversarial"))
    except (SafetensorError, OSError) as error:
        raise BrittleError(f"{tensors}: damaged ({str(error).splitlines()[0]}); {AGAIN}") from error
    if clean.shape != adversarial.shape or len(clean) != len(record["wall"]):
        raise BrittleError(
            f"{tensors}: damaged, {clean.shape} clean and {adversarial.shape} adversarial images "
            f"for {len(record['wall'])} entries of the wall; {AGAIN}"
        )
    return Audited(record, clean, adversarial, folder.resolve().name)
