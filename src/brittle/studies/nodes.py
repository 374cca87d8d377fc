"""The kinds of work: train a net, attack a model, audit it. Each is a declaration and knows how to be computed in a folder."""

import json
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn

from brittle.attacks import ATTACKS, Threat, against, named_attack
from brittle.audits import Journal, Proportion, Settings, auditing, circumstances, verify
from brittle.ground import BrittleError, pick_device
from brittle.learning import (
    DataSet,
    Goal,
    Loaded,
    Recipe,
    Split,
    build_net,
    load,
    load_model,
    save_net,
    save_tensors,
    statistics_of,
    train,
    write_bytes,
)
from brittle.learning.training import history_of

from .declare import hash_of


class Step(NamedTuple):
    """Progress inside a node: done, total, and a line that says where it stands."""

    done: int
    total: int
    text: str


Work = Generator[Step, None, bool]


@runtime_checkable
class Node(Protocol):
    """A declaration: what it needs first, and how it is computed into a folder from the folders of those.

    `compute` yields its progress and returns whether the result is complete; `results` names the files that stay.
    """

    @property
    def needs(self) -> tuple["Node", ...]: ...
    @property
    def title(self) -> str: ...
    @property
    def results(self) -> tuple[str, ...]: ...
    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work: ...


@dataclass(frozen=True)
class Source:
    """A data set by its name and the SHA-256 of what is in it; where it was found does not matter."""

    name: str
    digest: str
    folder: str | None = field(default=None, compare=False)
    given: str = field(default="", compare=False)

    @classmethod
    def of(cls, name: str, data_dir: Path | None = None) -> "Source":
        """The data set called `name`, loaded once to know its content."""
        data = _loaded(name, str(data_dir) if data_dir else None)
        return cls(data.name, data.train.digest[:32] + data.test.digest[:32], str(data_dir) if data_dir else None, name)

    def load(self) -> DataSet:
        """The data."""
        return _loaded(self.given or self.name, self.folder)


_DATA: dict[tuple[str, str | None], DataSet] = {}


def _loaded(name: str, folder: str | None) -> DataSet:
    if (name, folder) not in _DATA:
        _DATA.clear()  # one data set is held at a time
        _DATA[name, folder] = load(name, Path(folder) if folder else None)
    return _DATA[name, folder]


