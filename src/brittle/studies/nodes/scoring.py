"""The nodes that ask how useful and how robustly useful features are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from brittle.attacks import Threat
from brittle.audits import checked
from brittle.ground import BrittleError, pick_device
from brittle.learning import Split
from brittle.science import (
    Features,
    Usefulness,
    containment,
    correlations,
    ensemble,
    logits,
    place_directions,
    principal_components,
    random_projections,
    singular_directions,
    two_classes,
    units,
    usefulness,
)

from .common import (
    Computation,
    DataSource,
    ModelRef,
    Node,
    NodeProgress,
    model_of,
    nodes_of_model,
    on_device,
    run_record,
    subject_record,
    test_examples,
    write_json,
)
from .made_sets import Make, examples_from

KINDS = ("units", "logits", "random", "components")
LOOKED_AT = 100  # images on which a model is looked at first
SHOWN, IMAGES = 12, 6  # of each verdict, features whose most telling images are named; and how many images


@dataclass(frozen=True)
class Score:
    """Usefulness of the features of a model, or of its data. Result: `features.json`.

    Attributes:
        kind: `units` of a layer, `logits`, `random` projections or principal `components` of the images.
        layer: of `units`; None: what the last linear layer reads.
        n: test images, 0 for all; attacked, steps: of `usefulness`; count: how many random or principal features.
    """

    model: ModelRef
    data: DataSource
    threat: Threat
    kind: str = "units"
    layer: str | None = None
    n: int = 0
    attacked: int = 32
    steps: int = 20
    count: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BrittleError(f"features are of the kind {', '.join(KINDS)}, not {self.kind!r}")
        if self.layer and self.kind != "units":
            raise BrittleError(f"a layer is for units, not for {self.kind}")

    @property
    def results(self) -> tuple[str, ...]:
        return ("features.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return nodes_of_model(self.model)

    @cached_property
    def title(self) -> str:
        return f"{self.kind} of {self.model.title} in {self.threat}"

    @cached_property
    def gradients(self) -> float:
        return float((self.attacked or 512) * self.steps * min(500, (self.n or len(self.data.load().test)) // 2))

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, loaded, split = time.monotonic(), model_of(self.model, results), test_examples(self.data, self.n)
        part = split.to(pick_device(device))
        model = on_device(loaded, device)
        if self.kind in ("units", "logits"):
            few = part.take(min(len(part), LOOKED_AT))
            checked(model, few.x(), few.labels, self.seed)
        features = self.features(model, part)
        yield NodeProgress(0, 1, f"{len(features.names)} features")
        found = usefulness(features, part, self.threat, attacked=self.attacked, steps=self.steps, seed=self.seed)
        record = {
            "kind": self.kind,
            "layer": self.layer,
            "threat": str(self.threat),
            "features": [one.record() for one in found],
            "telling": loudest_images(features, part, found),
        }
        write_json(
            folder / "features.json",
            record | subject_record(loaded, split, self.data) | run_record(device, started, self.seed),
        )
        return True

    def features(self, model: Any, part: Split) -> Features:
        """The features themselves."""
        if self.kind == "units":
            return units(model, part.take(1).x(), self.layer)
        if self.kind == "logits":
            return logits(model, part.classes)
        if self.kind == "random":
            return random_projections(tuple(part.pixels.shape[1:]), self.count, self.seed)
        return principal_components(part.take(len(part) // 2).x(), self.count)


def loudest_images(features: Features, part: Split, found: list[Usefulness]) -> dict[str, list[int]]:
    """Of the most useful features of each verdict, by their index: the test images on which they speak loudest."""
    values = features(part.x())
    verdicts = dict.fromkeys(one.verdict for one in found)
    shown = [one for verdict in verdicts for one in [one for one in found if one.verdict == verdict][:SHOWN]]
    return {
        str(one.index): torch.argsort(values[:, one.index], descending=True, stable=True)[:IMAGES].tolist()
        for one in shown
    }


@dataclass(frozen=True)
class Correlate:
    """E[y f(x)] - E[y] E[f(x)] of the units before the last layer on the test images and on made sets, at most `n`
    images of each. Result: `correlations.json`, with `rho` of each set by its label, `D` for the test images [F].

    What each unit speaks for is chosen on validation images.
    """

    model: ModelRef
    data: DataSource
    sets: tuple[Make, ...]
    n: int = 5000
    told: str = field(default="E[y f] - E[y] E[f]", init=False)  # so that results of another figure have another name

    @property
    def results(self) -> tuple[str, ...]:
        return ("correlations.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return (*nodes_of_model(self.model), *self.sets)

    @cached_property
    def title(self) -> str:
        return f"correlations of {self.model.title} with {' '.join(made.label for made in self.sets)}"

    @cached_property
    def gradients(self) -> float:
        return 0.4 * self.n * (1 + len(self.sets))

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, loaded, place = time.monotonic(), model_of(self.model, results), pick_device(device)
        split = test_examples(self.data, self.n)
        yield NodeProgress(0, 1, "forward passes")
        sets = {"D": split} | {made.label: examples_from(made, results, self.n) for made in self.sets}
        model, known = on_device(loaded, device), self.data.load().validation.to(place)
        rho = correlations(model, known, {name: one.to(place) for name, one in sets.items()})
        record = {"rho": {name: values.tolist() for name, values in rho.items()}}
        write_json(
            folder / "correlations.json",
            record | subject_record(loaded, split, self.data) | run_record(device, started, 0),
        )
        return True


@dataclass(frozen=True)
class Directions:
    """Usefulness and robustness of the singular vectors of two classes' images, and of two features made of them.

    Result: `directions.json`, with [log robustness, log usefulness] of each, natural, of pixels in [0, 1]. The ensemble
    takes the more fragile half of all directions; the containment hides the most useful of the ten most robust
    directions, with nine tenths
    of the variance, in the least useful one of the fragile half.
    """

    data: DataSource
    first: int
    second: int

    @property
    def results(self) -> tuple[str, ...]:
        return ("directions.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return ()

    @cached_property
    def title(self) -> str:
        return f"singular directions of {self.data.name}, classes {self.first} and {self.second}"

    @cached_property
    def gradients(self) -> float:
        return 0.0  # one singular value decomposition on the CPU

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, data = time.monotonic(), self.data.load().train
        yield NodeProgress(0, 1, "a singular value decomposition")
        task = two_classes(data.x(), data.labels, self.first, self.second)
        lines = singular_directions(task)
        places = place_directions(lines, task)
        half = len(lines) // 2
        strong, weak = int(places.usefulness[:10].argmax()), half + int(places.usefulness[half:].argmin())
        ratio = 3 * float((places.robustness[weak] - places.robustness[strong]).exp())
        made_of = {
            "ensemble": ensemble(lines, task, float(places.robustness[half])),
            "containment": containment(lines[strong], lines[weak], ratio / (1 + ratio)),
        }
        stands = {name: place_directions(feature, task) for name, feature in made_of.items()}
        record = {
            "task": f"{data.classes[self.first]} against {data.classes[self.second]}, {len(task.y):,} images",
            "points": torch.stack([places.robustness, places.usefulness], 1)[:: max(1, len(lines) // 400)].tolist(),
            "made": {name: [float(at.robustness), float(at.usefulness)] for name, at in stands.items()},
        }
        write_json(folder / "directions.json", record | run_record(device, started, 0))
        return True
