"""The one training loop, on Lightning Fabric. It yields progress; it resumes from its own state file, bit for bit on a
CPU with as many threads."""

import copy
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from brittle.attacks import answer_of, check_classes
from brittle.ground import (
    BrittleError,
    World,
    check_seed,
    eval_mode,
    fast_dtype,
    first_line,
    keep_freed_memory,
    pick_device,
    seeded,
    world,
)

from .data import Augment, DataSet, Split, batches, default_augment
from .goals import Goal, Learner, Moment
from .progress import TrainingProgress, validated
from .recipe import Recipe
from .sharing import own_mean, own_rows, strategy_of
from .training_state import State, identity_of, load_state, save_state

SAVE_EVERY = 20.0  # seconds between saved states
TRIED = 500  # images held out, at most, on which a net is tried after each epoch


def train(
    net: nn.Module,
    data: DataSet,
    goal: Goal,
    recipe: Recipe,
    *,
    seed: int = 0,
    static: Sequence[nn.Module] = (),
    probe: Split | None = None,
    state_file: str | Path | None = None,
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
        device: `auto`, `cpu`, `cuda`, ... In one process of several (`world`), batches are shared between all: the same
            losses but for rounding, save that batch norm and dropout look at each part alone.
    Raises:
        BrittleError: the loss became NaN or infinite (the state before stays in `state_file`), a state of other
            training, a static net for other images or classes, or data with nothing to learn from.
    Cost: per step, the goal's gradients with respect to the input plus one with respect to the parameters.
    """
    if not len(data.train):
        raise BrittleError(f"{data.name} has test images alone; there is nothing in it to learn from")
    if not len(data.validation):
        raise BrittleError(f"{data.name} has too few images to hold some out; give every class at least 5")
    check_seed(seed)
    keep_freed_memory()
    state_file = None if state_file is None else Path(state_file)
    run = _set_up(net, data, goal, recipe, seed, static, state_file, pick_device(device))
    state = load_state(state_file, run.modules, run.optimizer, run.identity) or State()
    state.memory = {name: value.to(run.place) for name, value in state.memory.items()}
    validation, probe = _few(data.validation, run.place), None if probe is None else _few(probe, run.place)
    saved = time.monotonic()
    order: tuple[Tensor, ...] = ()
    while state.step < run.last:
        epoch, index = divmod(state.step, run.per_epoch)
        if not order or index == 0:
            rows = torch.cat(batches(len(run.data), recipe.batch, seed=seed, epoch=epoch))
            order = torch.split(
                rows.to(run.place), recipe.batch
            )  # on the device at once: a copy a step would be waited for
        ends = state.step + 1 == run.last or index + 1 == run.per_epoch
        due = ends or (state_file is not None and time.monotonic() - saved > SAVE_EVERY)
        rate, loss = recipe.rate(state.step, run.steps), _step(run, state, order[index], due)
        event = TrainingProgress(state.step, run.last, loss, rate)
        if ends:
            event = validated(run.average or net, validation, probe, goal, event, state.history)
            state.history.append({"epoch": state.step / run.per_epoch, **asdict(event)})
        if due and state_file and not run.world.helps:
            save_state(state_file, run.modules, run.optimizer, state, run.identity)
        if due:
            saved = time.monotonic()
        yield event
    if run.average:
        net.load_state_dict(run.average.module.state_dict())


@dataclass(frozen=True)
class _Run:
    """What stays the same from step to step."""

    goal: Goal
    recipe: Recipe
    seed: int
    data: Split
    augment: Augment
    learner: Learner
    optimizer: Any
    average: AveragedModel | None
    fabric: Any
    world: World
    place: torch.device
    state_file: Path | None
    identity: str

    @property
    def per_epoch(self) -> int:
        return math.ceil(len(self.data) / self.recipe.batch)

    @property
    def steps(self) -> int:
        return max(1, round(self.recipe.epochs * self.per_epoch))

    @property
    def last(self) -> int:
        return self.steps if self.recipe.until is None else max(1, round(self.recipe.until * self.per_epoch))

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is saved: the net, and its running mean if there is one."""
        return {"net": self.learner.net} | ({"average": self.average} if self.average else {})


def _set_up(
    net: nn.Module,
    data: DataSet,
    goal: Goal,
    recipe: Recipe,
    seed: int,
    static: Sequence[nn.Module],
    state_file: Path | None,
    place: torch.device,
) -> _Run:
    """Fabric on this device, and what it made of the nets and the optimiser."""
    from lightning_fabric import Fabric  # here, because importing it takes as long as importing torch

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it prints the precision at each training
    half = recipe.precision == "fast" and fast_dtype(place.type) == torch.bfloat16
    devices = [place.index or 0] if place.type == "cuda" else 1
    spread = {"devices": devices} | strategy_of(world())
    fabric = Fabric(accelerator=place.type, precision="bf16-mixed" if half else "32-true", **spread)
    fabric.launch()
    if getattr(net, "channels_last", False):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimizer = fabric.setup(net, recipe.over(net.parameters()))
    lent = tuple(copy.deepcopy(other).to(place) for other in static)
    for other in lent:
        _check_static(other, data, place)
    learner, train_split = Learner(net, wrapped, lent), data.train.to(place)
    if goal.threats:  # attacks in a step do not look at labels themselves: it would be waited for
        with seeded(seed, place):
            check_classes(train_split.labels, _classes(net, data, place))
    if min(recipe.batch, len(data.train) % recipe.batch or recipe.batch) == 1:
        _check_alone(net, data.train, recipe.batch, place)
    return _Run(
        goal,
        recipe,
        seed,
        train_split,
        default_augment(data.name),
        learner,
        optimizer,
        recipe.average_of(net),
        fabric,
        world(),
        place,
        state_file,
        identity_of(learner, data, goal, recipe, seed, half),
    )


def _few(split: Split, place: torch.device) -> Split:
    """At most `TRIED` of the images, on the device."""
    return split.take(min(TRIED, len(split))).to(place)


def _step(run: _Run, state: State, rows: Tensor, due: bool) -> float | None:
    """One step. The loss is read by the host, and then told, once in ten steps and where something is due to be
    saved."""
    read = due or state.step % 10 == 0
    loss = _gradients(run, state, rows)
    if read and not loss.isfinite():
        raise _divergence(f"the loss became {float(loss)}", state.step + 1, run.state_file)
    run.optimizer.step()
    if run.average:
        run.average.update_parameters(run.learner.net)
    state.step += 1
    if due and not torch.stack([one.isfinite().all() for one in run.learner.net.parameters()]).all():
        raise _divergence("a parameter became NaN or infinite", state.step, run.state_file)
    return float(loss) if read else None


def _gradients(run: _Run, state: State, rows: Tensor) -> Tensor:
    """The mean loss of a batch, its gradients in the parameters and its learning rate in the optimiser; the goal's
    memory is brought up to date."""
    for group in run.optimizer.param_groups:
        group["lr"] = run.recipe.rate(state.step, run.steps)
    at = Moment(state.step, state.step / run.steps, run.seed * 1_000_003 + state.step)
    with seeded(at.seed, run.place):
        run.learner.net.train()
        x, y = run.augment(run.data.x(rows), at.seed), run.data.labels[rows]
        mine = own_rows(len(y), run.world)
        losses, state.memory = run.goal.losses(run.learner, x[mine], y[mine], at, state.memory)
        loss = own_mean(losses, len(y), run.world, state.memory)
        run.optimizer.zero_grad()
        run.fabric.backward(loss)
    return run.fabric.all_reduce(loss.detach())  # type: ignore[no-any-return]


def _check_alone(net: nn.Module, split: Split, batch: int, place: torch.device) -> None:
    """Raise `BrittleError` if the net cannot be trained on one image alone."""
    try:
        copy.deepcopy(net).train()(split.take(1).to(place).x())
    except ValueError as error:
        raise BrittleError(
            f"batches of {batch} leave one of {len(split)} images alone, and this net cannot be trained on one "
            f"({first_line(error)}); take another --batch"
        ) from None


def _check_static(net: nn.Module, data: DataSet, place: torch.device) -> None:
    """Raise `BrittleError` unless a static net takes these images and knows these classes."""
    try:
        classes = _classes(net, data, place)
    except BrittleError as error:
        raise BrittleError(f"a static net does not fit these data: {error}") from None
    if classes != len(data.classes):
        raise BrittleError(f"a static net has {classes} classes, but {data.name} has {len(data.classes)}")


def _classes(net: nn.Module, data: DataSet, place: torch.device) -> int:
    """How many classes a net tells apart."""
    with torch.no_grad(), eval_mode(net):
        return answer_of(net, data.validation.take(1).to(place).x()).shape[1]


def _divergence(what: str, step: int, state_file: Path | None) -> BrittleError:
    kept = f"; the state before it is in {state_file}" if state_file and state_file.exists() else ""
    return BrittleError(f"{what} at step {step}{kept}; try a smaller --lr")
