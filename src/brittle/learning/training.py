"""The one training loop, on Lightning Fabric. It yields progress; it resumes from its own state file, bit for bit on a CPU."""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from brittle.attacks import Threat, against, logits_of, pgd, session
from brittle.ground import BrittleError, eval_mode, fast_dtype, keep_freed_memory, pick_device, seeded

from .checkpoints import load_tensors, save_tensors
from .data import DataSet, Split, batches, default_augment
from .goals import Goal, Learner, Memory, Moment

FORMAT = "brittle-training/1"
SAVE_EVERY = 20.0  # seconds between saved states
COLLAPSE = 0.5  # robust accuracy below this share of its best is called a collapse


@dataclass(frozen=True)
class Recipe:
    """How the parameters move.

    Attributes:
        epochs: passes over the training images; may be a fraction.
        batch: examples per step.
        optimizer: `adam` or `sgd` (momentum 0.9).
        lr: the largest learning rate.
        schedule: `triangular` (up over the first 2/5, down to 0), `cosine`, `step` (x0.1 at 1/2, 3/4 and 9/10) or `constant`.
        weight_decay: L2 penalty of the optimiser.
        precision: `fast` (bfloat16 where the device multiplies it) or `float32`.
    """

    epochs: float = 2.0
    batch: int = 128
    optimizer: str = "adam"
    lr: float = 2e-3
    schedule: str = "triangular"
    weight_decay: float = 0.0
    precision: str = "fast"

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", float(self.epochs))  # 20 and 20.0 are one declaration
        if self.epochs <= 0 or self.batch < 1 or not self.lr > 0:
            raise BrittleError(f"training needs epochs > 0, batch >= 1 and lr > 0, not {self.epochs}, {self.batch}, {self.lr}")
        for value, known in (
            (self.optimizer, OPTIMIZERS),
            (self.schedule, SCHEDULES),
            (self.precision, ("fast", "float32")),
        ):
            if value not in known:
                raise BrittleError(f"{value!r} is unknown; choose one of {', '.join(known)}")


def _triangular(done: float) -> float:
    return done / 0.4 if done < 0.4 else (1 - done) / 0.6


