"""The one training loop, on Lightning Fabric. It yields progress; it resumes from its own state file, bit for bit on a
CPU with as many threads."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.attacks import Threat, against, logits_of, pgd, session
from brittle.ground import BrittleError, eval_mode, fast_dtype, keep_freed_memory, pick_device, seeded

from .data import DataSet, Split, batches, default_augment
from .goals import Goal, Learner, Moment
from .recipe import Recipe
from .training_state import State, identity_of, restored, save_state

SAVE_EVERY = 20.0  # seconds between saved states
COLLAPSE = 0.5  # robust accuracy below this share of its best is called a collapse


@dataclass(frozen=True)
class TrainingProgress:
    """What the loop says as it goes: now and then the loss of a step; at each epoch's end accuracies on validation
    images.

    `real` is the accuracy on the images of `probe`, where there is one.
    """

    step: int
    steps: int
    loss: float | None
    lr: float
    clean: float | None = None
    robust: float | None = None
    real: float | None = None
    alarm: str | None = None


def train(
    net: nn.Module,
    data: DataSet,
    goal: Goal,
    recipe: Recipe,
    *,
    seed: int = 0,
    static: Sequence[nn.Module] = (),
    probe: Split | None = None,
    state_file: Path | None = None,
    device: str = "auto",
) -> Iterator[TrainingProgress]:
    """Train `net` in place, yielding `Progress`; the last one's history is in `history_of(state_file)` and in each
    epoch's event.

    Every step is a function of (seed, step): batch, augmentation, attack and dropout are keyed by them, so that a run
    that is killed and resumed from `state_file` gives the same bits as one that was not, on a CPU with as many threads.

    Args:
        net: takes images in [0, 1]; moved to the device.
        static: nets trained before, through which the goal may attack; not changed.
        probe: other images on which the net is tried after each epoch; nothing is chosen by them.
        state_file: written every 20 s and at each epoch's end; read if it is there.
        device: `auto`, `cpu`, `cuda`, ...
    Raises:
        BrittleError: the loss became NaN or infinite (the state before stays in `state_file`), a state of other
            training, a static net for other images or classes, or data with nothing to learn from.
    Cost: per step, the goal's gradients with respect to the input plus one with respect to the parameters.
    """
    if not len(data.train):
        raise BrittleError(f"{data.name} has test images alone; there is nothing in it to learn from")
    keep_freed_memory()
    place = pick_device(device)
    half = recipe.precision == "fast" and fast_dtype(place.type) == torch.bfloat16
    fabric, learner, optimizer = _set_up(net, data, recipe, static, place, half)
    identity = identity_of(learner, data, goal, recipe, seed, half)
    state = restored(state_file, net, optimizer, identity) or State()
    state.memory = {name: value.to(place) for name, value in state.memory.items()}
    learned = data.train.to(place)
    validation, probe = (part and part.take(min(500, len(part))).to(place) for part in (data.validation, probe))
    assert validation is not None
    augment = default_augment(data.name)
    per_epoch = math.ceil(len(learned) / recipe.batch)
    steps = max(1, round(recipe.epochs * per_epoch))
    saved = time.monotonic()
    order: tuple[Tensor, ...] = ()
    while state.step < steps:
        epoch, index = divmod(state.step, per_epoch)
        if not order or index == 0:
            order = batches(len(learned), recipe.batch, seed=seed, epoch=epoch)
        rate = recipe.rate(state.step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        at = Moment(state.step, state.step / steps, seed * 1_000_003 + state.step)
        with seeded(at.seed, place):
            rows = order[index].to(place)
            net.train()
            x, y = augment(learned.x(rows), at.seed), learned.labels[rows]
            losses, state.memory = goal.losses(learner, x, y, at, state.memory)
            loss = losses.mean()
            optimizer.zero_grad()
            fabric.backward(loss)
        ends = state.step + 1 == steps or index + 1 == per_epoch
        due = ends or (state_file is not None and time.monotonic() - saved > SAVE_EVERY)
        if (
            due or state.step % 10 == 0
        ) and not loss.isfinite():  # one read of the host in ten steps, and before anything is saved
            raise _lost(f"the loss became {float(loss.detach())}", state.step + 1, state_file)
        optimizer.step()
        state.step += 1
        if due and not all(bool(parameter.isfinite().all()) for parameter in net.parameters()):
            raise _lost("a parameter became NaN or infinite", state.step, state_file)
        event = TrainingProgress(state.step, steps, float(loss.detach()) if due or state.step % 10 == 1 else None, rate)
        if ends:
            event = _validated(net, validation, probe, goal, event, state.history)
            state.history.append({"epoch": state.step / per_epoch, **asdict(event)})
        if due and state_file:
            save_state(state_file, net, optimizer, state, identity)
            saved = time.monotonic()
        yield event


def _set_up(
    net: nn.Module, data: DataSet, recipe: Recipe, static: Sequence[nn.Module], place: torch.device, half: bool
) -> tuple[Any, Learner, Any]:
    """Fabric on this device, and what it made of the nets and the optimiser."""
    from lightning_fabric import Fabric  # here, because importing it takes as long as importing torch

    devices = [place.index or 0] if place.type == "cuda" else 1
    fabric = Fabric(accelerator=place.type, devices=devices, precision="bf16-mixed" if half else "32-true")
    if getattr(net, "channels_last", False):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimizer = fabric.setup(net, recipe.over(net.parameters()))
    lent = tuple(_fitting(copy.deepcopy(other).to(place), data, place) for other in static)
    return fabric, Learner(net, wrapped, lent), optimizer


def _fitting(net: nn.Module, data: DataSet, place: torch.device) -> nn.Module:
    """A static net, if it takes these images and knows these classes."""
    try:
        with torch.no_grad(), eval_mode(net):
            classes = logits_of(net(data.validation.take(1).to(place).x())).shape[1]
    except RuntimeError as error:
        raise BrittleError(
            f"a static net does not take images {list(data.shape)} ({str(error).splitlines()[0]})"
        ) from None
    if classes != len(data.classes):
        raise BrittleError(f"a static net has {classes} classes, but {data.name} has {len(data.classes)}")
    return net


def _lost(what: str, step: int, state_file: Path | None) -> BrittleError:
    kept = f"; the state before it is in {state_file}" if state_file and state_file.exists() else ""
    return BrittleError(f"{what} at step {step}{kept}; try a smaller --lr")


def accuracy(net: nn.Module, split: Split, threat: Threat | None = None, steps: int = 10, batch: int = 500) -> float:
    """Share of right answers in eval mode; with a threat, of answers still right under PGD."""
    right = 0
    for start in range(0, len(split), batch):
        rows = slice(start, start + batch)
        x, y = split.x(rows), split.labels[rows]
        if threat is not None:
            right += int((~pgd(against(net, precision="fast"), threat, steps=steps).run(x, y).success).sum())
        else:
            with session(against(net)) as evaluate, torch.no_grad():
                right += int((~evaluate(x, y).success).sum())
    return right / len(split)


def _validated(
    net: nn.Module,
    validation: Split,
    probe: Split | None,
    goal: Goal,
    event: TrainingProgress,
    history: list[dict[str, Any]],
) -> TrainingProgress:
    clean, real = accuracy(net, validation), None if probe is None else accuracy(net, probe)
    robust = min((accuracy(net, validation, threat) for threat in goal.threats), default=None)
    best = max((epoch["robust"] or 0.0 for epoch in history), default=0.0)
    alarm = None
    if robust is not None and best > 0.1 and robust < COLLAPSE * best:
        fell = f"robust accuracy fell from {best:.1%} to {robust:.1%}"
        alarm = f"{fell}: catastrophic overfitting; use more steps or a smaller step"
    return replace(event, clean=clean, robust=robust, real=real, alarm=alarm)
