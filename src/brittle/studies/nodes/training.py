"""The node that trains a net."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from brittle.ground import BrittleError, pick_device
from brittle.learning import Goal, Recipe, build_net, goal_name, load, save_net, statistics_of, train
from brittle.learning.training_state import history_of

from ..declare import hash_of
from .common import DataSource, Model, Node, NodeProgress, Work, bit_key, model_of, nodes_of_model, run_record
from .made_sets import Make


@dataclass(frozen=True)
class Train:
    """A net trained on a data set towards a goal. Result: `model.safetensors`.

    On made data it is also tried, after each epoch, on real validation images (`real` in its history).
    """

    data: DataSource | Make
    net: str
    goal: Goal
    recipe: Recipe
    seed: int = 0
    static: tuple[Model, ...] = ()  # nets through which the goal may attack

    @property
    def results(self) -> tuple[str, ...]:
        return ("model.safetensors",)

    @property
    def needs(self) -> tuple[Node, ...]:
        data = (self.data,) if isinstance(self.data, Make) else ()
        return (*data, *(node for model in self.static for node in nodes_of_model(model)))

    @property
    def title(self) -> str:
        threats = " ".join(str(threat) for threat in self.goal.threats)
        seed = f" seed {self.seed}" if self.seed else ""
        return f"{self.data.name} {self.net} {goal_name(self.goal)} {threats}".strip() + seed

    @property
    def gradients(self) -> float:
        return self.recipe.epochs * self.data.count * self.goal.cost

    def compute(self, folder: Path, inputs: tuple[Path, ...], device: str) -> Work:
        started, folders = time.monotonic(), iter(inputs)
        probe = self.data.source.load().validation if isinstance(self.data, Make) else None
        data = load(f"made:{next(folders)}") if isinstance(self.data, Make) else self.data.load()
        mean, std = statistics_of(data.name, data.shape[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = build_net(self.net, data.shape, len(data.classes), mean, std)  # type: ignore[arg-type]
        models = [model_of(model, (next(folders),) if nodes_of_model(model) else ()).model for model in self.static]
        static = [model for model in models if isinstance(model, nn.Module)]
        if len(static) < len(models):
            raise BrittleError("a static net must be a module, not a function or a compiled program")
        state = (
            folder / f"training-{bit_key(pick_device(device))}.safetensors"
        )  # other bits elsewhere: begin again there
        alarms, said, loss = [], "", ""
        work = train(
            net,
            data,
            self.goal,
            self.recipe,
            seed=self.seed,
            static=static,
            probe=probe,
            state_file=state,
            device=device,
        )
        for event in work:
            if event.clean is not None:
                robust = "" if event.robust is None else f" robust {event.robust:.1%}"
                real = "" if event.real is None else f" real images {event.real:.1%}"
                said = f"clean {event.clean:.1%}{robust}{real}"
                alarms += [event.alarm] if event.alarm else []
            loss = loss if event.loss is None else f"loss {event.loss:.3f}"
            yield NodeProgress(event.step, event.steps, f"{loss} {said} {alarms[-1] if alarms else ''}".strip())
        header = {
            "name": self.title,
            "net": self.net,
            "shape": list(data.shape),
            "classes": list(data.classes),
            "mean": mean,
            "std": std,
            "data": self.data.name,
            "threats": [str(threat) for threat in self.goal.threats],
            "goal": goal_name(self.goal),
            "declaration": hash_of(self),
            "epochs": self.recipe.epochs,
            "history": history_of(state),
        }
        save_net(folder / "model.safetensors", net, header | run_record(device, started, self.seed))
        return True