@dataclass(frozen=True)
class Train:
    """A net trained on a data set towards a goal. Result: `model.safetensors`."""

    data: Source
    net: str
    goal: Goal
    recipe: Recipe
    seed: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("model.safetensors",)

    @property
    def needs(self) -> tuple[Node, ...]:
        return ()

    @property
    def title(self) -> str:
        threats = " ".join(str(threat) for threat in getattr(self.goal, "threats", ()))
        return f"{self.data.name} {self.net} {type(self.goal).__name__.lower()} {threats}".strip()

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        data, started = self.data.load(), time.monotonic()
        mean, std = statistics_of(data.name, data.shape[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = build_net(self.net, data.shape, len(data.classes), mean, std)  # type: ignore[arg-type]
        state = folder / "training.safetensors"
        alarms, said, loss = [], "", ""
        for event in train(net, data, self.goal, self.recipe, seed=self.seed, state_file=state, device=device):
            if event.clean is not None:
                robust = "" if event.robust is None else f" robust {event.robust:.1%}"
                said = f"clean {event.clean:.1%}{robust}"
                alarms += [event.alarm] if event.alarm else []
            loss = loss if event.loss is None else f"loss {event.loss:.3f}"
            yield Step(event.step, event.steps, f"{loss} {said} {alarms[-1] if alarms else ''}".strip())
        header = {
            "name": self.title,
            "net": self.net,
            "shape": list(data.shape),
            "classes": list(data.classes),
            "mean": mean,
            "std": std,
            "data": self.data.name,
            "threats": [str(threat) for threat in getattr(self.goal, "threats", ())],
            "goal": type(self.goal).__name__.lower(),
            "declaration": hash_of(self),
            "epochs": self.recipe.epochs,
            "history": history_of(state),
            "run": circumstances(pick_device(device), time.monotonic() - started, self.seed),
        }
        save_net(folder / "model.safetensors", net, header)
        return True


@dataclass(frozen=True)
class File:
    """A model from outside, known by a digest of its content; where it lies does not matter."""

    spec: str = field(compare=False)
    digest: str
    weights: str | None = field(default=None, compare=False)
    loaded: Loaded | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, spec: str, weights: Path | None = None) -> "File":
        """The model that `spec` names (see `load_model`)."""
        loaded = load_model(spec, weights)
        return cls(spec, loaded.digest, str(weights) if weights else None, loaded)

    def load(self) -> Loaded:
        """The model itself."""
        return self.loaded or load_model(self.spec, Path(self.weights) if self.weights else None)


Model = Train | File


def _model(model: Model, inputs: tuple[Path, ...]) -> Loaded:
    return model.load() if isinstance(model, File) else load_model(str(inputs[0] / "model.safetensors"))


def _examples(source: Source, n: int) -> Split:
    test = source.load().test
    return test.take(min(n, len(test)) if n else len(test))


def _about(loaded: Loaded, split: Split, of: int) -> dict[str, Any]:
    header = loaded.header or {}
    parameters = sum(value.numel() for value in loaded.model.parameters()) if isinstance(loaded.model, nn.Module) else None
    keys = ("goal", "epochs", "net", "history")
    training = {key: header.get(key) for key in keys} | {"threat": ", ".join(header.get("threats", ()))} if header else None
    return {
        "model": {
            "name": loaded.name,
            "source": loaded.source,
            "digest": loaded.digest,
            "parameters": parameters,
            "training": training,
        },
        "data": {"name": split.name, "n": len(split), "of": of, "classes": list(split.classes), "digest": split.digest},
    }


@dataclass(frozen=True)
class Attack:
    """One named attack on the first `n` test images (0: all), every example tried. Result: `attack.json`, `attack.safetensors`."""

    model: Model
    data: Source
    threat: Threat
    attack: str = "pgd"
    steps: int = 40
    n: int = 0
    seed: int = 0
    batch: int = field(default=500, compare=False)

    def __post_init__(self) -> None:
        if self.attack not in ATTACKS:
            raise BrittleError(f"no attack is called {self.attack!r}; known: {', '.join(ATTACKS)}")

    @property
    def results(self) -> tuple[str, ...]:
        return ("attack.json", "attack.safetensors")

    @property
    def needs(self) -> tuple[Node, ...]:
        return (self.model,) if isinstance(self.model, Train) else ()

    @property
    def title(self) -> str:
        return f"{self.attack} {self.threat}"

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        loaded, split, place, started = (
            _model(self.model, inputs),
            _examples(self.data, self.n),
            pick_device(device),
            time.monotonic(),
        )
        model = loaded.model.to(place) if isinstance(loaded.model, nn.Module) else loaded.model
        attack = named_attack(self.attack, against(model, precision="fast"), self.threat, self.steps, self.seed)
        images, broken = [], []
        for start in range(0, len(split), self.batch):
            part = split.take(slice(start, start + self.batch)).to(place)
            x, y = part.x(), part.labels
            x_adv = attack(x, y)
            broken.append((verify(model, self.threat, x, x_adv, y).broken | verify(model, self.threat, x, x, y).broken).cpu())
            images.append(x_adv.cpu())
            left = Proportion(int((~torch.cat(broken)).sum()), start + len(x))
            yield Step(start + len(x), len(split), f"{left} withstand")
        save_tensors(folder / "attack.safetensors", {"x_adv": torch.cat(images), "broken": torch.cat(broken)}, {})
        run = circumstances(pick_device(device), time.monotonic() - started, self.seed)
        record = {
            "attack": attack.name,
            "threat": str(self.threat),
            "robust": left.record(),
            **_about(loaded, split, len(self.data.load().test)),
            "run": run,
        }
        write_bytes(folder / "attack.json", json.dumps(record, indent=1).encode())
        return True


@dataclass(frozen=True)
class Audit:
    """An audit on the first `n` test images (0: all). Result: `audit.json`, `audit.safetensors`."""

    model: Model
    data: Source
    threats: tuple[Threat, ...]
    effort: str = "standard"
    n: int = 500
    seed: int = 0
    budget: float | None = field(default=None, compare=False)
    batch: int = field(default=250, compare=False)

    @property
    def results(self) -> tuple[str, ...]:
        return ("audit.json", "audit.safetensors")

    @property
    def needs(self) -> tuple[Node, ...]:
        return (self.model,) if isinstance(self.model, Train) else ()

    @property
    def title(self) -> str:
        return f"audit in {' '.join(map(str, self.threats))}"

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        loaded, split, place = _model(self.model, inputs), _examples(self.data, self.n), pick_device(device)
        model = loaded.model.to(place) if isinstance(loaded.model, nn.Module) else loaded.model
        journal = Journal(folder / "pieces", f"{hash_of(self)} {torch.__version__} {place}")
        data = split.x().to(place), split.labels.to(place)
        settings = Settings(self.effort, self.seed, self.budget, self.batch)
        for event in auditing(model, data, self.threats, settings, journal):
            yield Step(event.done, event.total, event.text)
        report = event.report
        assert report is not None, "the last event carries the report"
        report.verdict["next"] = report.verdict["next"].replace("MODEL", loaded.source)
        report.save(folder, _about(loaded, split, len(self.data.load().test)))
        return not report.record["skipped"]
