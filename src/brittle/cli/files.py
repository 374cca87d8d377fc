"""Names and files of results."""

import json
import shutil
from pathlib import Path
from typing import Any

from brittle.errors import BrittleError


def data_of(asked: str | None, header: dict[str, Any] | None) -> str:
    """The data set asked for, or the one that the checkpoint was trained on."""
    if asked:
        return asked
    if header and header.get("data"):
        return str(header["data"]).partition(" (")[0]
    raise BrittleError("say on which data set: --data mnist (see: brittle data)")


def plain_name(text: str) -> str:
    """`text` as a file name."""
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in text).strip("-")


def copied(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise BrittleError(f"{target} cannot be written ({error.strerror}); give another --out") from None


def json_of(path: Path) -> Any:
    """The JSON in a file."""
    return json.loads(path.read_text())
