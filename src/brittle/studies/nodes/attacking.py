"""Nodes that attack a model: one attack on every example, and the gradient along its path."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import (
    Attack,
    AttackSpec,
    Iterate,
    Memory,
    Threat,
    against,
    classes_of,
    fitting_batch,
    gradient_at,
    loss_named,
    restarts,
    session,
    smoothed_gradient,
    true_class,
    within,
)
from brittle.audits import Proportion, checked, mean_interval, verify
from brittle.ground import BrittleError, Flags, Images, Labels, bit_key, empty_or_mapped, pick_device, world
from brittle.learning import Split, save_tensors

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
    parts_of,
    run_record,
    subject_record,
    test_examples,
    write_json,
)
from .made_sets import DataRef, example_count, examples_from, nodes_of_data

WORK_IF_EARLY = 0.5  # the share of its work that an attack is assumed to need where it stops early, for plans


PARTS = 2  # what is kept of a batch: a run that was cut short before `blind` was begins anew


@dataclass(frozen=True)
class RunAttack:
    """One named attack on the first `n` test images (0: all); `restarts` times with other seeds on those that are left.
    Result: `attack.json`, `attack.safetensors`.

    Every example is tried to the end, so that the images are the attack's worst; where `early` says so, only those that
    the model gets right, each until it is broken: as many withstand, for less work.
    """

    model: ModelRef
    data: DataRef
    threat: Threat
    attack: AttackSpec = AttackSpec.of("pgd", steps=40)
    n: int = 0
    seed: int = 0
    batch: int | None = field(default=None, compare=False)
    bpda: tuple[str, ...] = field(default=(), metadata={"added": True})
    reject: int | None = field(default=None, metadata={"added": True})
    restarts: int = field(default=1, metadata={"added": True})
    early: bool = field(default=False, metadata={"added": True})

    @property
    def results(self) -> tuple[str, ...]:
        return ("attack.json", "attack.safetensors")

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return (*nodes_of_model(self.model), *nodes_of_data(self.data))

    @cached_property
    def title(self) -> str:
        on = f" with {self.data.name}" if nodes_of_data(self.data) else ""
        times = f" x{self.restarts}" if self.restarts > 1 else ""
        return f"{self.attack.title}{times} {self.threat} on {self.model.title}{on}"

    @cached_property
    def gradients(self) -> float:
        share = WORK_IF_EARLY if self.early else 1.0
        return share * example_count(self.data, self.n) * self.attack.cost.gradients * self.restarts

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        loaded, split = model_of(self.model, results), examples_from(self.data, results, self.n)
        place, started = pick_device(device), time.monotonic()
        model = defended(on_device(loaded, device), self.bpda, self.reject)
        batch = self.batch or fitting_batch(model, split.x(slice(1)).to(place))
        few = split.take(min(len(split), 100, max(20, batch))).to(place)
        findings = checked(model, few.x(), few.labels, self.seed)
        attack = self._built(model)
        attack = restarts(attack, self.restarts) if self.restarts > 1 else attack
        slices = [slice(start, min(start + batch, len(split))) for start in range(0, len(split), batch)]
        work = {
            f"{bit_key(place)}-{PARTS}-{which.start}-{which.stop}": partial(
                self.attack_part, attack, model, split, which, place
            )
            for which in slices
        }
        parts: list[dict[str, Tensor]] = []
        for which, part in zip(slices, parts_of(folder, work), strict=False):
            parts.append(part)
            left = Proportion(sum(int((~part["broken"]).sum()) for part in parts), which.stop)
            yield NodeProgress(which.stop, len(split), f"{left} withstand")
        if world().helps:
            return True
        whole = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        save_tensors(folder / "attack.safetensors", whole, {})
        right = int((~whole["wrong"]).sum())
        record = {
            "attack": attack.name,
            "threat": str(self.threat),
            "clean": Proportion(right, len(split)).record(),
            "robust": left.record(),
            "blind": int(whole["blind"].sum()),  # of those that withstand: every gradient was 0
            "checks": [finding._asdict() for finding in findings],
        }
        facts = subject_record(loaded, split, self.data.source, example_count(self.data, 0))
        write_json(
            folder / "attack.json",
            record | facts | run_record(device, started, self.seed),
        )
        return True

    def _built(self, model: Any) -> Attack:
        """The attack, with whatever ends it early."""
        objective = self.attack.objective(model)
        if self.early:
            objective = replace(objective, done=lambda x0, x, y: self._breaks(model, x0, x, true_class(y)))
        return within(self.attack.search_on(objective, self.threat, self.seed), self.threat)

    def _breaks(self, model: Any, x0: Images, x: Images, y: Labels) -> Flags:
        return verify(model, self.threat, x0, x, y).broken

    def attack_part(
        self, attack: Attack, model: Any, split: Split, which: slice, place: torch.device
    ) -> dict[str, Tensor]:
        """What the attack finds on some images, verified, whether they were wrong when clean, and which withstand
        though every gradient was 0."""
        part = split.take(which).to(place)
        x, y = part.x(), part.labels
        with session(against(model)) as evaluate, torch.no_grad():
            wrong = evaluate(x, y).success
        tried = (~wrong if self.early else torch.ones_like(wrong)).nonzero().squeeze(1)
        x_adv, blind = x, torch.zeros_like(wrong)
        if len(tried):
            found = attack.run(x[tried], y[tried], warn=False)
            x_adv, blind = x.index_copy(0, tried, found.x), blind.index_copy(0, tried, found.blind)
        broken = self._breaks(model, x, x_adv, y) | wrong
        answers = classes_of(model, x_adv)
        return {"x_adv": x_adv, "broken": broken, "wrong": wrong, "answers": answers, "blind": blind & ~broken}


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, out=empty_or_mapped((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype))


@dataclass(frozen=True)
class Walk:
    """How long gradients are along an attack's path, on the first `n` test images: at each step the plain gradient and
    the one averaged over `draws` of Gaussian noise of scale `sigma`, as S-O takes it. Result: `walk.json`."""

    model: ModelRef
    data: DataSource
    threat: Threat
    attack: AttackSpec
    n: int = 100
    seed: int = 0
    draws: int = 20
    sigma: float = 0.15

    @property
    def results(self) -> tuple[str, ...]:
        return ("walk.json",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        return nodes_of_model(self.model)

    @cached_property
    def title(self) -> str:
        return f"gradient along {self.attack.name} {self.threat} on {self.model.title}"

    @cached_property
    def gradients(self) -> float:
        return float(self.n * (self.attack.cost.gradients + self.steps * (1 + self.draws)))

    @property
    def steps(self) -> int:
        """Those of the attack."""
        return int(self.attack.settings["steps"])

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        loaded, split, started = model_of(self.model, results), test_examples(self.data, self.n), time.monotonic()
        part = split.to(pick_device(device))
        x, y = part.x(), part.labels
        objective = against(on_device(loaded, device), loss_named(self.attack.loss or "cross_entropy"))
        attack = within(self.attack.search_on(objective, self.threat, self.seed), self.threat)
        if attack.path is None:
            raise BrittleError(f"the attack {self.attack.name!r} walks no path")
        lengths: dict[str, list[Tensor]] = {"plain": [], "averaged": []}
        averaged = smoothed_gradient(self.sigma, self.draws, self.seed)
        keys = averaged.init(x)
        with session(objective) as evaluate:
            for t, step in enumerate(point for point in attack.path(x, y, self.seed) if point.grad is not None):
                at = Iterate(x, step.x, y, t, Memory(keys, None))
                found = gradient_at(evaluate, step.x, y)[1], averaged.update(evaluate, at, keys)[1]
                for kind, grad in zip(lengths, found, strict=True):
                    lengths[kind].append(grad.flatten(1).norm(dim=1).double().cpu())
                yield NodeProgress(t + 1, self.steps + 1, f"gradient length {lengths['plain'][-1].mean():.3g}")
        record: dict[str, Any] = {"attack": attack.name, "threat": str(self.threat)}
        for kind, steps in lengths.items():
            points = [mean_interval(sizes.numpy(), self.seed) for sizes in steps]
            record[kind] = [{"mean": one.mean, "interval": [one.low, one.high]} for one in points]
            record[f"{kind}_of_images"] = torch.stack(steps).mean(0).tolist()  # over the path, of each image
        write_json(
            folder / "walk.json",
            record | subject_record(loaded, split, self.data) | run_record(device, started, self.seed),
        )
        return True
