"""Nodes that judge a model: an audit over several threats, and the curvature of its loss."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from brittle.attacks import AttackSpec, Threat
from brittle.audits import AuditSettings, Effort, Journal, audit_events, effort_named
from brittle.ground import ByteImages, bit_key, pick_device, world
from brittle.science import curvature

from ..declare import hash_of
from .common import (
    Computation,
    DataSource,
    ModelRef,
    Node,
    NodeProgress,
    defended,
    model_of,
    nodes_of_model,
    on_device,
    run_record,
    subject_of,
    subject_record,
    test_examples,
    write_json,
)


@dataclass(frozen=True)
class Audit:
    """An audit on the first `n` test images (0: all). Result: `audit.json`, `audit.safetensors`."""

    model: ModelRef
    data: DataSource
    threats: tuple[Threat, ...]
    effort: str = "standard"
    n: int = 500
    seed: int = 0
    budget: float | None = field(default=None, compare=False)
    batch: int | None = field(default=None, compare=False)
    extra: tuple[AttackSpec, ...] = ()
    certify: bool = field(default=False, metadata={"added": True})
    bpda: tuple[str, ...] = field(default=(), metadata={"added": True})
    reject: int | None = field(default=None, metadata={"added": True})
    tries: Effort = field(init=False)  # what the effort's name means, so that it is part of the declaration

    def __post_init__(self) -> None:
        object.__setattr__(self, "tries", effort_named(self.effort))

    @property
    def results(self) -> tuple[str, ...]:
        return ("audit.json", "audit.safetensors")

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return nodes_of_model(self.model)

    @cached_property
    def title(self) -> str:
        return f"audit in {' '.join(map(str, self.threats))} of {self.model.title}"

    @cached_property
    def gradients(self) -> float:
        n = self.n or len(self.data.load().test)
        more = sum(spec.cost.gradients for spec in self.extra)
        return self.tries.gradients(self.threats, n) + n * len(self.threats) * more

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        loaded, split, place = model_of(self.model, results), test_examples(self.data, self.n), pick_device(device)
        model = defended(on_device(loaded, device), self.bpda, self.reject)
        journal = Journal(folder / "pieces", f"{hash_of(self)} {bit_key(place)}")
        data = ByteImages(split.images, place).to(place), split.labels.to(place)
        settings = AuditSettings(self.effort, self.seed, self.budget, self.batch, self.extra, self.certify)
        for event in audit_events(model, data, self.threats, settings, journal):
            yield NodeProgress(event.done, event.total, event.text)
        if world().helps:
            return True
        report = event.report
        assert report is not None, "the last event carries the report"
        record, examples = subject_of(loaded, split, self.data)
        report.save(folder, msgspec.structs.replace(record, bpda=list(self.bpda), reject=self.reject), examples)
        return not report.record.skipped


@dataclass(frozen=True)
class Curve:
    """How the loss bends at the first `n` test images and on attack paths. Result: `curvature.json`."""

    model: ModelRef
    data: DataSource
    threat: Threat
    n: int = 100
    seed: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("curvature.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return nodes_of_model(self.model)

    @cached_property
    def title(self) -> str:
        return f"curvature in {self.threat} of {self.model.title}"

    @cached_property
    def gradients(self) -> float:
        return self.n * 400

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        loaded, split, started = model_of(self.model, results), test_examples(self.data, self.n), time.monotonic()
        yield NodeProgress(0, 1, "products with the Hessian")
        part = split.to(pick_device(device))
        points = curvature(on_device(loaded, device), (part.x(), part.labels), self.threat, seed=self.seed)
        record = {"threat": str(self.threat), "points": [point.record() for point in points]}
        write_json(
            folder / "curvature.json",
            record | subject_record(loaded, split, self.data) | run_record(device, started, self.seed),
        )
        return True
