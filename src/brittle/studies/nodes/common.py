"""What nodes are made of: their protocol, data sets and models as declarations, the facts that every record carries."""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec
from torch import Tensor, nn

from brittle.attacks import Detector, straight_through
from brittle.audits import DataRecord, ModelRecord, TrainingRecord, provenance
from brittle.ground import BrittleError, first_line, pick_device, world, write_bytes
from brittle.learning import (
    Classifier,
    DataSet,
    Inputs,
    Loaded,
    Split,
    behaviour_of,
    load,
    load_model,
    load_tensors,
    save_tensors,
)


class NodeProgress(NamedTuple):
    """Progress inside a node: done, total, and a line that says where it stands."""

    done: int
    total: int
    text: str


Computation = Generator[NodeProgress, None, bool]  # returns whether the result is complete


@runtime_checkable
class Node(Protocol):
    """A declaration: what it needs first, and how it is computed.

    `compute` writes into `folder` and finds what the node needs in `results`, the folder of each node; `results` of a
    node names the files that stay; `gradients` is about what it costs, in gradients of one example with respect to the
    input.
    """

    @property
    def needs(self) -> tuple["Node", ...]: ...
    @property
    def title(self) -> str: ...
    @property
    def results(self) -> tuple[str, ...]: ...
    @property
    def gradients(self) -> float: ...
    def compute(self, folder: Path, results: Mapping["Node", Path], device: str) -> Computation: ...
    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class DataSource:
    """A data set by its name and the SHA-256 of what is in it; where a known one was found does not matter."""

    name: str
    digest: str
    folder: str | None = field(default=None, compare=False)
    given: str = field(default="", compare=False)

    @classmethod
    def of(cls, name: str, data_dir: Path | None = None) -> "DataSource":
        """The data set called `name`, loaded once to know its content."""
        data = _data(name, str(data_dir) if data_dir else None)
        return cls(data.name, _digest_of(data), str(data_dir) if data_dir else None, name)

    def load(self) -> DataSet:
        """The data.

        Raises:
            BrittleError: what is found under this name has changed, or is another on this machine.
        """
        data = _data(self.typed, self.folder)
        if _digest_of(data) != self.digest:
            raise BrittleError(f"the data set {self.typed} on {socket.gethostname()} is another than the one asked for")
        return data

    @property
    def typed(self) -> str:
        """As it is called on the command line."""
        return self.given or self.name

    @property
    def source(self) -> "DataSource":
        """Itself; made data (`Make`) name what they were made of."""
        return self

    @property
    def count(self) -> int:
        """How many images can be learned from."""
        return len(self.load().train)


@lru_cache(maxsize=2)  # data sets are large
def _data(name: str, folder: str | None) -> DataSet:
    return load(name, Path(folder) if folder else None)


def _digest_of(data: DataSet) -> str:
    """Of the images and labels; of a user's own also of the names of classes and files, which records carry."""
    digest = data.train.digest[:32] + data.test.digest[:32]
    if ":" not in data.name:
        return digest
    return hashlib.sha256(json.dumps([digest, data.classes, data.test.files]).encode()).hexdigest()


@dataclass(frozen=True)
class File:
    """A model from outside, known by a digest of its content, and by what it is called: records name it, and a command
    with that name must go on to mean it.

    Attributes:
        content: what must be found where it is loaded again; "": that cannot be known.
    """

    spec: str
    digest: str
    weights: str | None = None
    inputs: Inputs = field(default=Inputs(), compare=False)
    content: str = field(default="", compare=False)
    data: DataSource | None = field(default=None, compare=False, repr=False)  # whose shape one of our nets takes
    loaded: Loaded | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"loaded": None}  # another process loads it itself: not every model can be sent

    @classmethod
    def of(
        cls, spec: str, weights: Path | None = None, inputs: Inputs | None = None, data: DataSource | None = None
    ) -> "File":
        """The model that `spec` names (see `load_model`)."""
        loaded = load_model(spec, weights, inputs, data.load() if data else None)
        content = loaded.digest if loaded.known else ""
        return cls(spec, loaded.digest, loaded.weights, inputs or Inputs(), content, data, loaded)

    def tried_on(self, data: DataSource) -> "File":
        """The same model, known by its answers and gradients on some images too where it is imported code, which may
        depend on more than its sources and weights: what is read from elsewhere, or drawn. In doubt it is another
        model."""
        loaded = self.load()
        if not loaded.imported:
            return self
        answers = behaviour_of(loaded.model, test_examples(data, PROBES).x())
        return replace(self, digest=hashlib.sha256(f"{self.digest} {answers}".encode()).hexdigest())

    @cached_property
    def title(self) -> str:
        return self.load().name

    def load(self) -> Loaded:
        """The model itself.

        Raises:
            BrittleError: what is found there has changed, or is another on this machine.
        """
        if self.loaded:
            return self.loaded
        weights, data = Path(self.weights) if self.weights else None, self.data.load() if self.data else None
        found = load_model(self.spec, weights, self.inputs, data)
        if self.content and found.digest != self.content:
            raise BrittleError(f"the model {self.spec} on {socket.gethostname()} is another than the one asked for")
        return found


