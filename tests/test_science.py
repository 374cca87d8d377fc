"""Curvature: exact where the answer is known, and what the second-order attack averages."""

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L2,
    Estimator,
    Evaluate,
    Evaluation,
    Iterate,
    Linf,
    Memory,
    against,
    hessian,
    pgd,
    second_order,
    session,
    smoothed_gradient,
)
from brittle.ground import BrittleError, grad_and_hessian, value_and_grad
from brittle.learning import build_net, load
from brittle.science import curvature, linearity_error, power_iteration, top_eigenvalue

GENERATOR = torch.Generator().manual_seed(0)


def symmetric(size: int, gap: float = 3.0) -> tuple[Tensor, Tensor]:
    """A symmetric matrix with one dominant eigenvalue, and the eigenvector of it."""
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=GENERATOR, dtype=torch.float64))
    values = torch.linspace(-1, 1, size, dtype=torch.float64)
    values[0] = gap
    return basis @ torch.diag(values) @ basis.T, basis[:, 0]


def seen(loss: Tensor) -> Evaluation:
    return Evaluation(loss[:, None], loss, torch.zeros_like(loss, dtype=torch.bool), torch.zeros_like(loss).long())


def estimate(estimator: Estimator, evaluate: Evaluate, x: Tensor, y: Tensor) -> Tensor:
    memory = estimator.init(x)
    return estimator.update(evaluate, Iterate(x, x, y, 0, Memory(memory, ())), memory)[1]


def degrees(a: Tensor, b: Tensor) -> Tensor:
    return torch.rad2deg(torch.arccos((a.flatten(1) @ b).abs().clamp(max=1)))


def test_eq_3_finds_the_dominant_direction_where_the_gradient_vanishes() -> None:
    matrix, top = symmetric(30)
    x = torch.full((5, 30), 0.5, dtype=torch.float64)

    def gradient(at: Tensor) -> Tensor:  # of the bowl (x - 1/2)' M (x - 1/2) / 2, zero at x
        return (at - 0.5) @ matrix

    assert float(gradient(x).abs().max()) == 0
    xi, start = 1e-3, torch.randn(5, 30, generator=GENERATOR, dtype=torch.float64)
    found = power_iteration(lambda d: gradient(x + xi * d) / xi, start, 8)
    assert float(degrees(found, top).max()) < 1
    once = power_iteration(lambda d: gradient(x + xi * d) / xi, start, 1)
    assert float(degrees(once, top).max()) > 1  # one iteration, as the paper takes it, is not there yet


def test_hessian_products_and_the_top_eigenvalue_are_exact_on_a_bowl() -> None:
    matrix, top = symmetric(12)

    def evaluate(x: Tensor, y: Tensor) -> Evaluation:
        centred = x - 0.3
        return seen(0.5 * ((centred @ matrix) * centred).sum(1))

    x, y = torch.rand(4, 12, generator=GENERATOR, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)
    _, grad, product = grad_and_hessian(lambda at: (evaluate(at, y).loss, None), x)
    v = torch.randn(4, 12, generator=GENERATOR, dtype=torch.float64)
    assert torch.allclose(grad, (x - 0.3) @ matrix)
    assert torch.allclose(product(v), v @ matrix)
    values, direction = top_eigenvalue(evaluate, x, y, iterations=12)
    assert torch.allclose(values, torch.full((4,), 3.0, dtype=torch.float64), atol=1e-4)
    assert float(degrees(direction, top).max()) < 1


def smooth_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 4)).double().eval()


