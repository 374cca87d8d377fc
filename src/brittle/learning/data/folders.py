"""A user's own pictures: folders by class, or a list of files with their labels."""

from __future__ import annotations

import csv
import math
import shutil
import warnings
from pathlib import Path

import torch

from brittle.ground import BrittleError

from .pictures import Pictures, sided
from .splits import DataSet, Named, assemble, only_tested

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation", "dev", "eval")
FILE, LABEL = ("file", "filename", "path", "image", "name"), ("label", "class", "target", "y")  # columns of a list
MOST_CLASSES = 100_000  # a larger label is a mistake, not a class

Listed = list[tuple[Path, int]]


def read_folder(name: str, path: Path) -> DataSet:
    """Pictures of PATH, or, brought to one size, of PATH@SIDE.

    - PATH/train/CLASS/* and PATH/test/CLASS/* (or val; small or capital letters), where a class of train may be missing
      or empty in test; PATH/test alone can be tested on, not learned from;
    - PATH/CLASS/*, with 20 % held out as the test part;
    - PATH.csv, which lists a file (from its own folder) and a label in each row, to be tested on: labels are numbers of
      classes, or names, whose sorted order counts.

    Classes are the sorted folder names, as torchvision takes them: a warning tells where such a place is not the number
    that a folder is called. Pictures may lie in folders below; beside files with the ending of a picture, others are
    left out. They are grey if all are grey, otherwise RGB; transparency is dropped.

    Raises:
        BrittleError: no such place, fewer than two classes, a class without pictures in the part that numbers them, an
            unreadable picture, or different sizes and no side.
    """
    root, side = sided(path)
    if root.suffix == ".csv":
        classes, listed = _listed_in(name, root)
        return only_tested(name, classes, _read(root.parent, listed, side))
    if not root.is_dir():
        raise BrittleError(f"{name}: there is no folder {root}; give the folder that holds one folder for each class")
    train, test = _parts(name, root)
    first = train or test or root
    classes = _classes(first)
    found = {first: _list(first, classes, whole=True)}
    if train and test:
        found[test] = _list(test, classes, whole=False)
    read = {place: _read(root, listed, side) for place, listed in found.items()}
    if train is None and test is not None:
        return only_tested(name, classes, read[test])
    return assemble(name, classes, read[train or root], read[test] if test else None, shuffle=True)


def _parts(name: str, root: Path) -> tuple[Path | None, Path | None]:
    """The folders to learn from and to test on, where there are such: folders of folders."""
    parts = [one for one in _folders(root) if _folders(one)]
    inside = {one.name.lower(): one for one in parts}
    if len(inside) < len(parts):
        raise BrittleError(
            f"{name}: two of {', '.join(one.name for one in parts)} differ in capitals alone; rename one"
        )
    train, test = (next((inside[one] for one in names if one in inside), None) for names in (TRAIN, TEST))
    beside = sorted(one.name for one in parts if one not in (train, test))
    if train and not test and beside:
        raise BrittleError(
            f"{name}: is {beside[0]}, beside {train.name}, what to test on? Then call it test; else move it"
        )
    return train, test


def _folders(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))


def _read(root: Path, listed: Listed, side: int | None) -> Named:
    pictures = Pictures.of([file for file, _ in listed], side)
    names = tuple(str(file.relative_to(root) if file.is_relative_to(root) else file) for file, _ in listed)
    return pictures, torch.tensor([label for _, label in listed]), names


def _classes(root: Path) -> tuple[str, ...]:
    found = tuple(one.name for one in _folders(root))
    if len(found) < 2:
        count = f"only one class folder ({found[0]})" if found else "no class folders"
        raise BrittleError(f"{root}: {count} in it; make one folder of pictures for each of at least two classes")
    other = next((one for k, one in enumerate(found) if one.isdecimal() and int(one) != k), None)
    if other is not None and all(map(str.isdecimal, found)):
        warnings.warn(
            f"{root}: folder {other} is class number {found.index(other)}, its place among the sorted names; if the "
            "model means the numbers, give a list of files and labels: folder:LIST.csv",
            stacklevel=2,
        )
    return found


