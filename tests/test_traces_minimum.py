"""Minimum-norm attacks against their formulas, written out again in numpy: the same path, step by step."""

import math

import numpy as np
import pytest
import torch

from brittle.attacks import (
    L0,
    L1,
    L2,
    Linf,
    NormBall,
    Threat,
    against,
    ddn,
    fab_targeted,
    fmn,
    hop_skip_jump,
    pdpgd,
    sigma_zero,
)
from brittle.ground import keys_of, normal, uniform
from reference import (
    SIZE,
    Curved,
    Vector,
    examples,
    images,
    minimum_trace,
    nearest,
    noise,
    same_path,
    steepest_in,
)


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


@pytest.mark.parametrize("threat", [Linf(1), L2(1)], ids=str)
def test_hop_skip_jump_follows_answers_along_the_boundary(threat: NormBall) -> None:
    """Algorithm 2 of Chen et al. 2020 with the same directions, asking for answers alone."""
    model, steps, draws = Curved(curvature=2), 4, 5
    x, y = examples(model)
    keys, kind = keys_of(x), uniform if threat.order == math.inf else normal
    expected = []
    for row, (x0, label) in enumerate(images(x, y)):

        def fools(at: Vector, label: int = label) -> bool:
            return bool(model.logits(at).argmax() != label)

        def back(at: Vector, x0: Vector = x0) -> Vector:
            def nearer(share: float) -> Vector:
                size = share * size_in(threat, at - x0)
                if threat.order == 2:
                    return x0 + share * (at - x0)
                return np.asarray(x0 + np.clip(at - x0, -size, size))

            least, most = 0.0, 1.0
            for _ in range(12):
                middle = (least + most) / 2
                least, most = (least, middle) if fools(nearer(middle)) else (middle, most)
            return nearer(most) if most < 1 else at

        def drawn(shape: torch.Size, draw: int, row: int = row) -> Vector:
            found = kind(keys[row : row + 1], shape, seed=2, draw=draw).double().numpy()[0]
            return found if kind is normal else 2 * found - 1

        blends = (
            uniform(keys[row : row + 1], x.shape[1:], seed=2, draw=-2 - one)[0].double().numpy() for one in range(20)
        )
        at = back(next((noisy for noisy in blends if fools(noisy)), x0))
        points = [at]
        for t in range(steps):
            delta, shown = size_in(threat, at - x0) / SIZE, []
            for draw in range(round(draws * math.sqrt(t + 1))):
                u = drawn(x.shape[1:], 1000 * t + draw)
                near = np.clip(at + delta * u / np.linalg.norm(u), 0, 1)
                shown.append((1 if fools(near) else -1, (near - at) / delta))
            mean = np.mean([vote for vote, _ in shown])
            weights = [mean if abs(mean) == 1 else vote - mean for vote, _ in shown]
            grad = np.mean([weight * u for weight, (_, u) in zip(weights, shown, strict=True)], axis=0)
            step = size_in(threat, at - x0) / math.sqrt(t + 1) * steepest_in(threat, grad)
            tries = (np.clip(at + step / 2**halving, 0, 1) for halving in range(8))
            at = back(next((moved for moved in tries if fools(moved)), at))
            points.append(at)
        expected.append(points)
    search = hop_skip_jump(against(model), threat, steps=steps, draws=draws, seed=2)
    same_path(minimum_trace(search, x, y), expected, tolerance=1e-9)
    found = search(x, y)
    assert found.size.isfinite().all()
    assert (found.size <= threat.size(x, torch.from_numpy(np.stack([points[0] for points in expected])))).all()