def test_the_averaged_gradient_is_that_of_the_smoothed_loss() -> None:
    net, sigma, draws = smooth_net(), 0.3, 2500
    x = torch.rand(2, 1, 3, 3, generator=GENERATOR, dtype=torch.float64)
    y = torch.tensor([0, 3])
    with session(against(net)) as evaluate:
        averaged = estimate(smoothed_gradient(sigma, draws, seed=1), evaluate, x, y)
        plain = value_and_grad(lambda at: (evaluate(at, y).loss, None), x)[1]
        # the smoothed loss by another route: E L(x + sigma z) z / sigma, antithetic (Stein), with other noise
        z = torch.randn(100_000, 9, generator=GENERATOR, dtype=torch.float64)
        for row in range(2):
            labels = y[row].repeat(len(z))
            with torch.no_grad():
                up, down = (evaluate(x[row] + side * sigma * z.view(-1, 1, 3, 3), labels).loss for side in (1, -1))
            stein = ((up - down)[:, None] * z).mean(0) / (2 * sigma)
            assert torch.allclose(averaged[row].flatten(), stein, atol=0.02 * float(stein.norm()))
        # and by its series: grad L + (sigma^2 / 2) grad (trace H), by exact products with the Hessian
        at = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(evaluate(at, y).loss.sum(), at, create_graph=True)
        trace = sum(
            torch.autograd.grad(grad.flatten(1)[:, i].sum(), at, create_graph=True)[0].flatten(1)[:, i].sum()
            for i in range(9)
        )
        assert isinstance(trace, Tensor)
        (bend,) = torch.autograd.grad(trace, at)
        series = plain + sigma**2 / 2 * bend
    assert float((averaged - series).norm()) < 0.35 * float((averaged - plain).norm())


def test_noise_averages_away_on_a_quadratic() -> None:
    matrix, _ = symmetric(9)

    def evaluate(x: Tensor, y: Tensor) -> Evaluation:
        centred = x.flatten(1) - 0.4
        return seen(0.5 * ((centred @ matrix) * centred).sum(1))

    x, y = torch.rand(3, 1, 3, 3, generator=GENERATOR, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    averaged = estimate(smoothed_gradient(0.1, 500, seed=0), evaluate, x, y)
    plain = value_and_grad(lambda at: (evaluate(at, y).loss, None), x)[1]
    assert torch.allclose(averaged, plain, atol=0.05)  # so the average is no power iteration: it would be H eta


class Hill(nn.Module):
    """The gradient at the data is exactly zero, the curvature is not: a saddle that only one direction descends."""

    def forward(self, x: Tensor) -> Tensor:
        away = (x - 0.5).flatten(1)
        score = 1 - 40 * away[:, 0].square() + 5 * away[:, 1:].square().sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_exact_curvature_leaves_a_saddle_that_pgd_cannot() -> None:
    x, y = torch.full((8, 1, 2, 2), 0.5), torch.zeros(8, dtype=torch.int64)
    threat = L2(0.3)
    assert not pgd(against(Hill()), threat, start="clean").run(x, y, warn=False).success.any()
    assert hessian(against(Hill()), threat).run(x, y).success.all()
    assert second_order(against(Hill()), threat).run(x, y).success.all()


def test_a_linear_model_with_a_linear_loss_does_not_bend() -> None:
    weight = torch.randn(16, generator=GENERATOR, dtype=torch.float64)

    def evaluate(x: Tensor, y: Tensor) -> Evaluation:
        return seen(x.flatten(1) @ weight)

    x, y = torch.rand(5, 1, 4, 4, generator=GENERATOR, dtype=torch.float64), torch.zeros(5, dtype=torch.int64)
    assert torch.allclose(linearity_error(evaluate, x, y, L2(1)), torch.zeros(5, dtype=torch.float64), atol=1e-12)
    values, direction = top_eigenvalue(evaluate, x, y)
    assert torch.equal(values, torch.zeros(5, dtype=torch.float64))
    assert torch.equal(direction, torch.zeros_like(x))


def test_curvature_of_a_net_is_reported_at_the_data_and_on_paths() -> None:
    torch.manual_seed(0)
    net, test = build_net("mlp", (1, 8, 8), 10).eval(), load("digits").test
    data = test.x(slice(0, 30)), test.labels[:30]
    whole, parts = (curvature(net, data, Linf(0.1), steps=3, iterations=3, batch=size) for size in (100, 8))
    assert [one.where for one in whole] == ["at the data", "end of a PGD path", "end of a second-order path"]
    for one, other in zip(whole, parts, strict=True):
        assert one.n == other.n == 30
        assert one.gradient.low <= one.gradient.mean <= one.gradient.high
        assert one.gradient.mean == pytest.approx(other.gradient.mean, rel=1e-3)
        assert one.eigenvalue.mean == pytest.approx(other.eigenvalue.mean, rel=0.05, abs=1e-3)
    assert whole[1].gradient.mean > 0
    with pytest.raises(BrittleError, match="no examples"):
        curvature(net, (data[0][:0], data[1][:0]), Linf(0.1))