def _stepped(done: float) -> float:
    return 0.1 ** sum(done >= drop for drop in (0.5, 0.75, 0.9))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "triangular": _triangular,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "step": _stepped,
    "constant": lambda done: 1.0,
}
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Progress:
    """What the loop says as it goes: now and then the loss of a step; at each epoch's end accuracies on validation images.

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


@dataclass
class State:
    """All that a resumed run needs beside the net and the optimiser: step, what was seen, what the goal remembers."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    memory: Memory = field(default_factory=dict)


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
) -> Iterator[Progress]:
    """Train `net` in place, yielding `Progress`; the last one's history is in `history_of(state_file)` and in each epoch's event.

    Every step is a function of (seed, step): batch, augmentation, attack and dropout are keyed by them, so that a run that is
    killed and resumed from `state_file` gives the same bits as one that was not.

    Args:
        net: takes images in [0, 1]; moved to the device.
        static: nets trained before, through which the goal may attack; not changed.
        probe: other images on which the net is tried after each epoch; nothing is chosen by them.
        state_file: written every 20 s and at each epoch's end; read if it is there.
        device: `auto`, `cpu`, `cuda`, ...
    Raises:
        BrittleError: the loss became NaN or infinite (the state before stays in `state_file`), a state of other training,
            a static net for other images or classes, or data with nothing to learn from.
    Cost: per step, the goal's gradients with respect to the input plus one with respect to the parameters.
    """
    from lightning_fabric import Fabric  # here, because importing it takes as long as importing torch

    if not len(data.train):
        raise BrittleError(f"{data.name} has test images alone; there is nothing in it to learn from")
    keep_freed_memory()
    place = pick_device(device)
    half = recipe.precision == "fast" and fast_dtype(place.type) == torch.bfloat16
    devices = [place.index or 0] if place.type == "cuda" else 1
    fabric = Fabric(accelerator=place.type, devices=devices, precision="bf16-mixed" if half else "32-true")
    if getattr(net, "channels_last", False):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, optimizer = fabric.setup(net, _optimizer(net, recipe))
    learner = Learner(net, wrapped, tuple(_fitting(copy.deepcopy(other).to(place), data, place) for other in static))
    identity = _identity(learner, data, goal, recipe, seed, half)
    state = _restore(state_file, net, optimizer, identity) or State()
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
        at = Moment(state.step, state.step / steps, seed * 1_000_003 + state.step)
        rate = recipe.lr * SCHEDULES[recipe.schedule]((state.step + 1) / steps if recipe.schedule == "triangular" else at.done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with seeded(at.seed, place):
            rows = order[index].to(place)
            wrapped.train()
            x, y = augment(learned.x(rows), at.seed), learned.labels[rows]
            losses, state.memory = goal.losses(learner, x, y, at, state.memory)
            loss = losses.mean()
            optimizer.zero_grad()
            fabric.backward(loss)
        ends = state.step + 1 == steps or index + 1 == per_epoch
        due = ends or (state_file is not None and time.monotonic() - saved > SAVE_EVERY)
        if due or state.step % 10 == 0:  # one read of the host in ten steps, and before anything is saved
            _check(float(loss.detach()), state.step, state_file)
        optimizer.step()
        state.step += 1
        if due and not all(bool(parameter.isfinite().all()) for parameter in net.parameters()):
            raise _lost("a parameter became NaN or infinite", state.step, state_file)
        event = Progress(state.step, steps, float(loss.detach()) if due or state.step % 10 == 1 else None, rate)
        if ends:
            event = _validated(net, validation, probe, goal, event, state.history)
            state.history.append({"epoch": state.step / per_epoch, **asdict(event)})
        if due and state_file:
            _save(state_file, net, optimizer, state, identity)
            saved = time.monotonic()
        yield event


def _fitting(net: nn.Module, data: DataSet, place: torch.device) -> nn.Module:
    """A static net, if it takes these images and knows these classes."""
    try:
        with torch.no_grad(), eval_mode(net):
            classes = logits_of(net(data.validation.take(1).to(place).x())).shape[1]
    except RuntimeError as error:
        raise BrittleError(f"a static net does not take images {list(data.shape)} ({str(error).splitlines()[0]})") from None
    if classes != len(data.classes):
        raise BrittleError(f"a static net has {classes} classes, but {data.name} has {len(data.classes)}")
    return net


def _check(loss: float, step: int, state_file: Path | None) -> None:
    if not math.isfinite(loss):
        raise _lost(f"the loss became {loss}", step + 1, state_file)


def _lost(what: str, step: int, state_file: Path | None) -> BrittleError:
    kept = f"; the state before it is in {state_file}" if state_file and state_file.exists() else ""
    return BrittleError(f"{what} at step {step}{kept}; try a smaller --lr")


def history_of(state_file: Path) -> list[dict[str, Any]]:
    """The epochs of a training run, from its state file."""
    return list(load_tensors(state_file)[1]["state"]["history"])


def accuracy(net: nn.Module, split: Split, threat: Threat | None = None, steps: int = 10, batch: int = 500) -> float:
    """Share of right answers in eval mode; with a threat, of answers still right under PGD."""
    right = 0
    for start in range(0, len(split), batch):
        rows = slice(start, start + batch)
        x, y = split.x(rows), split.labels[rows]
        if threat is not None:
            right += int((~pgd(against(net, precision="fast"), threat, steps=steps).run(x, y).fooled).sum())
        else:
            with session(against(net)) as see, torch.no_grad():
                right += int((~see(x, y).fooled).sum())
    return right / len(split)


def _validated(
    net: nn.Module, validation: Split, probe: Split | None, goal: Goal, event: Progress, history: list[dict[str, Any]]
) -> Progress:
    clean, real = accuracy(net, validation), None if probe is None else accuracy(net, probe)
    robust = min((accuracy(net, validation, threat) for threat in goal.threats), default=None)
    best = max((epoch["robust"] or 0.0 for epoch in history), default=0.0)
    alarm = None
    if robust is not None and best > 0.1 and robust < COLLAPSE * best:
        alarm = f"robust accuracy fell from {best:.1%} to {robust:.1%}: catastrophic overfitting; use more steps or a smaller step"
    return replace(event, clean=clean, robust=robust, real=real, alarm=alarm)


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(net.parameters(), lr=recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)


def _identity(learner: Learner, data: DataSet, goal: Goal, recipe: Recipe, seed: int, half: bool) -> str:
    digests = data.train.digest, data.validation.digest
    said = f"{data.name} {digests} {goal!r} {recipe!r} seed {seed} half {half} torch {torch.__version__} {learner.net!r}"
    digest = hashlib.sha256(said.encode())
    for net in learner.static:
        digest.update(save({name: value.contiguous().cpu() for name, value in net.state_dict().items()}))
    return digest.hexdigest()


def _save(path: Path, net: nn.Module, optimizer: Any, state: State, identity: str) -> None:
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items() if isinstance(value, Tensor)}
    tensors |= {f"memory.{name}": value for name, value in state.memory.items()}
    held = {"step": state.step, "history": state.history}
    save_tensors(path, tensors, {"format": FORMAT, "identity": identity, "state": held})


def _restore(path: Path | None, net: nn.Module, optimizer: Any, identity: str) -> State | None:
    if path is None or not path.exists():
        return None
    tensors, header = load_tensors(path)
    if header.get("format") != FORMAT or header.get("identity") != identity:
        raise BrittleError(f"{path} holds the state of other training; give another --out, or --fresh to start over")
    net.load_state_dict({name.removeprefix("net."): value for name, value in tensors.items() if name.startswith("net.")})
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".", 2)
            slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    memory = {name.removeprefix("memory."): value for name, value in tensors.items() if name.startswith("memory.")}
    return State(**header["state"], memory=memory)
