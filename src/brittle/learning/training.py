"""The one training loop, on Lightning Fabric. It yields progress; it resumes from its own state file, bit for bit on a
CPU with as many threads."""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from brittle.attacks import Threat, against, logits_of, pgd, session
from brittle.ground import BrittleError, eval_mode, fast_dtype, keep_freed_memory, pick_device, seeded

from .data import Augment, DataSet, Split, batches, default_augment
from .goals import Goal, Learner, Moment
from .recipe import Recipe
from .training_state import State, identity_of, load_state, save_state

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
    """Train `net` in place, yielding `TrainingProgress`; each epoch's last one is kept in `history_of(state_file)`.

    Every step is a function of (seed, step): batch, augmentation, attack and dropout are keyed by them, so that a run
    that is killed and resumed from `state_file` gives the same bits as one that was not, on a CPU with as many threads.
    With `recipe.averaging`, what is validated, and what `net` holds once all is yielded, is the running mean.

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
    run = _set_up(net, data, goal, recipe, seed, static, pick_device(device))
    state = load_state(state_file, run.modules, run.optimizer, run.identity) or State()
    state.memory = {name: value.to(run.place) for name, value in state.memory.items()}
    shown = run.average or net
    validation, probe = _few(data.validation, run.place), None if probe is None else _few(probe, run.place)
    per_epoch = math.ceil(len(run.data) / recipe.batch)
    steps = max(1, round(recipe.epochs * per_epoch))
    saved = time.monotonic()
    order: tuple[Tensor, ...] = ()
    while state.step < steps:
        epoch, index = divmod(state.step, per_epoch)
        if not order or index == 0:
            order = batches(len(run.data), recipe.batch, seed=seed, epoch=epoch)
        ends = state.step + 1 == steps or index + 1 == per_epoch
        due = ends or (state_file is not None and time.monotonic() - saved > SAVE_EVERY)
        read = due or state.step % 10 == 0  # one read of the host in ten steps, and before anything is saved
        rate = recipe.rate(state.step, steps)
        loss = _learn(run, state, order[index], rate, state.step / steps)
        if read and not loss.isfinite():
            raise _divergence(f"the loss became {float(loss)}", state.step + 1, state_file)
        run.step()
        state.step += 1
        if due and not all(bool(parameter.isfinite().all()) for parameter in net.parameters()):
            raise _divergence("a parameter became NaN or infinite", state.step, state_file)
        event = TrainingProgress(state.step, steps, float(loss) if read else None, rate)
        if ends:
            event = _validation(shown, validation, probe, goal, event, state.history)
            state.history.append({"epoch": state.step / per_epoch, **asdict(event)})
        if due and state_file:
            save_state(state_file, run.modules, run.optimizer, state, run.identity)
            saved = time.monotonic()
        yield event
    if run.average:
        net.load_state_dict(run.average.module.state_dict())


class _Run(NamedTuple):
    """What stays the same from step to step."""

    fabric: Any
    learner: Learner
    optimizer: Any
    average: AveragedModel | None
    place: torch.device
    data: Split
    augment: Augment
    goal: Goal
    seed: int
    identity: str

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is saved: the net, and its running mean if there is one."""
        return {"net": self.learner.net} | ({"average": self.average} if self.average else {})

    def step(self) -> None:
        """Move the parameters along their gradients, and their running mean after them."""
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.learner.net)


def _set_up(
    net: nn.Module,
    data: DataSet,
    goal: Goal,
    recipe: Recipe,
    seed: int,
    static: Sequence[nn.Module],
    place: torch.device,
) -> _Run:
    """Fabric on this device, and what it made of the nets and the optimiser."""
    from lightning_fabric import Fabric  # here, because importing it takes as long as importing torch

    half = recipe.precision == "fast" and fast_dtype(place.type) == torch.bfloat16
    devices = [place.index or 0] if place.type == "cuda" else 1
    fabric = Fabric(accelerator=place.type, devices=devices, precision="bf16-mixed" if half else "32-true")
    if getattr(net, "channels_last", False):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimizer = fabric.setup(net, recipe.over(net.parameters()))
    lent = tuple(copy.deepcopy(other).to(place) for other in static)
    for other in lent:
        _check_static(other, data, place)
    learner, average = Learner(net, wrapped, lent), recipe.average_of(net)
    identity = identity_of(learner, data, goal, recipe, seed, half)
    augment = default_augment(data.name)
    return _Run(fabric, learner, optimizer, average, place, data.train.to(place), augment, goal, seed, identity)


def _few(split: Split, place: torch.device) -> Split:
    """At most 500 of the images, on the device."""
    return split.take(min(500, len(split))).to(place)


def _learn(run: _Run, state: State, rows: Tensor, rate: float, done: float) -> Tensor:
    """Gradients of the parameters on one batch, the goal's memory brought up to date; the mean loss."""
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    at = Moment(state.step, done, run.seed * 1_000_003 + state.step)
    with seeded(at.seed, run.place):
        rows = rows.to(run.place)
        run.learner.net.train()
        x, y = run.augment(run.data.x(rows), at.seed), run.data.labels[rows]
        losses, state.memory = run.goal.losses(run.learner, x, y, at, state.memory)
        loss = losses.mean()
        run.optimizer.zero_grad()
        run.fabric.backward(loss)
    return loss.detach()


def _check_static(net: nn.Module, data: DataSet, place: torch.device) -> None:
    """Raise `BrittleError` unless a static net takes these images and knows these classes."""
    try:
        with torch.no_grad(), eval_mode(net):
            classes = logits_of(net(data.validation.take(1).to(place).x())).shape[1]
    except RuntimeError as error:
        raise BrittleError(
            f"a static net does not take images {list(data.shape)} ({str(error).splitlines()[0]})"
        ) from None
    if classes != len(data.classes):
        raise BrittleError(f"a static net has {classes} classes, but {data.name} has {len(data.classes)}")


def _divergence(what: str, step: int, state_file: Path | None) -> BrittleError:
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


def _validation(
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
