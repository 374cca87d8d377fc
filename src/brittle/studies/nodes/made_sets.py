"""The node that makes a data set."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.attacks import Threat
from brittle.ground import bit_key, pick_device, world
from brittle.learning import Split, load_tensors, write_made
from brittle.science import Construction, Part, check_set, check_source, join_parts, make_part, part_slices

from ..declare import declaration_of, hash_of
from .common import (
    Computation,
    DataSource,
    ModelRef,
    Node,
    NodeProgress,
    model_of,
    nodes_of_model,
    on_device,
    parts_of,
    run_record,
    subject_record,
    test_examples,
    write_json,
)


@dataclass(frozen=True)
class Make:
    """A data set made by `making` from a model and a part of a data set. Results: `set.safetensors` and `set.json`.

    Attributes:
        label: what the set is called: D_R, D_NR, D_rand, D_det, ...
        threat: in which the source model is tested first.
        n: the first images of the part, 0 for all.
        part: `train` or `test`.
        others: models that are not to be fooled.
    """

    label: str
    model: ModelRef
    data: DataSource
    construction: Construction
    threat: Threat
    n: int = 0
    seed: int = 0
    part: str = "train"
    others: tuple[ModelRef, ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        return ("set.safetensors", "set.json")

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return tuple(node for model in (self.model, *self.others) for node in nodes_of_model(model))

    @cached_property
    def title(self) -> str:
        return f"{self.name} by {self.model.title}"

    @property
    def name(self) -> str:
        """What the data are called."""
        return f"{self.label}{' (test)' if self.part == 'test' else ''} of {self.data.name}"

    @property
    def source(self) -> DataSource:
        """The data that it is made of."""
        return self.data

    @property
    def count(self) -> int:
        """How many images can be learned from, about: a tenth is held out."""
        return round(0.9 * len(self.split()))

    @cached_property
    def gradients(self) -> float:
        return len(self.split()) * self.construction.cost * (1 + len(self.others))

    def split(self) -> Split:
        """The images it is made of."""
        whole = self._whole()
        return whole.take(min(self.n or len(whole), len(whole)))

    def _whole(self) -> Split:
        return self.data.load().test if self.part == "test" else self.data.load().train

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, place, split = time.monotonic(), pick_device(device), self.split()
        loaded = model_of(self.model, results)
        model = on_device(loaded, device)
        others = [on_device(model_of(other, results), device) for other in self.others]
        source = check_source(self.label, model, split.take(slice(0, 200)).to(place), self.threat)
        slices = list(part_slices(len(split), place))
        work = {
            f"{bit_key(place)}-{which.start}-{which.stop}": partial(
                self.construct_part, model, split, which, others, place
            )
            for which in slices
        }
        parts: list[Part] = []
        yield NodeProgress(0, len(split), source["warning"] or self.label)
        for which, part in zip(slices, parts_of(folder, work), strict=False):
            parts.append(Part(**part))
            yield NodeProgress(which.stop, len(split), source["warning"] or f"{self.label}: {which.stop} images")
        if world().helps:
            return True
        whole = join_parts(parts)
        found = check_set(whole, self.construction, split.classes, self.seed)
        header = {
            "set": self.label,
            "data": self.data.name,
            "part": self.part,
            "making": declaration_of(self.construction),
            "seed": self.seed,
            "declaration": hash_of(self),
            "model": {"name": loaded.name, "digest": loaded.digest},
            "digest": split.digest,
        }
        write_made(folder, whole._asdict(), self.data.load().test, header)
        facts = subject_record(loaded, split, self.data, len(self._whole()))
        record = header | found | {"source": source} | facts
        write_json(folder / "set.json", record | run_record(device, started, self.seed))
        return True

    def construct_part(
        self, model: Any, split: Split, which: slice, others: Sequence[Any], place: torch.device
    ) -> dict[str, Tensor]:
        """One part of the set."""
        return make_part(model, split, self.construction, which, seed=self.seed, others=others, device=place)._asdict()


DataRef = DataSource | Make


def nodes_of_data(data: DataRef) -> tuple[Make, ...]:
    """The node that makes the data, if one does."""
    return (data,) if isinstance(data, Make) else ()


def examples_from(data: DataRef, results: Mapping[Node, Path], n: int) -> Split:
    """The first `n` images (0: all) that a model is asked about: test images, or those of the made set."""
    if isinstance(data, DataSource):
        return test_examples(data, n)
    tensors, header = load_tensors(results[data] / "set.safetensors")
    whole = Split(tensors["images"], tensors["labels"], tuple(header["classes"]), data.name)
    return whole.take(min(n or len(whole), len(whole)))


def example_count(data: DataRef, n: int) -> int:
    """How many images those are, about, before anything is made."""
    return n or len(data.split() if isinstance(data, Make) else data.load().test)


class ContactRow(NamedTuple):
    """A row of images on a contact sheet: what they are, uint8 [k, C, H, W], the names of their labels."""

    what: str
    images: Tensor
    labels: list[str]


def contact_rows(node: Make, made: Mapping[str, Tensor], count: int) -> list[ContactRow]:
    """The first images of a made set below those that they were made of and, where they were matched, started from.

    Args:
        made: the tensors of the set: `images`, `labels`, and for each image its `row` in the source and its `start` (or
            -1).
    """
    split, names = node.split(), node.split().classes

    def line(what: str, images: Tensor, labels: Tensor) -> ContactRow:
        return ContactRow(what, images, [names[label] for label in labels.tolist()])

    rows, starts = made["row"][:count], made["start"][:count]
    lines = [line("made of", split.take(rows).images, split.labels[rows])]
    if int(starts.min()) >= 0:
        lines.append(line("started from", split.take(starts).images, split.labels[starts]))
    return [*lines, line(node.label, made["images"][:count], made["labels"][:count])]
