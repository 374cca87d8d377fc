"""The recipe against torch's own optimisers and schedules, step by step through `train`; and what training keeps to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, MultiStepLR

from brittle.attacks import Linf
from brittle.ground import BrittleError
from brittle.learning import (
    Adversarial,
    DataSet,
    Goal,
    InnerAttack,
    Learner,
    Memory,
    Moment,
    Recipe,
    Standard,
    TrainingProgress,
    accuracy,
    batches,
    build_net,
    load,
    train,
)

BATCH, EPOCHS = 32, 2
STEPS = 20  # of BATCH out of 320 images, twice


def data() -> DataSet:
    digits = load("digits")
    return DataSet("digits", digits.train.take(320), digits.validation.take(40), digits.test.take(40))


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return build_net("mlp", (1, 8, 8), 10)


def recipe(**changes: Any) -> Recipe:
    return replace(Recipe(EPOCHS, BATCH, precision="float32"), **changes)


def values(net: nn.Module) -> list[Tensor]:
    return [value.detach().clone() for value in net.parameters()]


def events(net: nn.Module, how: Recipe, goal: Goal | None = None, **more: Any) -> Iterator[TrainingProgress]:
    return train(net, more.pop("data", None) or data(), goal or Standard(), how, seed=5, device="cpu", **more)


def plain_loop(net: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> Iterator[list[Tensor]]:
    """What anybody would write with torch alone; the parameters after each step."""
    part = data().train
    for epoch in range(EPOCHS):
        for rows in batches(len(part), BATCH, seed=5, epoch=epoch):
            optimizer.zero_grad()
            F.cross_entropy(net(part.x(rows)), part.labels[rows]).backward()
            optimizer.step()
            schedule.step()
            yield values(net)


OPTIMIZERS: dict[str, tuple[dict[str, Any], Callable[[Any], Optimizer]]] = {
    "sgd": (
        {"optimizer": "sgd", "lr": 0.05},
        lambda p: SGD(p, 0.05, momentum=0.9, dampening=0, weight_decay=0, nesterov=False),
    ),
    "sgd with weight decay": (
        {"optimizer": "sgd", "lr": 0.05, "weight_decay": 0.02},
        lambda p: SGD(p, 0.05, momentum=0.9, dampening=0, weight_decay=0.02, nesterov=False),
    ),
    "adam": (
        {"optimizer": "adam", "lr": 2e-3},
        lambda p: Adam(p, 2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False),
    ),
    "adam with weight decay": (
        {"optimizer": "adam", "lr": 2e-3, "weight_decay": 0.02},
        lambda p: Adam(p, 2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.02, amsgrad=False),
    ),
}
SCHEDULES: dict[str, Callable[[Optimizer], LRScheduler]] = {
    "constant": lambda optimizer: ConstantLR(optimizer, factor=1.0),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, STEPS),
    "step": lambda optimizer: MultiStepLR(optimizer, [STEPS // 2, STEPS * 3 // 4, STEPS * 9 // 10], gamma=0.1),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_torchs_own_optimiser_and_schedule_step_by_step(optimizer: str, schedule: str) -> None:
    settings, build = OPTIMIZERS[optimizer]
    ours, theirs = fresh(), fresh()
    written = build(theirs.parameters())
    plain = plain_loop(theirs, written, SCHEDULES[schedule](written))
    count = 0
    for event, expected in zip(events(ours, recipe(schedule=schedule, **settings)), plain, strict=True):
        count += 1
        assert event.steps == STEPS
        for value, other in zip(values(ours), expected, strict=True):
            assert torch.allclose(value, other, rtol=1e-5, atol=1e-6)
    assert count == STEPS
    assert not torch.allclose(values(ours)[0], values(fresh())[0], atol=1e-2)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [20, 40])
def test_learning_rates_are_those_of_torchs_schedules(schedule: str, steps: int) -> None:
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 0.3)
    theirs = {
        "constant": lambda: ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: CosineAnnealingLR(optimizer, steps),
        "step": lambda: MultiStepLR(optimizer, [steps // 2, steps * 3 // 4, steps * 9 // 10], gamma=0.1),
    }[schedule]()
    how = Recipe(lr=0.3, schedule=schedule)
    for step in range(steps):
        assert how.rate(step, steps) == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        theirs.step()


def test_the_triangle_peaks_at_two_fifths_and_ends_at_0() -> None:
    how = Recipe(lr=0.6, schedule="triangular")
    written = [0.15, 0.3, 0.45, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert [how.rate(step, 10) for step in range(10)] == pytest.approx(written)
    assert [event.lr for event in events(fresh(), recipe(lr=0.6, optimizer="sgd"))] == pytest.approx(
        [0.6 * min((k + 1) / 8, (20 - k - 1) / 12) for k in range(20)]
    )


def test_steps_are_shares_of_epochs_and_the_last_batch_may_be_smaller() -> None:
    for epochs, batch, steps in ((1.5, 32, 15), (1, 100, 4), (0.01, 32, 1), (2, 320, 2)):
        told = list(events(fresh(), recipe(epochs=epochs, batch=batch)))
        assert [event.step for event in told] == list(range(1, steps + 1))
        assert told[-1].clean is not None


# Averaging


def test_the_running_mean_is_the_written_out_one_and_is_what_is_kept_and_tried() -> None:
    net, how = fresh(), recipe(optimizer="sgd", lr=0.1, averaging=0.8, schedule="constant")
    mean: list[Tensor] = []
    for event in events(net, how):
        now = values(net)
        mean = [0.8 * old + 0.2 * new for old, new in zip(mean, now, strict=True)] if mean else now
        last = event
    assert all(torch.allclose(value, kept, rtol=1e-5, atol=1e-6) for value, kept in zip(mean, values(net), strict=True))
    assert not all(torch.allclose(a, b, atol=1e-4) for a, b in zip(now, values(net), strict=True))
    assert last.clean == accuracy(net, data().validation)
    raw = fresh()
    list(events(raw, replace(how, averaging=0.0)))
    assert all(torch.equal(a, b) for a, b in zip(values(raw), now, strict=True)), "averaging does not move the training"


def test_training_that_stops_short_is_the_beginning_of_the_whole() -> None:
    whole, part = fresh(), fresh()
    steps = len(batches(len(data().train), BATCH, seed=5, epoch=0))
    for event in events(whole, recipe()):
        if event.step == steps:
            there = values(whole)
    told = list(events(part, recipe(until=1)))
    assert len(told) == told[-1].steps == steps
    assert all(torch.equal(a, b) for a, b in zip(values(part), there, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(values(part), values(whole), strict=True))
    with pytest.raises(BrittleError, match="cannot stop after 9"):
        recipe(until=9)


def test_statistics_of_batch_norms_are_averaged_like_parameters() -> None:
    torch.manual_seed(0)
    net, mean = build_net("small", (1, 8, 8), 10), {}
    for _ in events(net, recipe(averaging=0.8)):
        now = {name: value.detach().clone() for name, value in net.named_buffers() if value.is_floating_point()}
        mean = {name: 0.8 * mean[name] + 0.2 * value for name, value in now.items()} if mean else now
    assert len(mean) > 2
    kept = dict(net.named_buffers())
    assert all(torch.allclose(value, kept[name], rtol=1e-5, atol=1e-6) for name, value in mean.items())
    assert not all(torch.allclose(value, kept[name], rtol=1e-3) for name, value in now.items())


@pytest.mark.parametrize("kind", ["mlp", "small"])  # without and with batch norm
def test_averaged_training_resumes_to_the_same_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brittle.learning.training.SAVE_EVERY", 0.0)

    def run(file: Path, stops: tuple[int, ...]) -> dict[str, Tensor]:
        for stop in (*stops, 10**6):
            torch.manual_seed(0)
            net = build_net(kind, (1, 8, 8), 10)
            for event in events(net, recipe(averaging=0.9), state_file=file):
                if event.step == stop:
                    break
        return net.state_dict()

    whole = run(tmp_path / "a", ())
    for stops in ((3, 11), (STEPS - 1,), (STEPS,)):
        parts = run(tmp_path / f"b{stops}", stops)
        assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_a_recipe_without_averaging_is_declared_as_before_there_was_any() -> None:
    from brittle.studies import declaration_of

    assert "averaging" not in declaration_of(Recipe())
    assert declaration_of(Recipe(averaging=0.9))["averaging"] == 0.9


# What training keeps to


@dataclass(frozen=True)
class Listening:
    """Standard training that writes down where it is told to stand."""

    heard: list[tuple[Moment, float]]

    threats = ()
    cost = 1.0

    def __repr__(self) -> str:
        return "Listening"

    def losses(self, learner: Learner, x: Tensor, y: Tensor, at: Moment, memory: Memory) -> tuple[Tensor, Memory]:
        count = memory["count"] if memory else torch.zeros(())
        self.heard.append((at, float(count)))
        return F.cross_entropy(learner.forward(x), y, reduction="none"), {"count": count + 1}


def test_a_goal_is_told_its_step_its_share_its_own_seed_and_what_it_remembered() -> None:
    heard: list[tuple[Moment, float]] = []
    list(events(fresh(), recipe(), Listening(heard)))
    assert [at.step for at, _ in heard] == list(range(STEPS))
    assert [at.done for at, _ in heard] == pytest.approx([step / STEPS for step in range(STEPS)])
    assert len({at.seed for at, _ in heard}) == STEPS
    assert [count for _, count in heard] == list(range(STEPS))
    others: list[tuple[Moment, float]] = []
    list(train(fresh(), data(), Listening(others), recipe(), seed=6, device="cpu"))
    assert not {at.seed for at, _ in heard} & {at.seed for at, _ in others}


def test_neither_learning_nor_validation_sees_a_test_image() -> None:
    usual = data()
    other = DataSet("digits", usual.train, usual.validation, replace(usual.test, pixels=255 - usual.test.images))
    goal, nets, told = Adversarial((Linf(0.1),), InnerAttack(steps=2)), (fresh(), fresh()), []
    for net, given in zip(nets, (usual, other), strict=True):
        told.append([(event.loss, event.clean, event.robust) for event in events(net, recipe(), goal, data=given)])
    assert told[0] == told[1]
    assert all(torch.equal(a, b) for a, b in zip(*map(values, nets), strict=True))


def test_validation_is_of_the_validation_images_and_learning_of_the_training_images() -> None:
    usual, net = data(), fresh()
    wrong = replace(usual.validation, labels=(usual.validation.labels + 1) % 10)
    *_, last = events(net, recipe(), data=DataSet("digits", usual.train, wrong, usual.test))
    assert last.clean == accuracy(net, wrong) < 0.3
    assert accuracy(net, usual.train) > 0.6


def test_the_net_learns_in_train_mode_and_is_tried_in_eval_mode() -> None:
    modes: list[bool] = []
    net = fresh()
    net.register_forward_hook(lambda module, given, answer: modes.append(module.training))
    list(events(net, recipe(epochs=0.1)))
    assert modes == [True, False]  # one step, then the validation images
    assert net.training


def test_a_wrong_recipe_is_one_line() -> None:
    for changes, said in (
        ({"weight_decay": -1.0}, "weight_decay >= 0"),
        ({"averaging": 1.0}, "averaging < 1"),
        ({"schedule": "linear"}, "'linear' is unknown"),
        ({"precision": "float8"}, "'float8' is unknown"),
    ):
        with pytest.raises(BrittleError, match=said):
            recipe(**changes)