def _list(root: Path, classes: tuple[str, ...], whole: bool) -> Listed:
    """(picture, label) of every file in the class folders, in a fixed order; `whole`: no class may be empty."""
    if strange := sorted({one.name for one in _folders(root)} - set(classes)):
        raise BrittleError(
            f"{root}: class {strange[0]!r} has no folder in {root.parent / 'train'}; add it, or remove it"
        )
    found: Listed = []
    for label, name in enumerate(classes):
        inside = sorted((root / name).rglob("*")) if (root / name).is_dir() else []
        shown = [p for p in inside if not any(q.startswith(".") for q in p.relative_to(root).parts)]
        if broken := next((p for p in shown if p.is_symlink() and not p.exists()), None):
            raise BrittleError(f"{broken}: a link to nothing; fetch what it stands for, or remove it")
        found += [(p, label) for p in shown if p.is_file()]
    endings = _endings()
    pictures = [one for one in found if one[0].suffix.lower() in endings] or found
    filled = {label for _, label in pictures}
    if not pictures:
        raise BrittleError(f"{root}: no pictures in it; add some")
    if whole and (empty := [name for label, name in enumerate(classes) if label not in filled]):
        raise BrittleError(f"{root / empty[0]}: no pictures in it; add some, or remove the class")
    return pictures


def _endings() -> set[str]:
    """Of the kinds of pictures that Pillow reads, such as `.png`."""
    from PIL import Image  # here, because only pictures need it

    return {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def _listed_in(name: str, path: Path) -> tuple[tuple[str, ...], Listed]:
    """Classes, and (picture, label) of every row of a list."""
    if not path.is_file():
        raise BrittleError(f"{name}: there is no file {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = {text.strip().lower(): text for text in rows.fieldnames or ()}
            wanted = [next((columns[one] for one in names if one in columns), None) for names in (FILE, LABEL)]
            if None in wanted:
                hint = "; separate them by commas" if len(columns) < 2 else ""
                raise BrittleError(
                    f"{path}: its first line must name the columns file and label, not {list(columns)}{hint}"
                )
            said = [tuple(str(row[column] or "").strip() for column in wanted) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BrittleError(f"{path}: not a list of files and labels ({error})") from None
    if not said:
        raise BrittleError(f"{path}: lists no pictures; give a file and a label in each row")
    if broken := next((k for k, row in enumerate(said, 1) if not all(row)), 0):
        raise BrittleError(f"{path}: row {broken} has no file and label")
    classes, places = _classes_of(path, {label for _, label in said})
    return classes, [(path.parent / file, places[label]) for file, label in said]


def _classes_of(path: Path, labels: set[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes, and the place of each label among them: labels are their numbers, or their names.

    Raises:
        BrittleError: some are numbers and some are names, or a number is no whole one or counts no class.
    """
    numbers = {label: number for label in labels if (number := _number(label)) is not None}
    if not numbers:
        classes = tuple(sorted(labels))
        return classes, {label: place for place, label in enumerate(classes)}
    strange = labels - set(numbers) or {
        one for one, k in numbers.items() if not (k.is_integer() and 0 <= k < MOST_CLASSES)
    }
    if strange:
        raise BrittleError(f"{path}: label {min(strange)!r} among numbers of classes; give 0, 1, 2 ..., or names alone")
    return tuple(map(str, range(int(max(numbers.values())) + 1))), {one: int(k) for one, k in numbers.items()}


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # a class may be called nan


def write_folder(path: Path, data: DataSet) -> None:
    """Write a data set as PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, which `read_folder` reads back to the same
    pixels.

    What is learned from and what is chosen by (train and validation) stand together under train/. The folder gets its
    name when it is whole; one that is there already is replaced.

    Raises:
        BrittleError: images that are neither grey nor RGB, or a place that cannot be written.
    """
    from PIL import Image  # here, because only folders need it

    if data.shape[0] not in (1, 3):
        raise BrittleError(
            f"{path}: images of {data.shape[0]} channels are no pictures; only grey and RGB ones are written"
        )
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for folder, splits in (("train", (data.train, data.validation)), ("test", (data.test,))):
            for k, name in enumerate(data.classes):
                place = part / folder / f"{k:03}-{name.replace('/', '-')}"
                place.mkdir(parents=True)
                chosen = torch.cat([split.images[split.labels == k] for split in splits]).numpy()
                for row, image in enumerate(chosen):
                    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                        place / f"{row:06}.png"
                    )
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    except OSError as error:
        raise BrittleError(f"{path}: cannot be written ({error.strerror or error})") from error
