"""Results by the hash of their declaration: written whole or not at all, digests checked when they are read."""

import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from brittle.ground import OWN_CODE, BrittleError, cache_folder, plain_name, write_bytes

from .declare import key_of
from .shared import Shared


class Store:
    """A folder of results, in one below it for each state of this package's code. There `HASH/` is finished work;
    `HASH.work/` is work that goes on, or that was interrupted.

    Args:
        place: the folder, which machines may share, or a URL (see `Shared`), whose results are kept in a folder here
            too; default `$BRITTLE_STORE`, or `brittle/store` in the user's cache.
        cache: the folder here that goes with a URL; default one in the user's cache.
        code: the `OWN_CODE` of whoever gives the work out, where that is another process.
    Raises:
        BrittleError: there is neither, or other code runs here; and from every method, the place cannot be used.
    """

    def __init__(self, place: Path | str | None = None, cache: Path | None = None, code: str | None = None) -> None:
        asked = str(place or os.environ.get("BRITTLE_STORE") or cache_folder() / "store")
        if code not in (None, OWN_CODE):
            raise BrittleError(
                f"another state of brittle's code runs on {socket.gethostname()} than where the work was given out"
            )
        part = f"code-{OWN_CODE[:12]}"
        self.shared = Shared(f"{asked.rstrip('/')}/{part}") if "://" in asked else None
        self.base = Path(asked).absolute()
        if self.shared:
            self.base = cache or cache_folder() / "stores" / plain_name(asked)
        self.place = asked if self.shared else str(self.base)
        self.root = self.base / part

    def read(self, key: str, results: tuple[str, ...] = ()) -> tuple[Path | None, str | None]:
        """The folder of a finished result, or none; and, where an entry was damaged, a line that says so (it is
        removed).

        Args:
            results: files that must be among those of the entry.
        """
        folder = self.root / key
        with self._usable():
            if not folder.is_dir():
                return self._fetched(key, results)
            wrong = _wrong(folder, key, results)
            if not wrong:
                return folder, None
            shutil.rmtree(folder)
            found, warning = self._fetched(key, results)
        return found, None if found else warning or _damaged(key, wrong)

    def _fetched(self, key: str, results: tuple[str, ...]) -> tuple[Path | None, str | None]:
        """The same of what is behind the URL, copied here."""
        if not self.shared:
            return None, None
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=f".{key[:12]}.", ignore_cleanup_errors=True) as part:
            copy = Path(part) / key
            if not self.shared.fetch(key, copy):
                return None, None
            if wrong := _wrong(copy, key, results):  # `finish`, which holds the lock, removes it
                return None, _damaged(key, wrong)
            with suppress(OSError):  # another process was quicker
                os.replace(copy, self.root / key)
        return self.root / key, None

    def work(self, key: str) -> Path:
        """The folder in which the result is made; what an interrupted run left there is still in it."""
        folder = self.root / f"{key}.work"
        with self._usable():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def finish(self, key: str, declaration: Any, results: tuple[str, ...]) -> Path:
        """Make the work folder the result: digests of the files that stay, one rename, and only then the rest is
        removed."""
        work, folder = self.work(key), self.root / key
        files = {name: _digest(work / name) for name in results}
        write_bytes(work / "entry.json", json.dumps({"declaration": declaration, "files": files}, indent=1).encode())
        while self.shared and not self.shared.publish(key, work):  # another machine was first: what it found counts
            if self._fetched(key, results)[0]:
                shutil.rmtree(work)
                return folder
            self.shared.forget(key)
        try:
            os.replace(work, folder)
        except OSError:
            if _wrong(folder, key, results):
                raise
            shutil.rmtree(work)  # another process here has fetched it meanwhile
            return folder
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in (*results, "entry.json"):
                path.unlink(missing_ok=True)
        return folder

    def forget(self, key: str) -> None:
        """Remove a result and any work towards it."""
        for folder in (self.root / key, self.root / f"{key}.work"):
            shutil.rmtree(folder, ignore_errors=True)
        if self.shared:
            self.shared.forget(key)

    def held(self, key: str) -> bool:
        """Whether another process over the same folder makes the result now, so that `lock` would wait."""
        try:
            with FileLock(self.root / f"{key}.lock", blocking=False):
                return False
        except Timeout:
            return True
        except OSError:  # `lock` says what is wrong
            return False

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held while the result is made, so that two processes do not make it at once. It ends with its process."""
        lock = FileLock(self.root / f"{key}.lock")
        with self._usable():
            self.root.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            with self.shared.lock(key) if self.shared else nullcontext():
                yield
        finally:
            lock.release()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise BrittleError(
                f"results cannot be kept in {self.root} ({why}); set BRITTLE_STORE to a folder that can be written"
            ) from None


def _wrong(folder: Path, key: str, results: tuple[str, ...]) -> list[str]:
    """The files of an entry that are not what it says; `entry.json` where that is not the entry of `key`."""
    try:
        entry = json.loads((folder / "entry.json").read_text())
        digests = dict.fromkeys(results) | entry["files"]
        if key_of(entry["declaration"]) != key:
            return ["entry.json"]
        return [name for name, digest in digests.items() if _digest(folder / name) != digest]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
        return ["entry.json"]  # a disk that fails at the moment is not taken for damage


def _damaged(key: str, wrong: list[str]) -> str:
    return f"the stored result {key[:12]} was damaged ({', '.join(wrong)}) and is computed again"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
