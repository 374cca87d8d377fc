"""The node that trains a net."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from brittle.ground import BrittleError, bit_key, check_seed, pick_device, world
from brittle.learning import (
    TRIED,
    Goal,
    Recipe,
    TrainingProgress,
    build_net,
    check_static,
    goal_name,
    history_of,
    load,
    logged,
    save_net,
    statistics_of,
    train,
)

from ..declare import hash_of
from .common import Computation, DataSource, ModelRef, Node, NodeProgress, model_of, nodes_of_model, run_record
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
    static: tuple[ModelRef, ...] = ()  # nets through which the goal may attack
    log: str = field(default="", compare=False)  # where its figures go as it trains, such as csv:FOLDER

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_static(self.goal, len(self.static))

    @property
    def results(self) -> tuple[str, ...]:
        return ("model.safetensors",)

    @cached_property
    def needs(self) -> tuple[Node, ...]:
        data = (self.data,) if isinstance(self.data, Make) else ()
        return (*data, *(node for model in self.static for node in nodes_of_model(model)))

    @cached_property
    def title(self) -> str:
        threats = " ".join(str(threat) for threat in self.goal.threats)
        seed = f" seed {self.seed}" if self.seed else ""
        until = "" if self.recipe.until is None else f" until epoch {self.recipe.until:g}"
        return f"{self.data.name} {self.net} {goal_name(self.goal)} {threats}".strip() + until + seed

    @cached_property
    def gradients(self) -> float:
        epochs = self.recipe.epochs if self.recipe.until is None else self.recipe.until
        return epochs * self.data.count * self.goal.cost

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        started, made = time.monotonic(), isinstance(self.data, Make)
        data = load(f"made:{results[self.data]}") if isinstance(self.data, Make) else self.data.load()
        mean, std = statistics_of(data.name, data.shape[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = build_net(self.net, data.shape, len(data.classes), mean, std)  # type: ignore[arg-type]
        # other bits elsewhere: begin again there
        state = folder / f"training-{bit_key(pick_device(device))}.safetensors"
        events = train(
            net,
            data,
            self.goal,
            self.recipe,
            seed=self.seed,
            static=self.static_nets(results),
            probe=self.data.source.load().validation if made else None,
            state_file=state,
            device=device,
        )
        yield from _progress(logged(events, "" if world().helps else self.log))
        if world().helps:
            return True
        header = {
            "name": self.title,
            "net": self.net,
            "shape": list(data.shape),
            "classes": list(data.classes),
            "mean": mean,
            "std": std,
            "data": self.data.name,
            "held_out": self.data.source.load().held_out,
            "threats": [str(threat) for threat in self.goal.threats],
            "goal": goal_name(self.goal),
            "declaration": hash_of(self),
            "epochs": self.recipe.epochs,
            "history": history_of(state),
            "tried": min(TRIED, len(data.validation)),
        }
        save_net(folder / "model.safetensors", net, header | run_record(device, started, self.seed))
        return True

    def static_nets(self, results: Mapping[Node, Path]) -> list[nn.Module]:
        """The nets through which the goal may attack."""
        models = [model_of(model, results).model for model in self.static]
        nets = [model for model in models if isinstance(model, nn.Module)]
        if len(nets) < len(models):
            raise BrittleError("a static net must be a module, not a function or a compiled program")
        return nets


def _progress(events: Iterable[TrainingProgress]) -> Iterator[NodeProgress]:
    """The last loss, the last accuracies and the last alarm, event by event."""
    loss = accuracies = alarm = ""
    for event in events:
        loss = loss if event.loss is None else f"loss {event.loss:.3f}"
        if event.clean is not None:
            robust = "" if event.robust is None else f" robust {event.robust:.1%}"
            real = "" if event.real is None else f" real images {event.real:.1%}"
            accuracies, alarm = f"clean {event.clean:.1%}{robust}{real}", event.alarm or alarm
        yield NodeProgress(event.step, event.steps, f"{loss} {accuracies} {alarm}".strip())
