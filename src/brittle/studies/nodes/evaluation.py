"""The nodes that ask a finished model: what it answers, what transfers to it, what leaks through it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from brittle.attacks import classes_of
from brittle.audits import Proportion
from brittle.ground import BrittleError, pick_device
from brittle.learning import load_tensors
from brittle.science import leak, part_slices, units

from .attacking import RunAttack
from .common import (
    Computation,
    ModelRef,
    Node,
    NodeProgress,
    model_of,
    nodes_of_model,
    on_device,
    run_record,
    subject_record,
    write_json,
)
from .made_sets import DataRef, Make, example_count, examples_from, nodes_of_data


def answer_record(answers: torch.Tensor, labels: torch.Tensor, classes: int) -> dict[str, Any]:
    """Shares of answers that are the label, and that are the class after it."""
    right, shifted = (
        Proportion(int((answers == wanted).sum()), len(labels)) for wanted in (labels, (labels + 1) % classes)
    )
    return {"clean": right.record(), "shifted": shifted.record()}


@dataclass(frozen=True)
class Answer:
    """What a model answers on test images, or on all images of a made set. Result: `answers.json`.

    `clean` is the share of right answers, `shifted` that of the class after the right one (labels y + 1 mod C).
    """

    model: ModelRef
    data: DataRef
    n: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("answers.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return (*nodes_of_model(self.model), *nodes_of_data(self.data))

    @cached_property
    def title(self) -> str:
        return f"answers of {self.model.title} on {self.data.name}"

    @cached_property
    def gradients(self) -> float:
        return 0.4 * example_count(self.data, self.n)

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, loaded, place = time.monotonic(), model_of(self.model, results), pick_device(device)
        split, model = examples_from(self.data, results, self.n), on_device(loaded, device)
        yield NodeProgress(0, 1, "forward passes")
        parts = [classes_of(model, split.take(which).to(place).x()).cpu() for which in part_slices(len(split))]
        record = answer_record(torch.cat(parts), split.labels, len(split.classes))
        facts = subject_record(loaded, split, self.data.source, example_count(self.data, 0))
        write_json(folder / "answers.json", record | facts | run_record(device, started, 0))
        return True


@dataclass(frozen=True)
class Transfer:
    """How often images that turned one model turn another, which is right on the clean ones. Result: `transfer.json`.

    `fooled` is the share of wrong answers, whichever.
    """

    attack: RunAttack
    model: ModelRef

    def __post_init__(self) -> None:
        if nodes_of_data(self.attack.data):
            raise BrittleError("transfer is asked of attacks on test images, not of those on made sets")

    @property
    def results(self) -> tuple[str, ...]:
        return ("transfer.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return (self.attack, *nodes_of_model(self.model))

    @cached_property
    def title(self) -> str:
        return f"transfer to {self.model.title} from {self.attack.model.title}"

    @cached_property
    def gradients(self) -> float:
        return 0.8 * example_count(self.attack.data, self.attack.n)

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, loaded, place = time.monotonic(), model_of(self.model, results), pick_device(device)
        yield NodeProgress(0, 1, "forward passes")
        found, _ = load_tensors(results[self.attack] / "attack.safetensors")
        split, model = self.attack.data.source.load().test.take(len(found["wrong"])), on_device(loaded, device)
        clean, moved = (classes_of(model, x.to(place)).cpu() for x in (split.x(), found["x_adv"]))
        asked = found["broken"] & ~found["wrong"] & (clean == split.labels)
        success = Proportion(int((asked & (moved != split.labels)).sum()), int(asked.sum()))
        record = {"fooled": success.record()}
        facts = subject_record(loaded, split, self.attack.data.source)
        write_json(folder / "transfer.json", record | facts | run_record(device, started, self.attack.seed))
        return True


@dataclass(frozen=True)
class Leak:
    """What a linear classifier learns from a made set through the outputs of one model alone, or through the `units`
    before its last layer. Result: `leak.json`."""

    model: ModelRef
    data: Make
    units: bool = field(default=False, metadata={"added": True})

    @property
    def results(self) -> tuple[str, ...]:
        return ("leak.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return (*nodes_of_model(self.model), self.data)

    @cached_property
    def title(self) -> str:
        through = " through its units" if self.units else ""
        return f"leakage of {self.data.name} into {self.model.title}{through}"

    @cached_property
    def gradients(self) -> float:
        return 0.4 * len(self.data.split())

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, loaded, place = time.monotonic(), model_of(self.model, results), pick_device(device)
        learned, test = examples_from(self.data, results, 0), self.data.source.load().test
        yield NodeProgress(0, 1, "a linear classifier")
        model = on_device(loaded, device)
        features = units(model, learned.take(1).to(place).x()) if self.units else model
        right = leak(features, learned, test, device=place)
        write_json(
            folder / "leak.json",
            {"clean": right.record()} | subject_record(loaded, test, self.data.source) | run_record(device, started, 0),
        )
        return True
