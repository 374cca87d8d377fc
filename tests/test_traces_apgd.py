"""APGD and what walks with its steps against Algorithm 1, written out again in numpy: the same path, step by step."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from brittle.attacks import (
    L0,
    L1,
    L2,
    Ball,
    Linf,
    Threat,
    against,
    apgd,
    margin,
    second_order_apgd,
    second_order_mim,
)
from brittle.attacks.named.apgd import checkpoint_steps
from brittle.ground import normal
from reference import (
    SIZE,
    Curved,
    Point,
    Vector,
    by_loss,
    examples,
    images,
    nearest,
    noise,
    one_hot,
    same_path,
    steepest_in,
    trace,
)


def authors_checkpoints(steps: int) -> list[int]:
    """Counted step by step, with the authors' integers."""
    gap, least, less = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1), max(int(0.03 * steps), 1)
    found, since = [], 0
    for step in range(1, steps + 1):
        since += 1
        if since == gap:
            found.append(step)
            gap, since = max(gap - less, least), 0
    return found


def test_checkpoints_of_apgd_are_the_authors() -> None:
    hundred = {22: 22, 41: 19, 57: 16, 70: 13, 80: 10, 87: 7, 93: 6, 99: 6}
    assert checkpoint_steps(100) == hundred
    assert list(checkpoint_steps(50)) == [11, 21, 30, 38, 45]
    assert list(checkpoint_steps(20)) == [4, 7, 9, *range(10, 21)]
    for steps in range(1, 400):
        found = checkpoint_steps(steps)
        assert list(found) == authors_checkpoints(steps)
        assert list(found.values()) == np.diff([0, *found]).tolist()


class Climb:
    """Algorithm 1 of Croce and Hein 2020 on one image, in the order of the paper: step, look, and at times check."""

    def __init__(self, loss: Callable[[Vector], float], grad: Point, threat: Threat, steps: int) -> None:
        self.loss, self.grad, self.threat, self.steps = loss, grad, threat, steps  # each gradient is asked once
        self.halved: list[int] = []  # checkpoints at which the step was halved
        self.rises: list[tuple[int, int]] = []  # steps that raised the loss, of so many, at each checkpoint

    def points(self, x0: Vector) -> list[Vector]:
        step, checks, last = 2 * self.threat.radius, authors_checkpoints(self.steps), 0
        x = before = best = x0
        grad = best_grad = self.grad(x0)
        found, losses, best_loss = [x0], [self.loss(x0)], self.loss(x0)
        at_last, halved_last = best_loss, True  # nothing is known before the first checkpoint
        for k in range(self.steps):
            z = nearest(self.threat, x0, x + step * steepest_in(self.threat, grad))
            weight = 1.0 if k == 0 else 0.75
            moved = nearest(self.threat, x0, x + weight * (z - x) + (1 - weight) * (x - before))
            x, before, grad = moved, x, self.grad(moved)
            found.append(x)
            losses.append(self.loss(x))
            if losses[-1] > best_loss:
                best, best_grad, best_loss = x, grad, losses[-1]
            if k + 1 in checks:
                rises = sum(losses[i] > losses[i - 1] for i in range(last + 1, k + 2))
                self.rises.append((rises, k + 1 - last))
                idle = not halved_last and at_last >= best_loss
                halved_last = rises <= 0.75 * (k + 1 - last) or idle
                if halved_last:
                    step, x, grad = step / 2, best, best_grad
                    self.halved.append(k + 1)
                at_last, last = best_loss, k + 1
        return found


Number = Callable[[Vector], Vector]
ONE_VARIABLE: dict[str, tuple[Number, Number]] = {  # loss and derivative, of a number in [0, 1]
    "linear": (lambda x: 3 * x, lambda x: 3 + 0 * x),
    "bump": (lambda x: -((x - 0.47) ** 2), lambda x: -2 * (x - 0.47)),
    "bumps": (lambda x: np.sin(40 * x) + x, lambda x: 40 * np.cos(40 * x) + 1),
    "steep": (lambda x: -np.abs(x - 0.5123), lambda x: -np.sign(x - 0.5123)),
    "flat": (lambda x: 0 * x, lambda x: 0 * x),
}


