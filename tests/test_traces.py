"""Rules, estimators and losses against their formulas, written out again in numpy: the same path, step by step."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
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
    against,
    apgd_targeted,
    cross_entropy,
    dlr,
    eot_gradient,
    fab_targeted,
    fgsm,
    from_outside,
    given,
    gradient_attack,
    hessian,
    margin,
    mim,
    mm,
    msd,
    ni_fgsm,
    pgd,
    pma,
    probability_margin,
    second_order,
    session,
    start_named,
    stateless,
    targeted_dlr,
    targeted_margin,
    vmi_fgsm,
)
from brittle.ground import normal, uniform
from reference import (
    SIZE,
    Curved,
    Point,
    Vector,
    ascent,
    by_loss,
    examples,
    images,
    nearest,
    noise,
    one_hot,
    same_path,
    softmax,
    steepest_in,
    trace,
)


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


# attacks with steps of a fixed length


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


@pytest.mark.parametrize("difference", [0, 0.5, 4.2])  # of a quadratic, differences are exact too
def test_the_hessian_attack_follows_power_iteration_on_a_quadratic(difference: float) -> None:
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
    same_path(trace(hessian(loss, threat, steps=4, step=0.1, difference=difference, seed=2), x, y), expected)


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
