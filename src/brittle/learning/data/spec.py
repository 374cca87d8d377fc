"""What is known of a data set: where its files are, how they are read, and how it is usually learned and attacked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brittle.ground import BrittleError

from .augment import Augment
from .splits import DataSet, Pair

Parser = Callable[[Mapping[str, bytes]], Pair]  # path (for errors) -> unpacked content, in the order of the names
Reader = Callable[[str, Path], DataSet]  # ("NAME:PATH", what PATH is) -> the data


@dataclass(frozen=True)
class Files:
    """The files of a data set that has a place of its own, and the function that reads them.

    Args:
        parse: gives images uint8 [n, C, H, W] and labels int64 [n] of the unpacked files of one part, in an order whose
            first n are a fair sample.
        train: names of the unpacked files; () if `parse` needs none, None if there is nothing to learn from.
        test: likewise; None holds out 20 % of what `train` gives.
        folders: where they may lie under a data folder; a download goes into the first.
        mirrors: addresses that the names of `downloads` are appended to.
        downloads: name of a file as it is downloaded -> MD5. What is not among them is never downloaded.
        originals: name of an unpacked file -> MD5 of the publisher's content, where known.
        archive: the download that holds the unpacked files, if it is a tar archive.
    Raises:
        BrittleError: downloads that would not give all files.
    """

    parse: Parser
    train: tuple[str, ...] | None = ()
    test: tuple[str, ...] | None = None
    folders: tuple[str, ...] = (".",)
    mirrors: tuple[str, ...] = ()
    downloads: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)
    archive: str | None = None

    def __post_init__(self) -> None:
        needed = {self.archive} if self.archive else set(self.names)
        if self.downloads and not needed <= {*self.downloads, *(file.removesuffix(".gz") for file in self.downloads)}:
            raise BrittleError(f"{', '.join(self.downloads)} do not give {', '.join(self.names)}; name every download")

    @property
    def names(self) -> tuple[str, ...]:
        """The unpacked files of both parts."""
        return (*(self.train or ()), *(self.test or ()))


@dataclass(frozen=True)
class DataSpec:
    """All that `brittle` knows of a data set before it is read: one entry is enough for a new one.

    An installed package adds its own through an entry point of the group `brittle.data_sets` that loads to a `DataSpec`
    or to a list of them; a program through `register_data`.

    Args:
        name: as in `load(name)`: letters, digits, dots, hyphens, underscores.
        what: a few words on it.
        source: its `Files`; or the function that reads NAME:PATH, where the data lie wherever the user says.
        shape: (C, H, W), None where the data decide.
        classes: the name of every class, in the order of the labels; () where the data decide.
        mean, std: per channel, for `Normalize`; () where nothing is usual, which means 0 and 1.
        augment: what it is usually trained with.
        threats: what models of it are usually attacked in, as texts: "Linf:8/255".
    Raises:
        BrittleError: a name that cannot be typed, files without classes, a mean and std of other channels.
    """

    name: str
    what: str
    source: Files | Reader
    shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augment: Augment = Augment()
    threats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise BrittleError(f"a data set cannot be called {self.name!r}; use letters, digits, dots and hyphens")
        if isinstance(self.source, Files) and not self.classes:
            raise BrittleError(f"{self.name}: name its classes, in the order of the labels")
        channels = {len(self.mean), len(self.std), *([self.shape[0]] if self.shape and self.mean else [])}
        if len(channels) > 1:
            raise BrittleError(f"{self.name}: mean and std need one value for each channel, or none at all")

    @property
    def typed(self) -> str:
        """What a user types: the name, and whether a path belongs to it."""
        return self.name if isinstance(self.source, Files) else f"{self.name}:PATH"

    @property
    def files(self) -> Files:
        """Its files.

        Raises:
            BrittleError: they are at a path that only the user knows.
        """
        if not isinstance(self.source, Files):
            raise BrittleError(f"{self.name}: say where it is, {self.typed}")
        return self.source