class OfOneVariable(torch.autograd.Function):
    """A loss with the derivative that is given, so that both sides compute the same floats."""

    @staticmethod
    def forward(ctx: object, x: Tensor, name: str) -> Tensor:
        ctx.save_for_backward(torch.from_numpy(ONE_VARIABLE[name][1](x.numpy())))  # type: ignore[attr-defined]
        return torch.from_numpy(ONE_VARIABLE[name][0](x.numpy()))

    @staticmethod
    def backward(ctx: object, upper: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return upper * ctx.saved_tensors[0], None  # type: ignore[attr-defined]


@pytest.mark.parametrize("steps", [7, 20, 100])
@pytest.mark.parametrize("name", ONE_VARIABLE)
def test_apgd_walks_algorithm_1_on_functions_of_one_variable(name: str, steps: int) -> None:
    loss, slope = ONE_VARIABLE[name]
    x, y, threat = torch.linspace(0.35, 0.7, 8, dtype=torch.float64)[:, None], torch.zeros(8).long(), Linf(0.11)
    attack = apgd(lambda x, y: OfOneVariable.apply(x, name).sum(1), threat, steps=steps, start="clean")
    climbs = [Climb(lambda x: loss(x).item(), slope, threat, steps) for _ in x]
    expected = [climb.points(x0.numpy()) for climb, x0 in zip(climbs, x, strict=True)]
    np.testing.assert_allclose(trace(attack, x, y), np.stack(expected, 1), rtol=0, atol=1e-12)
    if steps > 7 and name in ("linear", "flat", "bump"):  # soon nothing rises any more
        assert all(climb.halved[0] == authors_checkpoints(steps)[0] for climb in climbs)


def stairs(u: Vector, count: int) -> tuple[float, Vector]:
    """A loss that rises for `count` steps, each in the next coordinate, and then swings about 0.3 in one more."""
    loss, grad = u[0], one_hot(0, u)
    for k in range(1, count + 1):
        lifted = max(u[k - 1] - 0.5, 0.0)
        value, slope = (u[k], 1.0) if k < count else (-abs(u[k] - 0.3), -np.sign(u[k] - 0.3))
        loss = loss + lifted * value
        grad = grad + lifted * slope * one_hot(k, u) + (u[k - 1] > 0.5) * value * one_hot(k - 1, u)
    return float(loss), grad


class Stairs(torch.autograd.Function):
    """The stairs of as many steps as each example's label says, from x = 1/2 in a ball of 1/4."""

    @staticmethod
    def forward(ctx: object, x: Tensor, y: Tensor) -> Tensor:
        both = [stairs((one - 0.5) / 0.25, count) for one, count in images(x.detach(), y)]
        ctx.save_for_backward(torch.from_numpy(np.stack([grad / 0.25 for _, grad in both])))  # type: ignore[attr-defined]
        return torch.tensor([loss for loss, _ in both], dtype=torch.float64)

    @staticmethod
    def backward(ctx: object, upper: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return upper[:, None] * ctx.saved_tensors[0], None  # type: ignore[attr-defined]


@pytest.mark.parametrize("steps", [20, 100])
def test_apgd_halves_its_step_where_no_more_than_three_quarters_of_the_steps_rise(steps: int) -> None:
    counts, threat = torch.arange(1, 26 if steps == 100 else 21), Linf(0.25)
    x = torch.full((len(counts), int(counts[-1]) + 1), 0.5, dtype=torch.float64)
    attack = apgd(Stairs.apply, threat, steps=steps, start="clean")
    expected, first = [], {}
    for x0, count in images(x, counts):
        climb = Climb(
            lambda x, count=count: stairs((x - 0.5) / 0.25, count)[0],
            lambda x, count=count: stairs((x - 0.5) / 0.25, count)[1],
            threat,
            steps,
        )
        expected.append(climb.points(x0))
        first[climb.rises[0][0]] = climb.halved[:1] == authors_checkpoints(steps)[:1]
    same_path(trace(attack, x, counts), expected)
    gap = authors_checkpoints(steps)[0]
    at_most = int(0.75 * gap)  # 3 of 4 (exactly three quarters), 16 of 22
    assert first[at_most]
    assert not first[at_most + 1]


def test_apgd_never_halves_its_step_while_all_steps_rise() -> None:
    x, y = torch.full((1, 102), 0.5, dtype=torch.float64), torch.tensor([101])
    climb = Climb(lambda u: stairs(4 * u - 2, 101)[0], lambda u: stairs(4 * u - 2, 101)[1], Linf(0.25), 100)
    expected = climb.points(x[0].numpy())
    assert climb.halved == []
    assert [rises for rises, _ in climb.rises] == [22, 19, 16, 13, 10, 7, 6, 6]
    same_path(trace(apgd(Stairs.apply, Linf(0.25), steps=100, start="clean"), x, y), [expected])


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3)], ids=str)
def test_apgd_walks_algorithm_1_on_a_model(threat: Ball) -> None:
    model = Curved()
    x, y = examples(model)
    climbs = [
        Climb(
            lambda x, y=y: by_loss(model.logits(x), y, y)["cross_entropy"],
            lambda x, y=y: model.entropy_grad(x, y),
            threat,
            20,
        ).points(x0)
        for x0, y in images(x, y)
    ]
    same_path(trace(apgd(against(model), threat, steps=20, start="clean"), x, y), climbs, 1e-9)


