"""Find, or download, the files of a data set and read them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from brittle.ground import BrittleError, cache_folder

from .fetch import DownloadProgress, fetch
from .spec import DataSpec, Files
from .splits import DataSet, Pair, Split, assemble
from .unpacking import read_bytes, read_members

NOT_ORIGINAL = "not the original pixels"  # in the name of a data set whose files are not the publisher's
LARGEST_MEMBER = 1 << 28  # bytes; CIFAR-100's images to learn from are 154 million


def read_files(
    spec: DataSpec, data_dir: Path | None = None, *, download: bool = True, progress: DownloadProgress | None = None
) -> DataSet:
    """The data set; it is called "NAME (not the original pixels)" if its files are not the publisher's.

    Raises:
        BrittleError: not found and not downloaded; damaged files.
    """
    name, files = spec.name, spec.files
    contents, where = {}, Path()
    if files.names:
        where = _find(name, files, data_dir, download, progress)
        contents = _read(where, files)
        name += "" if _is_original(contents, files.originals) else f" ({NOT_ORIGINAL})"

    def part(names: tuple[str, ...]) -> Pair:
        return files.parse({f"{where / one}": contents[one] for one in names})

    if files.train is None:
        test = Split(*part(files.test or ()), spec.classes, f"{name}/test")
        return DataSet(name, test.take(0), test.take(0), test)
    return assemble(name, spec.classes, part(files.train), None if files.test is None else part(files.test))


def _find(name: str, files: Files, data_dir: Path | None, download: bool, progress: DownloadProgress | None) -> Path:
    """The folder that holds all files: where they lie, or else where they were downloaded to."""
    listed = [Path(root).expanduser() for root in os.environ.get("BRITTLE_DATA", "").split(os.pathsep) if root]
    cache = cache_folder() / "data"
    roots = [*([data_dir] if data_dir else []), *listed, cache]
    places = list(dict.fromkeys(root / folder for root in roots for folder in files.folders))
    if where := next((place for place in places if _holds(place, files)), None):
        return where
    where = (data_dir or cache) / files.folders[0]
    _download(name, files, where, places, allowed=download, progress=progress)
    return where


def _file(place: Path, name: str) -> Path | None:
    """The plain or the gzipped file of this name."""
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _holds(place: Path, files: Files) -> bool:
    if files.archive and (place / files.archive).is_file():
        return True
    return all(_file(place, name) for name in files.names)


def _read(place: Path, files: Files) -> dict[str, bytes]:
    """Unpacked file name -> content."""
    found = {name: path for name in files.names if (path := _file(place, name))}
    if files.archive and len(found) < len(files.names):
        return read_members(place / files.archive, files.names, LARGEST_MEMBER)
    return {name: read_bytes(path) for name, path in found.items()}


def _is_original(contents: Mapping[str, bytes], originals: Mapping[str, str]) -> bool:
    """Whether every known digest is met; without known digests the structure must do."""
    digests = {name: hashlib.md5(contents[name], usedforsecurity=False).hexdigest() for name in originals}
    return digests == originals


def _download(
    name: str, files: Files, where: Path, places: list[Path], *, allowed: bool, progress: DownloadProgress | None
) -> None:
    """Fetch every file into `where`, or say in one line which is missing, where it was looked for, how to get it."""
    wanted = tuple(files.downloads) or files.names
    here_or_there = {file: any(_file(place, file.removesuffix(".gz")) for place in places) for file in wanted}
    for file in sorted(wanted, key=here_or_there.__getitem__):  # what is nowhere comes first
        addresses = [mirror + file for mirror in files.mirrors]
        try:
            if file not in files.downloads:
                raise BrittleError("it is not downloaded, since no digest of it is known")
            if not allowed:
                raise BrittleError("downloading is switched off")
            fetch(addresses, where / file, files.downloads[file], progress)
        except BrittleError as error:
            looked = ", ".join(map(str, places))
            how = f"get {(*addresses, file)[0]} elsewhere and put it into {where}, or set BRITTLE_DATA"
            raise BrittleError(f"{name}: no {file} in {looked}, and {error}; {how}") from error
