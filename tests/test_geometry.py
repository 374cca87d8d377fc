"""Sharp laws of the geometry: feasible, nearest, steepest. Each fails for a projection that merely looks right."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq, linprog, minimize
from scipy.stats import kstest
from torch import Tensor

from brittle.attacks.threats.norms import NORMS, Norm, norm_named
from brittle.ground import keys_of, normal, uniform

norms = pytest.mark.parametrize("norm", NORMS.values(), ids=list(NORMS))
numbers = st.floats(-4, 4, width=32).map(lambda value: 0.0 if abs(value) < 1e-6 else value)
vectors = st.integers(1, 12).flatmap(lambda size: arrays("float64", (3, size), elements=numbers)).map(torch.from_numpy)
radii = st.floats(0.01, 5)


@norms
@given(d=vectors, eps=radii)
def test_projection_stays_in_the_ball_and_is_the_nearest_point(norm: Norm, d: Tensor, eps: float) -> None:
    p = norm.project(d, eps)
    assert (norm.size(p) <= eps * (1 + 1e-9)).all()
    # p is nearest if and only if <d - p, q - p> <= 0 for all q in the ball; the largest <d - p, q> is eps ||d -
    # p||_dual
    gap = eps * NORMS[norm.dual].size(d - p) - ((d - p) * p).sum(1)
    assert (gap <= 1e-9).all()


@norms
@given(d=vectors, eps=radii)
def test_interior_points_do_not_move(norm: Norm, d: Tensor, eps: float) -> None:
    inside = d * (0.99 * eps / norm.size(d).clamp(min=1e-9)).clamp(max=1)[:, None]
    assert torch.equal(norm.project(inside, eps), inside)


@norms
@settings(max_examples=60)
@given(d=vectors, eps=radii, seed=st.integers(0, 9))
def test_projection_on_ball_and_box_is_the_nearest_allowed_point(norm: Norm, d: Tensor, eps: float, seed: int) -> None:
    x = uniform(keys_of(d), d.shape[1:], seed=seed).double().round(decimals=1)  # some pixels at the edge of the box
    p = norm.project_box(d, eps, -x, 1 - x)
    assert (norm.size(p) <= eps * (1 + 1e-9)).all()
    assert (p >= -x - 1e-12).all()
    assert (p <= 1 - x + 1e-12).all()
    for k in range(20):  # the variational inequality against many allowed points
        q = (eps * norm.sample(keys_of(d), d.shape[1], seed + k).double()).clamp(-x, 1 - x)
        assert (((d - p) * (q - p)).sum(1) <= 1e-8).all()
    q = norm.project_box(2 * p, eps, -x, 1 - x)
    assert (((d - p) * (q - p)).sum(1) <= 1e-8).all()


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_projection_on_ball_and_box_agrees_with_a_general_solver(norm: str) -> None:
    torch.manual_seed(0)
    d, x, eps = torch.randn(5, 6, dtype=torch.float64), torch.rand(5, 6, dtype=torch.float64), 0.8
    p = NORMS[norm].project_box(d, eps, -x, 1 - x)
    for i in range(5):
        size = (lambda v: eps**2 - (v**2).sum()) if norm == "L2" else (lambda v: eps - abs(v).sum())
        start = (0.2 * p[i]).numpy()
        solved = minimize(
            lambda v, i=i: ((v - d[i].numpy()) ** 2).sum(),
            start,
            bounds=[(-float(a), 1 - float(a)) for a in x[i]],
            constraints={"type": "ineq", "fun": size},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert float(((p[i] - d[i]) ** 2).sum()) <= solved.fun + 1e-6


@pytest.mark.parametrize("spread", [0.1, 3.0, 8.0, 20.0])
def test_projection_on_ball_and_box_in_many_dimensions_solves_for_its_scale(spread: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 3072, dtype=torch.float64).square().square()
    d = (spread * torch.randn_like(x)).exp() * torch.randn_like(x).sign()  # sizes over many orders of magnitude
    p = NORMS["L2"].project_box(d, 2.0, -x, 1 - x)
    for i in range(8):
        excess = lambda s, i=i: float((math.exp(s) * d[i]).clamp(-x[i], 1 - x[i]).norm()) - 2.0  # noqa: E731
        wanted = (
            (math.exp(brentq(excess, -200, 0, xtol=1e-13)) * d[i]).clamp(-x[i], 1 - x[i]) if excess(0) > 0 else d[i]
        )
        assert torch.allclose(p[i], wanted.clamp(-x[i], 1 - x[i]), rtol=1e-9, atol=1e-11)


def test_projection_on_ball_and_box_is_exact_where_each_step_clamps_one_coordinate_only() -> None:
    d = torch.tensor([4.0 ** (i - 30) for i in range(60)], dtype=torch.float64)[None]
    room = torch.full_like(d, 0.1)
    p = NORMS["L2"].project_box(d, 0.5, -room, room)
    assert float(p.norm()) == pytest.approx(0.5)
    nan = torch.full_like(d, torch.nan)
    both = NORMS["L2"].project_box(torch.cat([d, nan]), 0.5, -room, room)
    assert torch.equal(both[:1], p)
    assert both[1].isnan().all()


@norms
@given(g=vectors)
def test_steepest_direction_has_unit_size_and_attains_the_dual_norm(norm: Norm, g: Tensor) -> None:
    s = norm.steepest(g)
    assert (norm.size(s) <= 1 + 1e-12).all()
    assert torch.allclose((g * s).sum(1), NORMS[norm.dual].size(g), rtol=1e-9, atol=1e-12)


@norms
def test_tiny_and_zero_gradients_give_no_nan(norm: Norm) -> None:
    g = torch.tensor([[0.0, 0.0], [1e-30, -1e-30], [3e-39, 0.0]])
    s = norm.steepest(g)
    assert s.isfinite().all()
    assert (s[0] == 0).all()
    assert (norm.size(s)[1:] > 0.99).all()


@norms
def test_samples_are_uniform_in_the_ball(norm: Norm) -> None:
    size = 5
    samples = norm.sample(keys_of(torch.rand(4000, 3)), size, 0)
    assert (norm.size(samples) <= 1 + 1e-6).all()
    assert kstest((norm.size(samples) ** size).numpy(), "uniform").pvalue > 1e-3  # volume grows as radius^D
    assert samples.mean(0).abs().max() < 0.05


def test_noise_belongs_to_the_image_not_to_the_batch() -> None:
    x = torch.rand(50, 3, 4, 4)
    order = torch.randperm(50)
    noise = normal(keys_of(x), x.shape[1:], seed=3)
    assert torch.equal(normal(keys_of(x[order]), x.shape[1:], seed=3), noise[order])
    assert not torch.equal(normal(keys_of(x), x.shape[1:], seed=4), noise)
    assert not torch.equal(normal(keys_of(x), x.shape[1:], seed=3, draw=1), noise)


def test_noise_has_the_distribution_it_claims() -> None:
    keys = keys_of(torch.rand(200, 7))
    assert kstest(uniform(keys, torch.Size([500]), seed=1).flatten().numpy(), "uniform").pvalue > 1e-3
    noise = normal(keys, torch.Size([500]), seed=1)
    assert kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    across = torch.corrcoef(noise).fill_diagonal_(0).abs().max()
    along = torch.corrcoef(noise.T[:200]).fill_diagonal_(0).abs().max()
    assert across < 6 / 500**0.5
    assert along < 6 / 200**0.5


def test_norms_have_several_spellings() -> None:
    assert norm_named("2") is norm_named("l2") is NORMS["L2"]
    assert norm_named("inf") is norm_named("Linfinity") is NORMS["Linf"]


def reach_problems() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    w, room = torch.rand(8, 6, dtype=torch.float64), torch.rand(8, 6, dtype=torch.float64)
    w[0, :3], room[1, 2:] = 0, 0  # what does not count, and what has no room
    w[2] = w[2, :1]  # ties
    share = torch.tensor([0.3, 0.6, 0.5, 0.9, 0.999, 0.01, 1.0, 0.0], dtype=torch.float64)
    return w, room, share * (w * room).sum(1)


@norms
def test_reaching_a_hyperplane_takes_the_smallest_change_that_the_box_allows(norm: Norm) -> None:
    w, room, gain = reach_problems()
    d = norm.reach(w, room, gain)
    assert (d >= 0).all()
    assert (d <= room + 1e-12).all()
    assert torch.allclose((w * d).sum(1), gain, atol=1e-9)
    assert norm.size(d).tolist() == pytest.approx(
        [_least(norm.name, *row) for row in zip(w.numpy(), room.numpy(), gain.tolist(), strict=True)], abs=1e-6
    )


def _least(norm: str, w, room, gain: float) -> float:  # type: ignore[no-untyped-def]
    """The smallest size by a general solver."""
    n = len(w)
    if norm == "L1":
        return float(linprog([1] * n, A_eq=[w], b_eq=[gain], bounds=list(zip([0] * n, room, strict=True))).fun)
    if norm == "Linf":
        below = [[float(i == j) for j in range(n)] + [-1.0] for i in range(n)]
        bounds = [*zip([0] * n, room, strict=True), (0, None)]
        return float(linprog([0] * n + [1], below, [0] * n, [[*w, 0]], [gain], bounds=bounds).fun)
    line = {"type": "eq", "fun": lambda d: w @ d - gain}
    found = minimize(
        lambda d: d @ d, room / 2, bounds=list(zip([0] * n, room, strict=True)), constraints=line, tol=1e-14
    )
    return math.sqrt(found.fun)


@norms
def test_what_is_beyond_the_box_goes_to_its_corner(norm: Norm) -> None:
    w, room, _ = reach_problems()
    w = w + 0.1
    assert torch.allclose(norm.reach(w, room, 2 * (w * room).sum(1)), room)


@norms
@given(d=vectors, weight=radii)
def test_proximal_points_meet_their_optimality_conditions(norm: Norm, d: Tensor, weight: float) -> None:
    weights = torch.full((len(d),), weight, dtype=torch.float64)
    p = norm.proximal(d, weights)
    rest = d - p  # is weight times a subgradient of the norm at p
    assert (NORMS[norm.dual].size(rest) <= weights * (1 + 1e-9)).all()
    assert torch.allclose((rest * p).sum(1), weights * norm.size(p), atol=1e-8)
