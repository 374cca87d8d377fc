"""Any data set by its name."""

from __future__ import annotations

import difflib
from pathlib import Path

from brittle.ground import BrittleError

from .catalogue import available, broken_packages, find_spec
from .fetch import DownloadProgress
from .files import read_files
from .spec import Files
from .splits import DataSet


def load(
    name: str | Path,
    data_dir: Path | str | None = None,
    *,
    download: bool = True,
    progress: DownloadProgress | None = None,
) -> DataSet:
    """The data set of this name, in host memory.

    Args:
        name: one of `available`, as it is typed.
        data_dir: looked in first; then each folder of $BRITTLE_DATA; then the user's cache ($XDG_CACHE_HOME or
            ~/.cache, in brittle/data). A download goes into `data_dir`, or else into the cache.
        download: whether what is not found may be downloaded.
        progress: told (file name, bytes so far, bytes in all or None) during a download.
    Raises:
        BrittleError: an unknown name; data not found; damaged or unfit data.
    """
    if not isinstance(name, str | Path):
        raise BrittleError(f"a data set is named by a text, such as 'digits' or 'npz:PATH', not {type(name).__name__}")
    name = str(name)
    kind, _, path = name.partition(":")
    spec = find_spec(kind)
    if spec is None or isinstance(spec.source, Files) == bool(path):
        raise _unknown(name)
    try:
        if isinstance(spec.source, Files):
            return read_files(
                spec, Path(data_dir).expanduser() if data_dir else None, download=download, progress=progress
            )
        return spec.source(name, Path(path).expanduser())
    except OSError as error:
        raise BrittleError(f"{name}: {error}; check the path and its permissions") from error


def _unknown(name: str) -> BrittleError:
    names = [spec.typed for spec in available()]
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(names)}"
    return BrittleError("; ".join((f"no data set is called {name!r}; {hint}", *broken_packages())))
