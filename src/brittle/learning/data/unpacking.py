"""From files to their content: gzip and tar, with nothing unpacked to disk."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

from brittle.ground import BrittleError

GZIP_MAGIC = b"\x1f\x8b"
AGAIN = "delete it and get it again"


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzip (told by its first bytes, not by its name).

    Raises:
        BrittleError: a file that cannot be read, is empty, or is damaged gzip.
    """
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BrittleError(f"{path}: damaged gzip file ({error}); {AGAIN}") from error
    except OSError as error:
        raise BrittleError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not content:
        raise BrittleError(f"{path}: the file is empty; {AGAIN}")
    return content


def read_members(archive: Path, names: tuple[str, ...], largest: int) -> dict[str, bytes]:
    """The content of the regular files of a tar archive that have these names, whatever their folder.

    Nothing is unpacked to disk, so no member can reach a path, be a link, or be larger than `largest` bytes.

    Raises:
        BrittleError: a damaged archive, or one without all of these files.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:  # in order: going back would decompress everything again
                name = Path(member.name).name
                stream = tar.extractfile(member) if name in names and member.isreg() else None
                if stream is not None and member.size <= largest:
                    found[name] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise BrittleError(f"{archive}: damaged archive ({reason}); {AGAIN}") from error
    if missing := [name for name in names if name not in found]:
        raise BrittleError(f"{archive}: the archive does not hold {missing[0]}; {AGAIN}")
    return found
