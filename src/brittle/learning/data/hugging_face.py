"""Data sets of Hugging Face's library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from brittle.ground import BrittleError, first_line, package

from ..reach import reached
from .pictures import Pictures, Stored, sided
from .splits import DataSet, Named, assemble, only_tested

TEST, LABELS = ("test", "validation", "val"), ("label", "labels", "fine_label")


def read_hugging_face(name: str, path: Path) -> DataSet:
    """What `datasets.Dataset.save_to_disk` wrote into PATH, or else what its library knows by that name; PATH@SIDE
    resizes and cuts pictures as `folder:` does.

    The column of pictures is the one of that type; labels stand in `label`, and are numbers of classes, or names, whose
    sorted order counts. A set without a train part can be tested
    on, not learned from.

    Raises:
        BrittleError: the library is not installed, knows no such set, or the set holds no pictures with labels.
    """
    datasets = package("datasets", name, "hub")
    place, side = sided(path)
    try:
        with reached(str(place), name):
            found: Any = datasets.load_from_disk(str(place)) if place.is_dir() else datasets.load_dataset(str(place))
    except Exception as error:
        raise BrittleError(
            f"{name}: cannot be read as a data set of Hugging Face ({first_line(error)}); give a folder that "
            "`save_to_disk` wrote"
        ) from None
    parts = dict(found) if isinstance(found, dict) else {"test": found}
    test = next((parts[one] for one in TEST if one in parts), None)
    some = test if test is not None else next(iter(parts.values()))
    pictures = next((one for one, kind in some.features.items() if isinstance(kind, datasets.Image)), None)
    labels = next((one for one in LABELS if one in some.features), None)
    if pictures is None or labels is None:
        kinds = ", ".join(f"{one} ({type(kind).__name__})" for one, kind in some.features.items())
        wanted = f"a column of type datasets.Image and one called {', '.join(LABELS[:-1])} or {LABELS[-1]}"
        raise BrittleError(f"{name}: it needs {wanted}, and has {kinds}; use cast_column or rename_column")
    if test is None and "train" not in parts:
        raise BrittleError(f"{name}: has neither a train nor a test part, only {', '.join(parts)}")
    asked = [rows for rows in (parts.get("train"), test) if rows is not None]
    if any(one not in rows.column_names for rows in asked for one in (pictures, labels)):
        raise BrittleError(f"{name}: columns {pictures} and {labels} do not stand in both its train and its test part")
    words = sorted({one for rows in asked for one in rows[labels] if isinstance(one, str)})
    places = {word: place for place, word in enumerate(words)}

    def read(rows: Any) -> Named:
        shown = rows.select_columns([pictures]).cast_column(pictures, datasets.Image(decode=False))
        numbers = [places[one] if isinstance(one, str) else one for one in rows[labels]]
        if strange := [one for one in numbers if not isinstance(one, int)]:
            raise BrittleError(
                f"{name}: column {labels} holds {strange[0]!r}, which is no class; give numbers or names"
            )
        return Pictures.of(Column(shown, pictures), side), torch.tensor(numbers, dtype=torch.int64), ()

    learned, tested = (None if rows is None else read(rows) for rows in (parts.get("train"), test))
    known = getattr(some.features[labels], "names", None) or words
    count = 1 + max(int(one[1].max()) for one in (learned, tested) if one)
    classes = tuple(known or map(str, range(count)))
    if learned is None:
        assert tested is not None
        return only_tested(name, classes, tested)
    return assemble(name, classes, learned, tested, shuffle=True)


class Column(Sequence[Stored]):
    """The pictures of a column, as they are stored."""

    def __init__(self, rows: Any, name: str) -> None:
        self.rows, self.name = rows, name

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        found = self.rows[place][self.name]
        return found["bytes"] if found["bytes"] is not None else Path(found["path"])
