"""The nodes that make data sets, and those that ask what was learned from them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from brittle.attacks import Threat, classes_of
from brittle.audits import Proportion
from brittle.ground import pick_device
from brittle.learning import Split, load_tensors, save_tensors, write_made
from brittle.science import Making, Part, checked, joined, leak, make_part, parts_of, source_checked

from ..declare import declaration_of, hash_of
from .attacking import Attack
from .common import Model, Node, Source, Step, Work, about, made, model_of, needed, placed, write_json


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
    model: Model
    data: Source
    making: Making
    threat: Threat
    n: int = 0
    seed: int = 0
    part: str = "train"
    others: tuple[Model, ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        return ("set.safetensors", "set.json")

    @property
    def needs(self) -> tuple[Node, ...]:
        return tuple(node for model in (self.model, *self.others) for node in needed(model))

    @property
    def title(self) -> str:
        return f"{self.name} by {self.model.title}"

    @property
    def name(self) -> str:
        """What the data are called."""
        return f"{self.label}{' (test)' if self.part == 'test' else ''} of {self.data.name}"

    @property
    def source(self) -> Source:
        """The data that it is made of."""
        return self.data

    @property
    def count(self) -> int:
        """How many images can be learned from, about: a tenth is held out."""
        return round(0.9 * len(self.split()))

    @property
    def gradients(self) -> float:
        return len(self.split()) * self.making.cost * (1 + len(self.others))

    def split(self) -> Split:
        """The images it is made of."""
        whole = self.data.load().test if self.part == "test" else self.data.load().train
        return whole.take(min(self.n or len(whole), len(whole)))

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        started, place, folders = time.monotonic(), pick_device(device), iter(inputs)
        loaded, *rest = (model_of(model, (next(folders),) if needed(model) else ()) for model in (self.model, *self.others))
        model, others, split = placed(loaded, device), [placed(other, device) for other in rest], self.split()
        source = source_checked(self.label, model, split.take(slice(0, 200)).to(place), self.threat)
        parts: list[Part] = []
        for k, which in enumerate(parts_of(len(split))):
            yield Step(which.start, len(split), source["warning"] or f"{self.label}: {which.start} images")
            path = folder / "parts" / f"{k:05}.safetensors"
            if not path.exists():
                part = make_part(model, split, self.making, which, seed=self.seed, others=others, device=place)
                save_tensors(path, part._asdict(), {})
            parts.append(Part(**load_tensors(path)[0]))
        whole = joined(parts)
        found = checked(whole, self.making, split.classes, self.seed)
        told = {
            "set": self.label,
            "data": self.data.name,
            "part": self.part,
            "making": declaration_of(self.making),
            "seed": self.seed,
            "declaration": hash_of(self),
            "model": {"name": loaded.name, "digest": loaded.digest},
            "digest": split.digest,
        }
        write_made(folder, whole._asdict(), self.data.load().test, told)
        record = told | found | {"source": source} | about(loaded, split, self.data)
        write_json(folder / "set.json", record | made(device, started, self.seed))
        return True


def made_split(node: Make, folder: Path) -> Split:
    """All images of a made set, in the order of its source."""
    tensors, header = load_tensors(folder / "set.safetensors")
    return Split(tensors["images"], tensors["labels"], tuple(header["classes"]), node.name)


def answer_record(answers: torch.Tensor, labels: torch.Tensor, classes: int) -> dict[str, Any]:
    """Shares of answers that are the label, and that are the class after it."""
    right, shifted = (Proportion(int((answers == wanted).sum()), len(labels)) for wanted in (labels, (labels + 1) % classes))
    return {"clean": right.record(), "shifted": shifted.record()}


@dataclass(frozen=True)
class Answer:
    """What a model answers on test images, or on all images of a made set. Result: `answers.json`.

    `clean` is the share of right answers, `shifted` that of the class after the right one (labels y + 1 mod C).
    """

    model: Model
    data: Source | Make
    n: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("answers.json",)

    @property
    def needs(self) -> tuple[Node, ...]:
        return (*needed(self.model), *((self.data,) if isinstance(self.data, Make) else ()))

    @property
    def title(self) -> str:
        return f"answers of {self.model.title} on {self.data.name}"

    @property
    def gradients(self) -> float:
        return 0.4 * (self.n or (len(self.data.split()) if isinstance(self.data, Make) else len(self.data.load().test)))

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        started, loaded, place = time.monotonic(), model_of(self.model, inputs), pick_device(device)
        whole = made_split(self.data, inputs[-1]) if isinstance(self.data, Make) else self.data.load().test
        split, model = whole.take(min(self.n or len(whole), len(whole))), placed(loaded, device)
        yield Step(0, 1, "forward passes")
        said = torch.cat([classes_of(model, split.take(which).to(place).x()).cpu() for which in parts_of(len(split))])
        record = answer_record(said, split.labels, len(split.classes))
        facts = about(loaded, split, self.data.source)
        write_json(folder / "answers.json", record | facts | made(device, started, 0))
        return True


@dataclass(frozen=True)
class Transfer:
    """How often images that turned one model turn another, which is right on the clean ones. Result: `transfer.json`.

    `fooled` is the share of any wrong answer, `same` that of the first model's wrong answer.
    """

    attack: Attack
    model: Model

    @property
    def results(self) -> tuple[str, ...]:
        return ("transfer.json",)

    @property
    def needs(self) -> tuple[Node, ...]:
        return (self.attack, *needed(self.model))

    @property
    def title(self) -> str:
        return f"transfer to {self.model.title} from {self.attack.model.title}"

    @property
    def gradients(self) -> float:
        return 0.8 * (self.attack.n or len(self.attack.data.load().test))

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        started, loaded, place = time.monotonic(), model_of(self.model, inputs[1:]), pick_device(device)
        yield Step(0, 1, "forward passes")
        found, _ = load_tensors(inputs[0] / "attack.safetensors")
        split, model = self.attack.data.load().test.take(len(found["wrong"])), placed(loaded, device)
        clean, moved = (classes_of(model, x.to(place)).cpu() for x in (split.x(), found["x_adv"]))
        asked = found["broken"] & ~found["wrong"] & (clean == split.labels)
        fooled, same = asked & (moved != split.labels), asked & (moved == found["answers"])
        record = {name: Proportion(int(got.sum()), int(asked.sum())).record() for name, got in (("fooled", fooled), ("same", same))}
        facts = about(loaded, split, self.attack.data)
        write_json(folder / "transfer.json", record | facts | made(device, started, self.attack.seed))
        return True


@dataclass(frozen=True)
class Leak:
    """What a linear classifier learns from a made set through the outputs of one model alone. Result: `leak.json`."""

    model: Model
    data: Make
    seed: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("leak.json",)

    @property
    def needs(self) -> tuple[Node, ...]:
        return (*needed(self.model), self.data)

    @property
    def title(self) -> str:
        return f"leakage of {self.data.name} into {self.model.title}"

    @property
    def gradients(self) -> float:
        return 0.4 * len(self.data.split())

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        started, loaded, place = time.monotonic(), model_of(self.model, inputs), pick_device(device)
        learned, test = made_split(self.data, inputs[-1]), self.data.source.load().test
        yield Step(0, 1, "a linear classifier")
        right = leak(placed(loaded, device), learned, test, device=place)
        write_json(
            folder / "leak.json", {"clean": right.record()} | about(loaded, test, self.data.source) | made(device, started, 0)
        )
        return True
