"""Files are written whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from brittle.errors import BrittleError


def cache_folder() -> Path:
    """Where results and downloads go that nobody gave a place: `$XDG_CACHE_HOME`, or ~/.cache; in it, `brittle`.

    Raises:
        BrittleError: there is no home folder, as in some containers.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "brittle"
    except RuntimeError:
        raise BrittleError(
            "there is no home folder to keep results and data in; set XDG_CACHE_HOME to a folder that can be written"
        ) from None


def path_of(what: str, path: Path | str) -> Path:
    """The path, given as such or as a text.

    Raises:
        BrittleError: it is something else.
    """
    if not isinstance(path, Path | str):
        raise BrittleError(f"{what} is a path or a text, not {type(path).__name__}")
    return Path(path)


def write_bytes(path: Path, content: bytes) -> None:
    """`write_by` of what is in memory."""
    write_by(path, lambda place: Path(place).write_bytes(content))


def write_by(path: Path, write: Callable[[str], object]) -> None:
    """Let `write` write a file by way of a temporary one beside it, synced before it takes the name.

    Raises:
        OSError: a place that cannot be written; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.close(handle)
        write(name)
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_out(path: Path, content: str | bytes) -> Path:
    """The path of a file written for the user: `write_bytes`, with one clear line where it fails.

    Raises:
        BrittleError: a place that cannot be written.
    """
    try:
        write_bytes(path, content.encode("utf-8", "replace") if isinstance(content, str) else content)
    except OSError as error:
        raise BrittleError(f"{path} cannot be written ({error.strerror or error}); choose another place") from None
    return path
