"""Find, or download, a well-known data set and read it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from brittle.ground import BrittleError

from .fetch import DownloadProgress, fetch
from .formats import parse_cifar, parse_idx, read_bytes, read_members
from .sources import SOURCES, Source
from .splits import DataSet, Pair, assemble

LARGEST_MEMBER = 10_000 * 3073  # bytes of one file of CIFAR-10


def read_named(name: str, data_dir: Path | None, *, download: bool, progress: DownloadProgress | None) -> DataSet:
    """The data set of `SOURCES` with this name; "NAME (not the original pixels)" if its files are not the publisher's.

    Raises:
        BrittleError: not found and not downloaded; damaged files.
    """
    source = SOURCES[name]
    own, cache = _own_roots(data_dir), _cache()
    places = list(dict.fromkeys(root / folder for root in (*own, cache) for folder in source.folders))
    where = next((place for place in places if _holds(place, source)), None)
    if where is None:
        where = (data_dir or cache) / source.folders[0]
        _download(name, source, where, places, allowed=download, progress=progress)
    contents = _read(where, source)
    if not _is_original(contents, source.originals):
        name = f"{name} (not the original pixels)"
    train, test = (_parse(contents, names, where) for names in (source.train, source.test))
    return assemble(name, source.classes, train, test)


def _own_roots(data_dir: Path | None) -> list[Path]:
    listed = os.environ.get("BRITTLE_DATA", "").split(os.pathsep)
    return [*([data_dir] if data_dir else []), *(Path(root).expanduser() for root in listed if root)]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brittle" / "data"


def _file(place: Path, name: str) -> Path | None:
    """The plain or the gzipped file of this name."""
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _holds(place: Path, source: Source) -> bool:
    if source.archive and (place / source.archive).is_file():
        return True
    return all(_file(place, name) for name in (*source.train, *source.test))


def _read(place: Path, source: Source) -> dict[str, bytes]:
    """Unpacked file name -> content."""
    names = (*source.train, *source.test)
    files = {name: path for name in names if (path := _file(place, name))}
    if source.archive and len(files) < len(names):
        return read_members(place / source.archive, names, LARGEST_MEMBER)
    return {name: read_bytes(path) for name, path in files.items()}


def _is_original(contents: Mapping[str, bytes], originals: Mapping[str, str]) -> bool:
    """Whether every known digest is met; without known digests the structure must do."""
    digests = {name: hashlib.md5(contents[name], usedforsecurity=False).hexdigest() for name in originals}
    return digests == originals


def _parse(contents: Mapping[str, bytes], names: tuple[str, ...], where: Path) -> Pair:
    if names[0].endswith(".bin"):
        parts = [parse_cifar(contents[name], f"{where / name}") for name in names]
        return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])
    images, labels = names
    x = parse_idx(contents[images], f"{where / images}", ndim=3)
    return x[:, None], parse_idx(contents[labels], f"{where / labels}", ndim=1).to(torch.int64)


def _download(
    name: str, source: Source, where: Path, places: list[Path], *, allowed: bool, progress: DownloadProgress | None
) -> None:
    """Fetch every file into `where`, or say in one line which is missing, where it was looked for, how to get it."""
    here_or_there = {file: any(_file(place, file.removesuffix(".gz")) for place in places) for file in source.downloads}
    for file in sorted(source.downloads, key=here_or_there.__getitem__):  # what is nowhere comes first
        try:
            if not allowed:
                raise BrittleError("downloading is switched off")
            fetch([mirror + file for mirror in source.mirrors], where / file, source.downloads[file], progress)
        except BrittleError as error:
            looked = ", ".join(map(str, places))
            how = f"get {source.mirrors[0]}{file} elsewhere and put it into {where}, or set BRITTLE_DATA"
            raise BrittleError(f"{name}: no {file} in {looked}, and {error}; {how}") from error