ModelRef = Node | File
PROBES = 16  # images on which imported code is tried


def nodes_of_model(model: ModelRef) -> tuple[Node, ...]:
    """The node that makes the model, if it is not a file."""
    return () if isinstance(model, File) else (model,)


def model_of(model: ModelRef, results: Mapping[Node, Path]) -> Loaded:
    """The model, from its file or from the folder of the node that made it; such a folder's place does not matter."""
    if isinstance(model, File):
        return model.load()
    return replace(load_model(str(results[model] / "model.safetensors")), name=model.title, source=model.title)


def test_examples(source: DataSource, n: int) -> Split:
    """The first `n` test images, or all (0)."""
    test = source.load().test
    return test.take(min(n, len(test)) if n else len(test))


def subject_of(
    loaded: Loaded, split: Split, source: DataSource, of: int | None = None
) -> tuple[ModelRecord, DataRecord]:
    """What a record says of its model and of its data; `of`: how many images there are where `split` was taken from, by
    default the test part."""
    header = loaded.header or {}
    training = TrainingRecord(
        **{key: header.get(key) for key in ("goal", "epochs", "net", "history")},
        threat=", ".join(header.get("threats", ())),
    )
    net = loaded.model
    model = ModelRecord(
        name=loaded.name,
        source=loaded.source,
        weights=loaded.weights,
        inputs=loaded.inputs,
        digest=loaded.digest if loaded.known else "",
        parameters=sum(value.numel() for value in net.parameters()) if isinstance(net, nn.Module) else None,
        training=training if header else None,
    )
    return model, DataRecord(
        split.name,
        len(split),
        len(source.load().test) if of is None else of,
        list(split.classes),
        split.digest,
        source.typed,
        list(split.files),
        list(split.rows),
        source.folder or "",
    )


def subject_record(loaded: Loaded, split: Split, source: DataSource, of: int | None = None) -> dict[str, Any]:
    """The same as plain JSON."""
    model, data = subject_of(loaded, split, source, of)
    return {"model": msgspec.to_builtins(model), "data": msgspec.to_builtins(data)}


def on_device(loaded: Loaded, device: str) -> Any:
    """The model on its device.

    Raises:
        BrittleError: it cannot be brought there: it has no weights, or is too large.
    """
    if not isinstance(loaded.model, nn.Module):
        return loaded.model
    place = pick_device(device)
    try:
        return loaded.model.to(place)
    except RuntimeError as error:
        raise BrittleError(
            f"{loaded.name} cannot be brought to {place} ({first_line(error)}); try --device cpu"
        ) from None


def defended(model: Any, bpda: tuple[str, ...], reject: int | None) -> Any:
    """The model as an attack should see it: gradients pass straight through some modules, and a class rejects."""
    inside = {name for name, _ in model.named_modules()} if isinstance(model, Classifier) else set(bpda)
    through = straight_through(model, [name if name in inside else f"model.{name}" for name in bpda])
    return through if reject is None else Detector(through, reject)


def run_record(device: str, started: float, seed: int) -> dict[str, Any]:
    """How a record was made: hardware, versions, seed, command, and the seconds since `started` (monotonic)."""
    return {"run": provenance(pick_device(device), time.monotonic() - started, seed)}


def parts_of(folder: Path, work: Mapping[str, Callable[[], Mapping[str, Tensor]]]) -> Iterator[dict[str, Tensor]]:
    """The parts of a node's work in their order: what an earlier run left in `folder`, or computed now and left there.

    Of several processes (`world`) each computes its own; the first waits for those of the others, which get none.
    """
    me = world()
    for number, (name, compute) in enumerate(work.items()):
        path = folder / "parts" / f"{name}.safetensors"
        while not path.exists() and (me.takes(number) or not me.helps):
            if me.takes(number):
                save_tensors(path, compute(), {})
            else:
                time.sleep(0.02)
        if not me.helps:
            try:
                part, _ = load_tensors(path)
            except BrittleError:  # damaged since it was written
                save_tensors(path, compute(), {})
                part, _ = load_tensors(path)
            yield part


def write_json(path: Path, record: dict[str, Any]) -> None:
    """A record as a file, atomically."""
    write_bytes(path, json.dumps(record, indent=1).encode())
