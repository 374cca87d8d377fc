"""Nodes that attack a model: one attack on every example, and the gradient along its path."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from brittle.attacks import Named, Threat, against, classes_of, session
from brittle.audits import Proportion, mean_interval, verify
from brittle.ground import BrittleError, pick_device
from brittle.learning import save_tensors

from .common import Model, Node, Source, Step, Work, about, examples_of, made, model_of, needed, placed, write_json
from .making import Data, asked, asked_of, needed_for


@dataclass(frozen=True)
class Attack:
    """One named attack on the first `n` test images (0: all), every example tried. Result: `attack.json`, `attack.safetensors`."""

    model: Model
    data: Data
    threat: Threat
    attack: Named = Named("pgd", steps=40)
    n: int = 0
    seed: int = 0
    batch: int = field(default=500, compare=False)

    @property
    def results(self) -> tuple[str, ...]:
        return ("attack.json", "attack.safetensors")

    @property
    def needs(self) -> tuple[Node, ...]:
        return (*needed(self.model), *needed_for(self.data))

    @property
    def title(self) -> str:
        on = f" with {self.data.name}" if needed_for(self.data) else ""
        return f"{self.attack.title} {self.threat} on {self.model.title}{on}"

    @property
    def gradients(self) -> float:
        return asked_of(self.data, self.n) * self.attack.gradients

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        loaded, split = model_of(self.model, inputs), asked(self.data, inputs[-1] if inputs else folder, self.n)
        place, started = pick_device(device), time.monotonic()
        model = placed(loaded, device)
        attack = self.attack.build(self.attack.objective(model), self.threat, self.seed)
        images, broken, wrong, answers = [], [], [], []
        for start in range(0, len(split), self.batch):
            part = split.take(slice(start, start + self.batch)).to(place)
            x, y = part.x(), part.labels
            x_adv = attack(x, y)
            with session(against(model)) as see, torch.no_grad():
                wrong.append(see(x, y).fooled.cpu())
            answers.append(classes_of(model, x_adv).cpu())
            broken.append(verify(model, self.threat, x, x_adv, y).broken.cpu() | wrong[-1])
            images.append(x_adv.cpu())
            left = Proportion(int((~torch.cat(broken)).sum()), start + len(x))
            yield Step(start + len(x), len(split), f"{left} withstand")
        tensors = {"x_adv": images, "broken": broken, "wrong": wrong, "answers": answers}
        save_tensors(folder / "attack.safetensors", {name: torch.cat(parts) for name, parts in tensors.items()}, {})
        right = int((~torch.cat(wrong)).sum())
        record = {
            "attack": attack.name,
            "threat": str(self.threat),
            "clean": Proportion(right, len(split)).record(),
            "robust": left.record(),
        }
        write_json(folder / "attack.json", record | about(loaded, split, self.data.source) | made(device, started, self.seed))
        return True


@dataclass(frozen=True)
class Walk:
    """The length of the gradient that an attack follows, step by step, on the first `n` test images. Result: `walk.json`."""

    model: Model
    data: Source
    threat: Threat
    attack: Named
    n: int = 100
    seed: int = 0

    @property
    def results(self) -> tuple[str, ...]:
        return ("walk.json",)

    @property
    def needs(self) -> tuple[Node, ...]:
        return needed(self.model)

    @property
    def title(self) -> str:
        return f"gradient along {self.attack.name} {self.threat} on {self.model.title}"

    @property
    def gradients(self) -> float:
        return self.n * self.attack.gradients

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        loaded, split, started = model_of(self.model, inputs), examples_of(self.data, self.n), time.monotonic()
        part = split.to(pick_device(device))
        attack = self.attack.build(against(placed(loaded, device)), self.threat, self.seed)
        if attack.path is None:
            raise BrittleError(f"the attack {self.attack.name!r} walks no path")
        points = []
        for step in attack.path(part.x(), part.labels, self.seed):
            if step.grad is not None:
                sizes = step.grad.flatten(1).norm(dim=1).double().cpu()
                mean = mean_interval(sizes.numpy(), self.seed)
                points.append({"mean": mean.mean, "interval": [mean.low, mean.high], "zero": float((sizes == 0).double().mean())})
                yield Step(len(points), len(points) + 1, f"mean gradient length {mean.mean:.3g}")
        record = {"attack": attack.name, "threat": str(self.threat), "points": points}
        write_json(folder / "walk.json", record | about(loaded, split, self.data) | made(device, started, self.seed))
        return True
