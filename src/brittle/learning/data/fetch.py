"""Downloads that survive a cut line, never leave half a file, and are checked by digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock

from brittle.ground import BrittleError

DownloadProgress = Callable[[str, int, int | None], None]  # (file name, bytes so far, bytes in all if known)

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18


def fetch(urls: Sequence[str], path: Path, md5: str, progress: DownloadProgress | None = None) -> None:
    """Put at `path` the file with this MD5, from the first of these mirrors that has it.

    Bytes go to `path.part`, from which a later call goes on (HTTP Range); only a complete file with the right
    digest is renamed to `path`. Several processes may ask at once: one fetches, the others wait.

    Raises:
        BrittleError: the folder cannot be written; no mirror gave the file (each one's reason is named).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists():
                return
            reasons = []
            for url in urls:
                if (reason := _from_mirror(url, path, md5, progress)) is None:
                    return
                reasons.append(f"{url}: {reason}")
    except OSError as error:
        raise BrittleError(f"cannot write {path} ({error.strerror or error}); choose another folder") from error
    raise BrittleError(f"no mirror gave {path.name} ({'; '.join(reasons)})")


def md5_of(path: Path) -> str:
    """The MD5 (hex) of a file; it tells damage and mix-ups, and https keeps strangers out."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _from_mirror(url: str, path: Path, md5: str, progress: DownloadProgress | None) -> str | None:
    """Fetch from one mirror, going on as long as bytes arrive; None, or the reason why there is no file."""
    part = path.with_name(f"{path.name}.part")
    stale = part.exists()  # its bytes may be of another file: begin anew, once, if the digest is wrong
    while True:
        before = _size(part)
        try:
            _stream(url, part, progress)
        except (OSError, HTTPException) as error:
            if _size(part) > before:
                continue
            return str(error if isinstance(error, HTTPError) else getattr(error, "reason", error))
        if md5_of(part) == md5:
            os.replace(part, path)
            return None
        part.unlink()
        if not stale:
            return "the file has the wrong digest"
        stale = False


def _stream(url: str, part: Path, progress: DownloadProgress | None) -> None:
    """Append to `part` what it still lacks; begin anew where the server does not know ranges."""
    have = _size(part)
    request = Request(url, headers={"User-Agent": "brittle"} | ({"Range": f"bytes={have}-"} if have else {}))
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing is missing: the digest decides
            return
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        length = response.headers.get("Content-Length")
        total = file.tell() + int(length) if length else None
        while chunk := response.read(CHUNK):
            file.write(chunk)
            if progress is not None:
                progress(part.name.removesuffix(".part"), file.tell(), total)
        file.flush()
        os.fsync(file.fileno())
        if total is not None and file.tell() < total:
            raise ConnectionError(f"cut after {file.tell()} of {total} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