def test_second_order_apgd_walks_along_the_averaged_gradient() -> None:
    model, threat = Curved(), L2(0.3)
    x, y = examples(model)
    attack = second_order_apgd(against(model), threat, steps=8, draws=3, sigma=0.2, start="clean", seed=5)
    expected = []
    for row, (x0, label) in enumerate(images(x, y)):
        calls = iter(range(9))

        def mean(at: Vector, row: int = row, label: int = label, calls: Iterator[int] = calls) -> Vector:
            t = next(calls)
            around = [at + 0.2 * noise(normal, x, 5, 3 * t + k)[row] for k in range(3)]
            return np.mean([model.entropy_grad(one, label) for one in around], 0)

        climb = Climb(lambda x, y=label: by_loss(model.logits(x), y, y)["cross_entropy"], mean, threat, 8)
        expected.append(climb.points(x0))
    same_path(trace(attack, x, y), expected, 1e-9)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3), L0(2)], ids=str)
def test_second_order_mim_adds_up_gradients_near_its_path(threat: Ball) -> None:
    """Steps fall from twice eps (in L0: the whole range) to a hundredth of that along half a cosine."""
    model = Curved(curvature=3)
    x, y = examples(model)
    size, expected = 1.0 if isinstance(threat, L0) else threat.radius, []
    for row, (x0, label) in enumerate(images(x, y)):
        points, g = [x0], np.zeros(SIZE)
        for t in range(6):
            around = [points[-1] + 0.2 * noise(normal, x, 5, 2 * t + k)[row] for k in range(2)]
            grad = np.mean([model.entropy_grad(one, label) for one in around], 0)
            g = 0.7 * g + grad / np.abs(grad).sum()
            free = np.where((points[-1] <= 0) & (g < 0) | (points[-1] >= 1) & (g > 0), 0, g)
            way = free / np.abs(free).max() if isinstance(threat, L0) else steepest_in(threat, g)
            step = 2 * size * (0.01 + 0.99 * (1 + math.cos(math.pi * t / 6)) / 2)
            points.append(nearest(threat, x0, points[-1] + step * way))
        expected.append(points)
    attack = second_order_mim(against(model), threat, steps=6, draws=2, sigma=0.2, decay=0.7, seed=5)
    same_path(trace(attack, x, y), expected, 1e-9)


