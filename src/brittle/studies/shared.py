"""Results behind a URL (S3, GCS, any other that fsspec knows), for machines that share no folder."""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from brittle.ground import BrittleError, first_line

LEASE = 60.0  # seconds without a beat after which the holder of a lock counts as dead


class Shared:
    """A place of results. The files of `KEY/` are named by their SHA-256; `KEY/entry.json` says which they are, is
    written last, and only if there is none: of two machines that made the same result, the first is believed.

    Args:
        url: such as `s3://bucket/folder`.
    Raises:
        BrittleError: a URL that cannot be used; from every method too.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # here, because only this needs it

        self.url = url
        options = {"auto_mkdir": True} if url.startswith(("file:", "local:")) else {}
        try:
            self.files, path = fsspec.url_to_fs(url, **options)
        except Exception as error:  # each kind of store has its own
            raise BrittleError(f"results cannot be kept in {url} ({first_line(error)})") from error
        self.path = path.rstrip("/")

    def publish(self, key: str, folder: Path) -> bool:
        """Send the files that the entry in `folder` names, then the entry; false if there was an entry already."""
        there = f"{self.path}/{key}"
        entry = (folder / "entry.json").read_bytes()
        with self._usable():
            if self.files.exists(f"{there}/entry.json"):
                return False
            for name, digest in json.loads(entry)["files"].items():
                if not self._whole(f"{there}/{digest}", (folder / name).stat().st_size):
                    self.files.put_file(str(folder / name), f"{there}/{digest}")
            return self._create(f"{there}/entry.json", entry)

    def fetch(self, key: str, folder: Path) -> bool:
        """Copy a result into `folder`, as it is; false if there is none."""
        there = f"{self.path}/{key}"
        with self._usable():
            try:
                entry = self.files.cat_file(f"{there}/entry.json")
            except FileNotFoundError:
                return False
            if not entry:  # it is being written
                return False
            folder.mkdir(parents=True)
            (folder / "entry.json").write_bytes(entry)
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # whoever reads it sees
                for name, digest in json.loads(entry)["files"].items():
                    self.files.get_file(f"{there}/{digest}", str(folder / Path(name).name))
            return True

    def forget(self, key: str) -> None:
        """Remove a result: its entry first, so that nobody sees half of it."""
        with self._usable():
            for path in (f"{self.path}/{key}/entry.json", f"{self.path}/{key}"):
                with suppress(FileNotFoundError):
                    self.files.rm(path, recursive=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Held while a result is made. Whoever holds it writes a new word into it four times a `LEASE`; where the word
        stays the same for a whole one, by the clock of who waits, or the holder was a process of this machine that is
        gone, the lock is taken over. (Two that take it over at once both work, and the first result counts.)"""
        path, ended = f"{self.path}/{key}.lock", threading.Event()
        name = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
        with self._usable():
            self._acquire(path, name)

        def beat() -> None:
            count = 0
            while not ended.wait(LEASE / 4):
                count += 1
                with suppress(Exception):  # a beat may be lost; the next one is due soon
                    self.files.pipe_file(path, f"{name} {count}".encode())

        beating = threading.Thread(target=beat, daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(Exception):  # left behind, it is taken over later
                if self.files.cat_file(path).startswith(name.encode()):
                    self.files.rm_file(path)

    def _acquire(self, path: str, name: str) -> None:
        seen, since = b"", time.monotonic()
        while not self._create(path, name.encode()):
            try:
                found = self.files.cat_file(path)
            except FileNotFoundError:
                continue
            if found != seen:
                seen, since = found, time.monotonic()
            if time.monotonic() - since > LEASE or _gone(found):
                with suppress(FileNotFoundError):
                    self.files.rm_file(path)
            else:
                time.sleep(min(1.0, LEASE / 10))

    def _create(self, path: str, content: bytes) -> bool:
        """Write a file that is not there; false if it is."""
        try:
            with self.files.open(path, "xb") as file:
                file.write(content)
            return True
        except FileExistsError:
            return False

    def _whole(self, path: str, size: int) -> bool:
        try:
            return bool(self.files.info(path)["size"] == size)
        except FileNotFoundError:
            return False

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            self.files.invalidate_cache()  # other machines write too
            yield
        except BrittleError:
            raise
        except Exception as error:  # each kind of store has its own
            raise BrittleError(f"results cannot be kept in {self.url} ({first_line(error)})") from error


def _gone(holder: bytes) -> bool:
    """Whether the holder of a lock was a process of this machine that has ended."""
    machine, process, *_ = [*holder.decode(errors="replace").split(), "", ""]
    if machine != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it lives, and belongs to somebody else
        return False
    return False
