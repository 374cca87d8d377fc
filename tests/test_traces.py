"""Rules, estimators and losses against their formulas, written out again in numpy: the same path, step by step."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from brittle.attacks import (
    L0,
    L1,
    L2,
    Attack,
    Ball,
    Linf,
    ModelObjective,
    NormBall,
    Targets,
    Threat,
    against,
    apgd,
    apgd_targeted,
    cross_entropy,
    ddn,
    dlr,
    eot_gradient,
    fab_targeted,
    fgsm,
    fmn,
    from_outside,
    given,
    gradient_attack,
    hessian,
    margin,
    mim,
    mm,
    msd,
    ni_fgsm,
    pdpgd,
    pgd,
    pma,
    probability_margin,
    second_order,
    second_order_apgd,
    second_order_mim,
    session,
    sigma_zero,
    start_named,
    stateless,
    targeted_dlr,
    targeted_margin,
    vmi_fgsm,
)
from brittle.attacks.minimum import MinimumNormWalk
from brittle.attacks.named.apgd import checkpoint_steps
from brittle.ground import keys_of, normal, uniform

Vector = NDArray[np.float64]
Point = Callable[[Vector], Vector]
SIZE = 6


class Curved:
    """Logits b_k + <w_k, x> + a_k ||x||^2 / 2, in torch for the attacks and in numpy for the formulas.

    `asked` holds the points that it was shown.
    """

    def __init__(self, classes: int = 5, size: int = SIZE, seed: int = 0, curvature: float = 1.0) -> None:
        draws = np.random.default_rng(seed)
        self.w, self.a = draws.normal(size=(classes, size)), curvature * draws.normal(size=classes)
        self.b = np.zeros(classes)
        self.b = -self.logits(np.full(size, 0.5))
        self.asked: list[Vector] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.asked += [x.detach().flatten(1).numpy().copy()]
        flat, (w, a, b) = x.flatten(1), (torch.from_numpy(part) for part in (self.w, self.a, self.b))
        return b + flat @ w.T + a * flat.square().sum(1, keepdim=True) / 2

    def logits(self, x: Vector) -> Vector:
        return self.b + self.w @ x + self.a * (x @ x) / 2

    def slopes(self, x: Vector) -> Vector:
        """The gradient of each logit [C, D]."""
        return self.w + self.a[:, None] * x

    def entropy_grad(self, x: Vector, y: int) -> Vector:
        return (softmax(self.logits(x)) - one_hot(y, self.logits(x))) @ self.slopes(x)

    def gap(self, x: Vector, y: int) -> tuple[float, Vector]:
        """The margin and its gradient."""
        z, slopes = self.logits(x), self.slopes(x)
        other = max((k for k in range(len(z)) if k != y), key=lambda k: z[k])
        return z[other] - z[y], slopes[other] - slopes[y]


def softmax(z: Vector) -> Vector:
    power = np.exp(z - z.max())
    return power / power.sum()


def one_hot(y: int, like: Vector) -> Vector:
    return np.eye(len(like))[y]


def examples(model: Curved, count: int = 6, shape: tuple[int, ...] = (SIZE,), seed: int = 1) -> tuple[Tensor, Tensor]:
    """Images far from the edges of the box, and what the model answers."""
    x = torch.from_numpy(0.35 + 0.3 * np.random.default_rng(seed).random((count, *shape)))
    y = model(x).argmax(1)
    model.asked.clear()
    return x, y


# the geometry: nearest points by bisection, steepest directions by their definition


def nearest(threat: Threat, x0: Vector, moved: Vector, eps: float | None = None) -> Vector:
    """The nearest point of ball and box: the multiplier of the constraint by bisection."""
    eps, kind = threat.radius if eps is None else eps, str(threat).partition(":")[0]
    d, low, high = moved - x0, -x0, 1 - x0
    if kind == "Linf":
        return x0 + np.clip(np.clip(d, -eps, eps), low, high)
    if kind == "L0":
        room = np.clip(d, low, high)
        kept = np.argsort(-(d**2 - (d - room) ** 2), kind="stable")[: int(eps)]
        return x0 + np.where(np.isin(np.arange(len(d)), kept), room, 0)

    def shrunk(t: float) -> Vector:
        near = d / (1 + t) if kind == "L2" else np.sign(d) * np.maximum(np.abs(d) - t, 0)
        return np.clip(near, low, high)

    def size(change: Vector) -> float:
        return float(np.linalg.norm(change, 2 if kind == "L2" else 1))

    if size(shrunk(0)) <= eps:
        return x0 + shrunk(0)
    least, most = 0.0, 1e6
    for _ in range(200):
        middle = (least + most) / 2
        least, most = (middle, most) if size(shrunk(middle)) > eps else (least, middle)
    return x0 + shrunk(most)


def steepest_in(threat: Threat, grad: Vector) -> Vector:
    kind = str(threat).partition(":")[0]
    if kind == "Linf":
        return np.sign(grad)
    if kind == "L2":
        return grad / np.linalg.norm(grad) if grad.any() else grad
    moved = threat.count if isinstance(threat, L0) else 1
    return np.sign(grad) * np.isin(np.arange(len(grad)), np.argsort(-np.abs(grad))[:moved])


def trace(attack: Attack, x: Tensor, y: Tensor) -> Vector:
    """The points of the walk [steps + 1, B, D]."""
    assert attack.path is not None
    return np.stack([point.x.flatten(1).numpy() for point in attack.path(x, y, attack.seed)])


def minimum_trace(search: MinimumNormWalk, x: Tensor, y: Tensor) -> Vector:
    with session(search.objective) as evaluate:
        return np.stack([point.x.flatten(1).numpy() for point in search.path(evaluate, x, y, search.seed)])


def same_path(found: Vector, expected: list[list[Vector]], tolerance: float = 1e-12) -> None:
    """`expected` holds the points of each image, all or the first ones [B][steps + 1][D]."""
    for row, points in enumerate(expected):
        assert np.abs(np.stack(points) - points[0]).max() > 1e-3  # it does move
        np.testing.assert_allclose(found[: len(points), row], points, rtol=0, atol=tolerance)


def images(x: Tensor, y: Tensor) -> Iterator[tuple[Vector, int]]:
    return zip(x.flatten(1).numpy(), y.tolist(), strict=True)


def noise(kind: Callable[..., Tensor], x: Tensor, seed: int, draw: int) -> Vector:
    return kind(keys_of(x), x.shape[1:], seed=seed, draw=draw).double().flatten(1).numpy()


# losses


def by_loss(z: Vector, y: int, t: int) -> dict[str, float]:
    """Every loss of one example."""
    p, down = softmax(z), np.sort(z)[::-1]
    others = [k for k in range(len(z)) if k != y]
    gap, aimed = max(z[k] for k in others) - z[y], z[t] - z[y]
    return {
        "cross_entropy": -math.log(p[y]),
        "margin": gap,
        "probability_margin": max(p[k] for k in others) - p[y],
        "dlr": gap / (down[0] - down[2]) if len(z) >= 3 else gap,
        "targeted_margin": aimed,
        "targeted_dlr": aimed / (down[0] - (down[2] + down[3]) / 2) if len(z) >= 4 else aimed,
    }


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_losses_are_their_formulas(classes: int) -> None:
    draws = np.random.default_rng(classes)
    z, y = draws.normal(size=(40, classes)), draws.integers(0, classes, 40)
    target = (y + draws.integers(1, classes, 40)) % classes
    logits, labels = torch.from_numpy(z), torch.from_numpy(y)
    aim = Targets(labels, torch.from_numpy(target))
    expected = [by_loss(*one) for one in zip(z, y, target, strict=True)]
    for loss in (cross_entropy, margin, probability_margin, dlr):
        wanted = [one[loss.__name__] for one in expected]
        np.testing.assert_allclose(loss(logits, labels).numpy(), wanted, rtol=1e-12)
    for loss in (targeted_margin, targeted_dlr):
        wanted = [one[loss.__name__] for one in expected]
        np.testing.assert_allclose(loss(logits, aim).numpy(), wanted, rtol=1e-12)


# APGD


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


# attacks with steps of a fixed length


def ascent(start: Vector, steps: int, advance: Callable[[Vector, int], Vector]) -> list[Vector]:
    found = [start]
    for t in range(steps):
        found.append(advance(found[-1], t))
    return found


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3), L1(0.5), L0(2)], ids=str)
def test_fgsm_takes_one_step_of_the_full_size(threat: Ball) -> None:
    model = Curved()
    x, y = examples(model)
    length = 1.0 if threat == L0(2) else threat.radius

    def step(x0: Vector, label: int) -> Vector:
        return nearest(threat, x0, x0 + length * steepest_in(threat, model.entropy_grad(x0, label)))

    expected = [[x0, step(x0, label)] for x0, label in images(x, y)]
    same_path(trace(fgsm(against(model), threat), x, y), expected)


@pytest.mark.parametrize(("steps", "length"), [(5, 0.5), (2, 1.0)])
@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3)], ids=str)
def test_pgd_climbs_along_steepest_directions(threat: Ball, steps: int, length: float) -> None:
    """By default in steps of 2.5 eps / steps, at most eps."""
    model = Curved()
    x, y = examples(model)

    def path(x0: Vector, label: int, step: float) -> list[Vector]:
        move: Point = lambda at: step * steepest_in(threat, model.entropy_grad(at, label))  # noqa: E731
        return ascent(x0, steps, lambda at, t: nearest(threat, x0, at + move(at)))

    attack = pgd(against(model), threat, steps=steps, start="clean")
    same_path(trace(attack, x, y), [path(*one, length * threat.radius) for one in images(x, y)])
    attack = pgd(against(model), threat, steps=steps, step=0.03, start="clean")
    same_path(trace(attack, x, y), [path(*one, 0.03) for one in images(x, y)])


def test_pgd_in_l1_moves_one_percent_of_the_pixels_that_can_move() -> None:
    model, threat = Curved(size=260), L1(4)
    x, y = examples(model, shape=(260,))
    first = np.argsort(-np.abs(model.entropy_grad(x[0].numpy(), int(y[0]))))[:2]
    x[0, first] = torch.from_numpy((model.entropy_grad(x[0].numpy(), int(y[0])) > 0).astype(float))[
        first
    ]  # at the edge
    y = model(x).argmax(1)

    def step(x0: Vector, at: Vector, label: int) -> Vector:
        grad = model.entropy_grad(at, label)
        grad = np.where((at <= 0) & (grad < 0) | (at >= 1) & (grad > 0), 0, grad)
        most = np.argsort(-np.abs(grad))[:3]
        return nearest(threat, x0, at + 0.9 * np.sign(grad) * np.isin(np.arange(260), most) / 3)

    expected = [ascent(x0, 6, lambda at, t, x0=x0, y=label: step(x0, at, y)) for x0, label in images(x, y)]
    same_path(trace(pgd(against(model), threat, steps=6, step=0.9, start="clean"), x, y), expected)


def test_pgd_in_l0_moves_by_the_gradient_and_keeps_the_pixels_that_moved_most() -> None:
    model, threat = Curved(), L0(2)
    x, y = examples(model)

    def step(x0: Vector, at: Vector, label: int) -> Vector:
        grad = model.entropy_grad(at, label)
        grad = np.where((at <= 0) & (grad < 0) | (at >= 1) & (grad > 0), 0, grad)
        return nearest(threat, x0, at + grad / np.abs(grad).max())

    expected = [ascent(x0, 5, lambda at, t, x0=x0, y=label: step(x0, at, y)) for x0, label in images(x, y)]
    same_path(trace(pgd(against(model), threat, steps=5, start="clean"), x, y), expected)


@pytest.mark.parametrize("decay", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3)], ids=str)
def test_mim_and_ni_fgsm_accumulate_gradients(threat: Ball, decay: float) -> None:
    """MI-FGSM takes them at x; NI-FGSM at x + step decay g."""
    model = Curved(curvature=4)
    x, y = examples(model)
    for build, ahead in ((mim, 0.0), (ni_fgsm, 0.04 * decay)):
        expected = []
        for x0, label in images(x, y):
            g, points = np.zeros(SIZE), [x0]
            for _ in range(6):
                grad = model.entropy_grad(points[-1] + ahead * g, label)
                g = decay * g + grad / np.abs(grad).sum()
                points.append(nearest(threat, x0, points[-1] + 0.04 * steepest_in(threat, g)))
            expected.append(points)
        same_path(trace(build(against(model), threat, steps=6, step=0.04, decay=decay), x, y), expected)
    assert mim(against(model), threat).run(x, y).x.equal(mim(against(model), threat, decay=1.0).run(x, y).x)


def test_vmi_fgsm_adds_the_variation_one_step_later() -> None:
    model, threat = Curved(curvature=4), L2(0.3)
    x, y = examples(model)
    expected = []
    for row, (x0, label) in enumerate(images(x, y)):
        g, variation, points = np.zeros(SIZE), np.zeros(SIZE), [x0]
        for t in range(5):
            at = points[-1]
            grad = model.entropy_grad(at, label)
            g = 0.9 * g + (grad + variation) / np.abs(grad + variation).sum()
            around = [at + 0.2 * (2 * noise(uniform, x, 7, 3 * t + k)[row] - 1) for k in range(3)]
            variation = np.mean([model.entropy_grad(one, label) for one in around], 0) - grad
            points.append(nearest(threat, x0, at + 0.05 * g / np.linalg.norm(g)))
        expected.append(points)
    attack = vmi_fgsm(against(model), threat, steps=5, step=0.05, decay=0.9, draws=3, width=0.2, seed=7)
    same_path(trace(attack, x, y), expected)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.3)], ids=str)
@pytest.mark.parametrize("clamp", ["each", "end"])
def test_the_second_order_attack_averages_over_gaussian_noise(threat: NormBall, clamp: str) -> None:
    model = Curved(curvature=4)
    x, y = examples(model)
    x = x + 0.33 if clamp == "end" else x  # near the box, which it may leave meanwhile
    expected = []
    for row, (x0, label) in enumerate(images(x, y)):
        points = [x0]
        for t in range(4):
            around = [points[-1] + 0.15 * noise(normal, x, 3, 5 * t + k)[row] for k in range(5)]
            grad = np.mean([model.entropy_grad(one, label) for one in around], 0)
            moved = points[-1] + 2.5 / 4 * threat.radius * steepest_in(threat, grad)
            wide = 0.25 + 0.5 * x0, 0.25 + 0.5 * moved  # a box twice as large
            free = x0 + 2 * (nearest(threat, *wide, threat.radius / 2) - wide[0])
            points.append(free if clamp == "end" else nearest(threat, x0, moved))
        expected.append([np.clip(point, 0, 1) for point in points])
    assert any((np.stack(points) == 1).any() for points in expected) == (clamp == "end")
    attack = second_order(against(model), threat, steps=4, draws=5, clamp=clamp, seed=3)  # type: ignore[arg-type]
    same_path(trace(attack, x, y), expected)


def test_expectation_over_transformation_averages_over_copies() -> None:
    def loss(x: Tensor, y: Tensor) -> Tensor:
        return x.square().sum(1) / 2

    x, y = torch.rand(3, 4, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    estimator = eot_gradient(lambda x, seed: x * (1 + seed / 10), 3, 4)
    rule = stateless(lambda grad, at: grad / 100)
    attack = gradient_attack("EOT", loss, L2(9), rule, steps=3, start="clean", seed=0, estimator=estimator)

    def advance(at: Vector, t: int) -> Vector:
        return np.clip(at + np.mean([(1 + (4 + 3 * t + k) / 10) ** 2 * at for k in range(3)], 0) / 100, 0, 1)

    same_path(trace(attack, x, y), [ascent(x0, 3, advance) for x0, _ in images(x, y)])


def test_the_hessian_attack_follows_power_iteration_on_a_quadratic() -> None:
    draws = np.random.default_rng(4)
    half, slope = draws.normal(size=(SIZE, SIZE)), draws.normal(size=SIZE)
    curved, threat = half + half.T, L2(0.3)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return ((x @ torch.from_numpy(curved)) * x).sum(1) / 2 + x @ torch.from_numpy(slope)

    x, y = examples(Curved())
    expected = []
    for row, (x0, _) in enumerate(images(x, y)):
        points = [x0]
        for t in range(4):
            grad, move = curved @ points[-1] + slope, noise(normal, x, 2, t)[row]
            for _ in range(3):
                move = grad + curved @ (4.2 * move / np.linalg.norm(move))
            points.append(nearest(threat, x0, points[-1] + 0.1 * move / np.linalg.norm(move)))
        expected.append(points)
    same_path(trace(hessian(loss, threat, steps=4, step=0.1, seed=2), x, y), expected)


def test_msd_goes_where_the_loss_is_largest() -> None:
    model, threats = Curved(curvature=4), (Linf(0.06), L2(0.13), L1(0.2))
    x, y = examples(model, 12)
    taken, expected = set(), []

    def loss(x: Vector, label: int) -> float:
        return by_loss(model.logits(x), label, label)["cross_entropy"]

    for x0, label in images(x, y):
        points = [x0]
        for _ in range(5):
            grad = model.entropy_grad(points[-1], label)
            moves = [points[-1] + 0.5 * threat.radius * steepest_in(threat, grad) for threat in threats]
            tried = [nearest(threat, x0, moved) for threat, moved in zip(threats, moves, strict=True)]
            losses = [loss(one, label) for one in tried]
            taken.add(int(np.argmax(losses)))
            points.append(tried[int(np.argmax(losses))])
        expected.append(points)
    assert len(taken) > 1
    same_path(trace(msd(against(model), threats, steps=5, start="clean"), x, y), expected)
    same_path(trace(msd(against(model), threats, steps=5, share=0.5, start="clean"), x, y), expected)


@pytest.mark.parametrize("steps", [7, 8])
def test_pma_climbs_one_term_first_and_the_other_in_a_second_walk(steps: int) -> None:
    model, threat, half = Curved(curvature=4), L2(0.01), steps // 2
    x, y = examples(model, 1)
    (x0, label) = next(images(x, y))

    def grad(at: Vector, t: int, walk: int) -> Vector:
        z, p = model.logits(at), softmax(model.logits(at))
        other = max((k for k in range(len(z)) if k != label), key=lambda k: z[k])
        less, more = (sign * p[k] * (one_hot(k, z) - p) for k, sign in ((label, -1), (other, 1)))
        return ((less, more)[walk] if t < half else less + more) @ model.slopes(at)

    def advance(at: Vector, t: int, walk: int) -> Vector:
        step = threat.radius * (1 + math.cos(math.pi * (t % half) / half))
        return nearest(threat, x0, at + step * steepest_in(threat, grad(at, t, walk)))

    expected = [ascent(x0, steps, lambda at, t, k=walk: advance(at, t, k)) for walk in (0, 1)]
    assert not pma(against(model), threat, steps=steps, start="clean").run(x, y).success.any()
    np.testing.assert_allclose(np.concatenate(model.asked), np.concatenate(expected), rtol=0, atol=1e-12)


# minimum-norm attacks


def half_cosine(first: float, last: float, t: int, steps: int) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * t / steps)) / 2


def dual_size(threat: Threat, grad: Vector) -> float:
    return float(np.linalg.norm(grad, {"Linf": 1, "L2": 2, "L1": np.inf}[str(threat).partition(":")[0]]))


def size_in(threat: Threat, d: Vector) -> float:
    return float(np.linalg.norm(d, {"Linf": np.inf, "L2": 2, "L1": 1}[str(threat).partition(":")[0]]))


@pytest.mark.parametrize("threat", [Linf(1), L2(1), L1(1)], ids=str)
def test_fmn_shrinks_and_grows_its_ball(threat: NormBall) -> None:
    model = Curved(curvature=2)
    x, y = examples(model)
    expected, seen = [], set()
    for x0, label in images(x, y):
        eps = best = math.inf
        points = [x0]
        for t in range(30):
            at = points[-1]
            gap, grad = model.gap(at, label)
            if abs(gap) < 1e-9:
                break  # on the boundary: rounding says what comes next
            gamma = half_cosine(0.05, 0.001, t, 30)
            seen.add((gap > 0, best < math.inf))
            if gap > 0:
                best = min(best, size_in(threat, at - x0))
                eps = min(eps * (1 - gamma), best)
            elif best < math.inf:
                eps *= 1 + gamma
            else:
                eps = size_in(threat, at - x0) + abs(gap) / dual_size(threat, grad)
            moved = at + half_cosine(0.4, 0.004, t, 30) * grad / np.linalg.norm(grad)
            points.append(nearest(threat, x0, np.clip(moved, 0, 1), eps))
        expected.append(points)
    assert seen == {(False, False), (True, False), (True, True), (False, True)}
    found = fmn(against(model), threat, steps=30, longest=0.4)
    same_path(minimum_trace(found, x, y), expected, 1e-9)


def test_ddn_changes_direction_by_the_gradient_and_length_by_five_percent() -> None:
    model, threat = Curved(curvature=2), L2(1)
    x, y = examples(model)
    dead = Curved(curvature=0)
    dead.w[:] = 0  # it answers 0 to everything, and has no gradient
    for one, grads in ((model, True), (dead, False)):
        expected, seen = [], set()
        for row, (x0, label) in enumerate(images(x, y)):
            eps, points = 0.7, [x0]
            for t in range(20):
                at = points[-1]
                success = int(one.logits(at).argmax()) != label
                along = one.entropy_grad(at, label) if grads else noise(normal, x, 6, t)[row]
                moved = at - x0 + half_cosine(1, 0.01, t, 20) * along / np.linalg.norm(along)
                eps = eps * (0.95 if success else 1.05)
                eps = min(eps, float(np.linalg.norm(np.maximum(x0, 1 - x0))))
                seen.add(success)
                points.append(np.clip(x0 + eps * moved / np.linalg.norm(moved), 0, 1))
            expected.append(points)
        assert seen == {True, False}
        same_path(minimum_trace(ddn(against(one), threat, steps=20, first=0.7, seed=6), x, y), expected, 1e-9)


def to_hyperplane(threat: Threat, grad: Vector, gain: float) -> Vector:
    """The smallest change d with <grad, d> = gain, where the box is far."""
    return gain * steepest_in(threat, grad) / dual_size(threat, grad)


@pytest.mark.parametrize("threat", [Linf(0.2), L2(0.4), L1(0.8)], ids=str)
def test_fab_projects_on_the_linearised_boundary_and_goes_back(threat: NormBall) -> None:
    model, steps = Curved(classes=2, curvature=2), 6
    x, y = examples(model)
    weights, successes = [], 0
    for row, (x0, label) in enumerate(images(x, y)):
        asked, at = [x0], x0  # the clean image first
        for _ in range(steps):
            success = int(model.logits(at).argmax()) != label
            successes += success
            base = x0 + 0.9 * (at - x0) if success else at
            asked += [at, base]
            gap, grad = model.gap(base, label)
            here, there = to_hyperplane(threat, grad, -gap), to_hyperplane(threat, grad, -gap - grad @ (x0 - base))
            near, far = size_in(threat, here), size_in(threat, there)
            weights.append(near / (near + far))
            a = min(weights[-1], 0.1)
            at = np.clip((1 - a) * (base + 1.05 * here) + a * (x0 + 1.05 * there), 0, 1)
        model.asked.clear()
        fab_targeted(against(model), threat, steps=steps, targets=1).run(x[row : row + 1], y[row : row + 1])
        np.testing.assert_allclose(np.concatenate(model.asked)[: len(asked) + 1], [*asked, at], rtol=0, atol=1e-9)
    assert min(weights) < 0.1 < max(weights)
    assert successes > 5


def proximal(threat: Threat, d: Vector, weight: float) -> Vector:
    """argmin ||p - d||^2 / 2 + weight ||p||."""
    kind = str(threat).partition(":")[0]
    if kind == "L1":
        return np.sign(d) * np.maximum(np.abs(d) - weight, 0)
    if kind == "L2":
        return d * max(1 - weight / max(np.linalg.norm(d), 1e-300), 0)
    least, most = 0.0, float(np.abs(d).max())  # Linf: clipped at the level that cuts off `weight`
    if np.abs(d).sum() <= weight:
        return 0 * d
    for _ in range(200):
        level = (least + most) / 2
        least, most = (level, most) if np.maximum(np.abs(d) - level, 0).sum() > weight else (least, level)
    return np.clip(d, -most, most)


class Adam:
    """Its two averages, and the step for a rate."""

    def __init__(self) -> None:
        self.first, self.second, self.t = np.zeros(1), np.zeros(1), 0

    def step(self, grad: Vector, rate: float) -> tuple[Vector, Vector]:
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * grad
        self.second = 0.999 * self.second + 0.001 * grad**2
        metric = np.sqrt(self.second / (1 - 0.999**self.t)) + 1e-8
        return rate * self.first / (1 - 0.9**self.t) / metric, metric


@pytest.mark.parametrize("threat", [Linf(1), L2(1), L1(1)], ids=str)
def test_pdpgd_follows_the_saddle_point_of_norm_and_margin(threat: NormBall) -> None:
    model, steps = Curved(curvature=2), 15
    x, y = examples(model)
    expected, seen = [], set()
    for x0, label in images(x, y):
        adam, dual, weight, points = Adam(), math.log(100), 1 / 101, [x0]
        for t in range(steps):
            at = points[-1]
            gap, slope = model.gap(at, label)
            rate = 0.1 * 0.01 ** (t / steps)
            down, metric = adam.step(-slope / (1 + math.exp(gap)), rate)  # of softplus(-gap)
            d = np.clip(at - down, 0, 1) - x0
            z, pull, metric = d, weight / (1 - weight) * rate / metric.max(), metric / metric.max()
            for _ in range(5):
                z = np.clip(x0 + proximal(threat, z - metric * (z - d), pull), 0, 1) - x0
            points.append(x0 + z)
            seen.add(gap > 0)
            rising = 0.3 * (1 - 0.9 * t / (steps - 1))
            dual = min(max(dual + (-rising if gap > 0 else rising), math.log(1e-6)), math.log(1e6))
            weight = 0.9 * weight + 0.1 / (1 + math.exp(dual))
        expected.append(points)
    assert seen == {True, False}
    same_path(minimum_trace(pdpgd(against(model), threat, steps=steps, dual_lr=0.3), x, y), expected, 1e-9)


@pytest.mark.parametrize("shape", [(SIZE,), (2, 3, 1)], ids=str)
def test_sigma_zero_follows_its_stand_in_for_the_number_of_pixels(shape: tuple[int, ...]) -> None:
    """The threshold rises after a success and falls else; pixels below it go back, all channels together."""
    model, steps, sigma = Curved(curvature=2), 25, 0.02
    x, y = examples(model, shape=shape)
    channels = shape[0] if len(shape) > 1 else 1
    expected, seen = [], set()
    for x0, label in images(x, y):
        adam, cut, points = Adam(), 0.3, [x0]
        for t in range(steps):
            at = points[-1]
            gap, slope = model.gap(at, label)
            square = np.tile(((at - x0) ** 2).reshape(channels, -1).sum(0), channels)
            grad = 2 * (at - x0) * sigma / (square + sigma) ** 2 / (SIZE // channels) - (slope if gap < 0 else 0)
            down, _ = adam.step(grad / max(np.abs(grad).max(), 1e-12), half_cosine(1, 0.1, max(t - 1, 0), steps))
            moved = np.clip(at - down, 0, 1)
            cut = min(max(cut + 0.05 * half_cosine(1, 0.1, t, steps) * (1 if gap > 0 else -1), 0), 1)
            kept = np.tile(np.abs(moved - x0).reshape(channels, -1).max(0) >= cut, channels)
            points.append(np.where(kept, moved, x0))
            seen |= {(bool(gap > 0), bool(kept.all()))}
        expected.append(points)
    assert {(True, False), (False, False)} <= seen
    found = minimum_trace(sigma_zero(against(model), L0(1), steps=steps, sigma=sigma, change=0.05), x, y)
    same_path(found, expected, 1e-9)
    changed = found != x.flatten(1).numpy()
    assert (changed == (np.stack(expected, 1) != x.flatten(1).numpy())).all()  # what goes back is exactly as it was


# starts


def test_given_starts_are_found_in_any_batch() -> None:
    x, model = torch.rand(7, 2, 3), Curved()
    starts = torch.rand(7, 2, 3)
    begin, threat = given(x, starts), Linf(1)
    with session(against(model)) as evaluate:
        for rows in ([4], [6, 0, 3], [2, 2, 5], list(range(7))):
            assert begin(evaluate, threat, x[rows], torch.zeros(len(rows)).long(), 0).equal(starts[rows])


def test_starts_from_outside_succeed_next_to_the_boundary() -> None:
    model = Curved(classes=2, curvature=0)
    pool, answers = examples(model, 40, seed=8)
    x, y = examples(model, 10)
    with session(against(model)) as evaluate:
        for rank in (0, 2):
            begun = from_outside(pool, answers, rank=rank)(evaluate, L2(1), x, y, 0).numpy()
            for start, (x0, label) in zip(begun, images(x, y), strict=True):
                others = pool.numpy()[answers.numpy() != label]
                far = others[np.argsort(np.linalg.norm(others - x0, axis=1))[rank]]
                way = (start - x0) @ (far - x0) / ((far - x0) @ (far - x0))
                np.testing.assert_allclose(start, x0 + way * (far - x0), atol=1e-12)
                here, there = model.gap(x0, label)[0], model.gap(far, label)[0]
                exact = -here / (there - here)
                assert exact < way <= exact + 1 / 1024 + 1e-12
                assert model.logits(start).argmax() != label
        lonely = from_outside(pool[answers == 0], answers[answers == 0])(evaluate, L2(1), x, y, 0)
        assert (lonely == x).all(1).equal(y == 0)


def test_noisy_starts_are_a_thousandth_of_a_gaussian() -> None:
    model = Curved()
    x, y = examples(model)
    with session(against(model)) as evaluate:
        clean, noisy, drawn = (start_named(name)(evaluate, Linf(0.1), x, y, 3) for name in ("clean", "noise", "random"))
    assert clean.equal(x)
    np.testing.assert_allclose(noisy - x, 0.001 * noise(normal, x, 3, 0), rtol=0, atol=1e-15)
    np.testing.assert_allclose(drawn - x, 0.1 * (2 * noise(uniform, x, 3, 0) - 1), rtol=0, atol=1e-8)


# one wrong class after another


@pytest.mark.parametrize("build", [apgd_targeted, mm, fab_targeted])
def test_targets_are_tried_in_the_order_of_the_clean_logits_on_survivors(
    build: Callable[..., Attack], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image is aimed at one class after another until one is reached; its true class names it here."""
    heard: list[Targets] = []
    own = ModelObjective.evaluation

    def listen(objective: ModelObjective, logits: Tensor, y: Tensor | Targets) -> object:
        heard.extend([y] if isinstance(y, Targets) else [])
        return own(objective, logits, y)  # type: ignore[arg-type]

    monkeypatch.setattr(ModelObjective, "evaluation", listen)
    classes, count = 5, 3
    z = torch.tensor(
        [[9, 1, 3, 2, 0], [2, 2.1, 1, 0, 2.05], [0, 4, 9, 3, 1], [1.5, 1, 2, 2.2, 0], [0.0, 1, 2, 3, 9]],
        dtype=torch.float64,
    )
    x, y = torch.eye(classes, dtype=torch.float64), z.argmax(1)
    assert y.tolist() == [0, 1, 2, 3, 4]
    found = build(against(lambda x: x @ z), Linf(0.05), steps=3, targets=count).run(x, y)
    asked: dict[int, list[int]] = {label: [] for label in range(classes)}
    for aim in heard:
        for label, target in zip(aim.true.tolist(), aim.target.tolist(), strict=True):
            asked[label] += [target] if asked[label][-1:] != [target] else []
    order = [[k for k in np.argsort(-row) if k != label][:count] for label, row in enumerate(z.numpy())]
    assert found.success.tolist() == [False, True, False, True, False]
    for label in range(classes):
        assert asked[label] == (order[label][:1] if found.success[label] else order[label])
    runs = sum(len(one) for one in asked.values())
    assert runs == 3 * count + 2