class SparseClimb:
    """Algorithm 1 of Croce and Hein 2021 (L1) on one image; `asked` are the points at which it looks.

    It stops where a pixel comes back to where it was: rounding says whether it counts as changed from then on.
    """

    def __init__(self, loss: Callable[[Vector], float], grad: Point) -> None:
        self.loss, self.grad = loss, grad
        self.asked: list[Vector] = []
        self.events: list[str] = []
        self.stopped = False

    def phases(self, x0: Vector, eps: float, steps: int) -> None:
        counts = [math.ceil(0.3 * steps), math.ceil(0.3 * steps)]
        start = x0
        for factor, count in zip((3, 2, 1), (*counts, steps - sum(counts)), strict=True):
            start = nearest(L1(1), x0, start, factor * eps)
            points = self.points(x0, start, factor * eps, count)
            self.asked += points[: count + (factor == 1)]
            if self.stopped:
                return
            start = max(points[:count], key=self.loss)

    def points(self, x0: Vector, start: Vector, eps: float, steps: int) -> list[Vector]:
        every, size, step = max(int(0.04 * steps), 1), len(x0), eps
        changed = int((start != x0).sum())
        share, changed = (changed / size / 1.5, changed) if 0 < changed < size else (0.2, size)
        x = best = start
        found = [start]
        for t in range(steps):
            if self.loss(found[-1]) > self.loss(best):
                best = found[-1]
            if t > 0 and t % every == 0:
                now = int((best != x0).sum())
                sparser = now / changed < 0.95
                share, changed = now / size / 1.5, now
                step = eps if sparser else max(step / 1.5, eps / 10)
                x = best if sparser else x
                self.events.append("sparser" if sparser else "least" if step == eps / 10 else "shorter")
            grad = self.grad(x)
            edge = np.sort(np.abs(grad))[min(max(int((1 - share) * size), 0), size - 1)]
            signs = np.where(np.abs(grad) >= edge, np.sign(grad), 0)
            moved = x + step * signs / max(np.abs(signs).sum(), 1)
            touched, x = (signs != 0) | (x != x0), nearest(L1(1), x0, moved, eps)
            before, after = np.abs(moved - x0), np.abs(x - x0)
            shrink = (before - after)[after > 1e-12].min()
            self.stopped = bool((touched & (np.abs(before - shrink) < 1e-12)).any())
            if self.stopped:
                break
            found.append(x)
        return found


@pytest.mark.parametrize("steps", [2, 20, 60])
def test_apgd_in_l1_walks_mind_the_box_in_three_phases(steps: int) -> None:
    model, eps, size = Curved(size=15, seed=3, curvature=3), 0.3, 15
    x, y = examples(model, 20, shape=(size,))
    attack = apgd(against(model, margin), L1(eps), steps=steps, start="clean")
    events, lengths = set(), []
    for row, (x0, label) in enumerate(images(x, y)):
        climb = SparseClimb(lambda x, y=label: model.gap(x, y)[0], lambda x, y=label: model.gap(x, y)[1])
        if steps < 3:
            climb.asked = climb.points(x0, x0, eps, steps)
        else:
            climb.phases(x0, eps, steps)
        model.asked.clear()
        attack.run(x[row : row + 1], y[row : row + 1])
        asked = np.concatenate(model.asked)
        np.testing.assert_allclose(asked[: len(climb.asked)], climb.asked, rtol=0, atol=1e-9)
        events |= set(climb.events)
        lengths.append(len(climb.asked))
        sizes = np.abs(asked - x0).sum(1)
        if steps == 20:  # 6, 6 and 8 steps
            assert 2 * eps < sizes[:6].max() <= 3 * eps + 1e-9
            assert eps < sizes[6:12].max() <= 2 * eps + 1e-9
            assert sizes[12:].max() <= eps + 1e-9
    assert lengths.count(steps + 1) >= 3  # whole walks
    if steps == 60:
        assert events == {"sparser", "shorter", "least"}
