"""Two Gaussians: closed forms against sampling, optimisation and adversarial training; the toy; the figure; the
verb."""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

import brittle.cli.theory  # noqa: F401 - it joins the verb to the app
from brittle import cli, report
from brittle.ground import BrittleError
from brittle.science.gap import adversarial_gap, excess_gap
from brittle.science.gaussian import Gaussians, example, folded, maximum_likelihood, robust_likelihood
from brittle.science.gaussian_training import adversarial_training, multiplier, robust_loss
from brittle.science.relaxation import inner_maxima, multiplier_bounds
from brittle.science.toy import judge_rule, linear_training, plain_and_robust, toy


def two_gaussians(truth: Gaussians, eps: Sequence[float]) -> str:
    """The figure as a file of its own."""
    return report.standing(report.two_gaussians(truth, eps))


Numbers = NDArray[np.float64]
DRAWS = 4000
BUDGETS = (1e-6, 1.0, 1e6)


def turned(rng: np.random.Generator, d: int) -> Numbers:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def some(seed: int, d: int | None = None, spread: float = 3.0) -> Gaussians:
    """Random Gaussians in 2 to 50 dimensions, with a full covariance of condition number up to e^(2 spread)."""
    rng = np.random.default_rng(seed)
    d = d or int(rng.integers(2, 51))
    q, s = turned(rng, d), np.exp(rng.uniform(-spread, spread, d))
    return Gaussians(rng.standard_normal(d) * np.sqrt(s.mean() / d), q * s @ q.T)


MANY = [some(seed) for seed in range(20)]


def drawn(truth: Gaussians, seed: int = 1) -> Numbers:
    return folded(*truth.draw(DRAWS, seed))


def meets(values: Numbers, expected: float) -> None:
    """The mean of the values is within 4 of its standard errors of what is expected."""
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean()) - expected) <= 4 * error, (values.mean(), expected, error)


def squares(a: Numbers) -> Numbers:
    return (a**2).sum(axis=1)


def lengths(a: Numbers, sigma: Numbers) -> Numbers:
    """a' sigma^-1 a of each row."""
    return (a * np.linalg.solve(sigma, a.T).T).sum(axis=1)


# What the data are


@pytest.mark.parametrize("truth", MANY)
def test_samples_have_the_mean_and_the_covariance(truth: Gaussians) -> None:
    x, y = truth.draw(DRAWS, 1)
    w = np.random.default_rng(0).standard_normal(len(truth.mu))
    meets(x[y > 0] @ w, float(truth.mu @ w))
    meets(x[y < 0] @ w, -float(truth.mu @ w))
    meets(((folded(x, y) - truth.mu) @ w) ** 2, float(w @ truth.sigma @ w))
    meets(lengths(folded(x, y) - truth.mu, truth.sigma), len(truth.mu))


@pytest.mark.parametrize("truth", MANY)
def test_clean_and_robust_accuracy_are_those_of_samples(truth: Gaussians) -> None:
    rng = np.random.default_rng(3)
    x, y = truth.draw(DRAWS, 2)
    for w in (truth.weights, truth.mu, truth.mu + rng.standard_normal(len(truth.mu))):
        for radius in (0.0, 0.3, float(np.linalg.norm(truth.mu))):
            worst = x - radius * y[:, None] * w / np.linalg.norm(
                w
            )  # the point within the radius that is nearest to being wrong
            share, expected = float(((worst @ w) * y > 0).mean()), truth.accuracy(w, radius)
            assert abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / DRAWS) + 2 / DRAWS


def test_no_rule_is_more_accurate_than_that_of_largest_likelihood() -> None:
    rng = np.random.default_rng(0)
    for truth in MANY:
        best = truth.accuracy(truth.weights)
        assert all(truth.accuracy(truth.weights + rng.standard_normal(len(truth.mu))) < best for _ in range(20))
        assert truth.accuracy(truth.weights, 0.1) < best


# Theorem 1


@pytest.mark.parametrize("truth", MANY)
@pytest.mark.parametrize("above", [1.05, 3.0])
def test_the_adversary_of_theorem_1_costs_what_the_formula_says(truth: Gaussians, above: float) -> None:
    penalty = above / float(truth.values[0])
    v = drawn(truth) - truth.mu
    delta = np.linalg.solve(penalty * truth.sigma - np.eye(len(truth.mu)), v.T).T
    meets(lengths(v + delta, truth.sigma) - lengths(v, truth.sigma), adversarial_gap(truth, penalty))
    v, delta = v[:50], delta[:50]
    best = lengths(v + delta, truth.sigma) - penalty * squares(delta)
    for scale in (1e-3, 1.0):  # and delta is the maximiser
        other = delta + scale * np.random.default_rng(4).standard_normal(delta.shape)
        assert (lengths(v + other, truth.sigma) - penalty * squares(other) < best).all()


def test_the_gap_of_theorem_1_is_smallest_where_all_directions_are_alike() -> None:
    rng = np.random.default_rng(5)
    for d in (2, 5, 20):
        for _ in range(20):
            shares = rng.dirichlet(np.full(d, 2.0))
            sigma = turned(rng, d) * 7 * shares
            sigma = sigma @ sigma.T
            sigma *= 7 / np.trace(sigma)
            truth, even = Gaussians(np.ones(d), sigma), Gaussians(np.ones(d), 7 / d * np.eye(d))
            penalty = 1.01 / float(truth.values[0])
            assert adversarial_gap(even, penalty) < adversarial_gap(truth, penalty)
            assert excess_gap(truth, penalty) == pytest.approx(gap_of(sigma, penalty) / gap_of(even.sigma, penalty) - 1)
            assert excess_gap(even, penalty) == pytest.approx(0, abs=1e-12)


def gap_of(sigma: Numbers, penalty: float) -> float:
    """The formula as printed, by matrices."""
    one = np.eye(len(sigma))
    push = one + np.linalg.inv(penalty * sigma - one)
    return float(np.trace(push @ push)) - len(sigma)


@pytest.mark.parametrize("d", [2, 5, 20])
def test_a_general_optimiser_finds_the_multiple_of_one_at_the_minimum_of_theorem_1(d: int) -> None:
    """Over all spectra of trace 7 for which the penalty, twice the least of the multiple of I, bounds the adversary."""
    penalty = 2 * d / 7

    def spectrum(z: Numbers) -> Numbers:
        shares = np.exp(z - z.max())
        return 1 / penalty + (7 - d / penalty) * shares / shares.sum()

    for start in range(3):
        found = minimize(
            lambda z: float(np.log(gap_of(np.diag(spectrum(z)), penalty))),
            np.random.default_rng(start).standard_normal(d),
            options={"gtol": 1e-7},
        )
        assert np.allclose(spectrum(found.x), 7 / d, rtol=1e-3)
        assert excess_gap(Gaussians(np.ones(d), np.diag(spectrum(found.x))), penalty) == pytest.approx(0, abs=1e-5)


def test_the_gap_of_theorem_1_vanishes_with_the_adversary_and_needs_a_bounded_one() -> None:
    truth = some(0, 4)
    assert adversarial_gap(truth, 1e12) == pytest.approx(2 * np.trace(np.linalg.inv(truth.sigma)) / 1e12, rel=1e-6)
    for penalty in (0.0, 1 / float(truth.values[0]), -1.0, math.nan):
        with pytest.raises(BrittleError, match="no bound"):
            adversarial_gap(truth, penalty)


# Theorem 2


@pytest.mark.parametrize("truth", MANY)
@pytest.mark.parametrize("eps", BUDGETS)
def test_the_robust_covariance_is_that_of_the_paper_and_spends_the_budget(truth: Gaussians, eps: float) -> None:
    robust = robust_likelihood(truth, eps)
    s, lam, learned = truth.values, robust.lam, robust.learned
    assert np.array_equal(learned.mu, truth.mu)
    expected = truth.vectors * (s / 2 + 1 / lam + np.sqrt(s / lam + s**2 / 4)) @ truth.vectors.T
    assert np.allclose(learned.sigma, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    assert float((1 / learned.values).sum()) / lam**2 == pytest.approx(eps, rel=1e-9)
    v = drawn(truth) - truth.mu
    delta = robust.perturbation(v + truth.mu)
    meets(squares(delta), eps)
    assert np.allclose(
        delta @ (lam * learned.sigma - np.eye(len(s))), v, atol=1e-6 * np.abs(v).max()
    )  # delta*(x), as printed
    w = np.random.default_rng(6).standard_normal(len(s))
    meets(((v + delta) @ w) ** 2, float(w @ learned.sigma @ w))  # the fixed point: what is learned is what is seen


@pytest.mark.parametrize("truth", MANY)
def test_no_other_adversary_of_the_budget_costs_more(truth: Gaussians) -> None:
    """The loss at any parameters is attained by its maximiser, and exceeds that of random linear perturbations."""
    rng = np.random.default_rng(7)
    d, eps = len(truth.mu), 0.7
    learned = Gaussians(truth.mu, some(99, d).sigma)
    lam = multiplier(learned.values, np.einsum("di,de,ei->i", learned.vectors, truth.sigma, learned.vectors), eps)
    assert lam > 1 / learned.values[0]

    def loss(push: Numbers) -> float:
        assert np.trace(push @ truth.sigma @ push.T) == pytest.approx(eps)
        seen = (np.eye(d) + push) @ truth.sigma @ (np.eye(d) + push).T
        return float(np.trace(np.linalg.solve(learned.sigma, seen)) + np.linalg.slogdet(learned.sigma)[1]) / 2

    best = np.linalg.inv(lam * learned.sigma - np.eye(d))
    assert loss(best) == pytest.approx(robust_loss(truth, learned, eps))
    for scale in (0.01, 1.0):
        other = best + scale * np.abs(best).max() * rng.standard_normal((d, d))
        other *= math.sqrt(eps / np.trace(other @ truth.sigma @ other.T))
        assert loss(other) < loss(best)


@pytest.mark.parametrize("truth", MANY)
@pytest.mark.parametrize("eps", [0.0, 1.0])
def test_no_change_of_the_robust_parameters_lowers_the_loss(truth: Gaussians, eps: float) -> None:
    rng = np.random.default_rng(8)
    learned, d = robust_likelihood(truth, eps).learned, len(truth.mu)
    least = robust_loss(truth, learned, eps)
    root = np.linalg.cholesky(learned.sigma)
    for scale in (1e-3, 0.1):
        for _ in range(3):
            change = np.eye(d) + scale * rng.standard_normal((d, d)) / math.sqrt(d)
            moved = root @ change
            assert robust_loss(truth, Gaussians(truth.mu, moved @ moved.T), eps) > least
            mean = truth.mu + scale * rng.standard_normal(d)
            assert robust_loss(truth, Gaussians(mean, learned.sigma), eps) > least


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0])
def test_a_general_optimiser_finds_the_closed_form_of_theorem_2(d: int, eps: float) -> None:
    """Jointly over the mean, a full matrix T = S - I/lam > 0 and lam: that S > I/lam is then no constraint."""
    truth = some(10 + d, d, spread=1.5)
    mu, sigma = torch.tensor(truth.mu), torch.tensor(truth.sigma)
    below, one = torch.tril_indices(d, d, -1), torch.eye(d, dtype=mu.dtype)

    def parts(p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        root = torch.diag(p[d : 2 * d].exp()).index_put(tuple(below), p[2 * d : -1])
        return p[:d], root @ root.T, (-p[-1]).exp()

    def objective(values: Numbers) -> tuple[float, Numbers]:
        p = torch.tensor(values, requires_grad=True)
        mean, t, over = parts(p)
        moment = sigma + torch.outer(mu - mean, mu - mean)
        total = torch.linalg.solve(t, moment).trace() + eps / over + torch.logdet(t + over * one)
        (gradient,) = torch.autograd.grad(total / 2, p)
        return float(total.detach()) / 2, gradient.numpy()

    robust = robust_likelihood(truth, eps)
    for start in range(3):
        found = minimize(
            objective,
            np.random.default_rng(start).standard_normal(2 * d + len(below[0]) + 1),
            jac=True,
            options={"gtol": 1e-9},
        )
        mean, t, over = parts(torch.tensor(found.x))
        assert found.fun == pytest.approx(robust_loss(truth, robust.learned, eps), rel=1e-10)
        assert np.allclose(mean, truth.mu, atol=1e-6)
        assert np.allclose(t + over * one, robust.learned.sigma, rtol=0, atol=1e-6 * float(robust.learned.values[-1]))
        assert 1 / float(over) == pytest.approx(robust.lam, rel=1e-6)


def test_a_worked_example() -> None:
    truth = Gaussians(np.ones(3), np.diag([16.0, 1.0, 0.25]))
    for eps, lam, expected in ((1.0, 1.0347, (1.599, 2.569, 17.88)), (10.0, 0.17003, (7.225, 8.857, 26.46))):
        robust = robust_likelihood(truth, eps)
        assert robust.lam == pytest.approx(lam, abs=5e-5)
        assert np.allclose(robust.learned.values, expected, rtol=3e-4)
    assert truth.worst_alignment == pytest.approx(0.2462, abs=5e-5)
    assert robust_likelihood(truth, 1).learned.worst_alignment == pytest.approx(0.5489, abs=5e-5)


@pytest.mark.parametrize("truth", MANY[:5])
def test_no_budget_is_maximum_likelihood_and_a_small_one_is_close(truth: Gaussians) -> None:
    none = robust_likelihood(truth, 0)
    assert math.isinf(none.lam)
    assert np.array_equal(none.learned.sigma, truth.sigma)
    assert not none.perturbation(drawn(truth)).any()
    assert robust_loss(truth, truth, 0) == pytest.approx((len(truth.mu) + np.linalg.slogdet(truth.sigma)[1]) / 2)
    for eps in (1e-12, 1e-300):
        small = robust_likelihood(truth, eps)
        assert small.lam * math.sqrt(eps) == pytest.approx(math.sqrt(float((1 / truth.values).sum())), rel=1e-4)
        assert np.allclose(small.learned.sigma, truth.sigma, atol=1e-4 * float(truth.values[-1]))


@pytest.mark.parametrize("truth", MANY[:5])
def test_a_large_budget_makes_all_directions_alike(truth: Gaussians) -> None:
    for eps in (1e14, 1e300):
        large = robust_likelihood(truth, eps)
        assert large.lam * eps == pytest.approx(len(truth.mu), rel=1e-4)
        assert large.learned.alignment == pytest.approx(1, abs=1e-6)
        assert np.allclose(large.lam * large.learned.sigma, np.eye(len(truth.mu)), atol=1e-4)


def test_the_printed_bounds_on_lambda_fit_the_mean_square_and_not_the_length() -> None:
    budgets = np.geomspace(1e-10, 1e10, 11)
    lower = (1 + budgets**0.5) / (budgets**0.5 + budgets**1.5)
    upper = (1 + budgets**0.5) / budgets**0.5
    assert np.allclose(np.transpose([multiplier_bounds(eps) for eps in budgets]), [lower, upper], rtol=1e-12)
    for truth in MANY[:5]:
        square = np.array([robust_likelihood(truth, eps).lam for eps in budgets])
        length = np.array([robust_likelihood(truth, eps**2).lam for eps in budgets])
        size = float((1 / truth.values).sum())
        assert (square / lower).min() > 0.1 * min(1, math.sqrt(size))
        assert (square / upper).max() < 10 * max(1, math.sqrt(size))
        assert (length / upper).max() > 1e3 * (square / upper).max()


def test_in_many_dimensions_one_multiplier_gives_every_sample_its_budget() -> None:
    spread = []
    for d in (2, 20, 200):
        truth = Gaussians(np.ones(d), np.diag(np.linspace(0.5, 2, d)))
        sizes = squares(robust_likelihood(truth, d / 4).perturbation(drawn(truth))) / (d / 4)
        spread.append(float(sizes.std()))
    assert spread[0] > 3 * spread[1] > 9 * spread[2]


def test_the_constants_of_the_bounds_are_those_of_the_covariance() -> None:
    for truth in MANY[:5]:
        narrow, root = 1e-14, math.sqrt(float(np.trace(np.linalg.inv(truth.sigma))))
        for bound in multiplier_bounds(narrow):
            assert robust_likelihood(truth, narrow).lam / bound == pytest.approx(root, rel=1e-4)
        wide = 1e14
        assert robust_likelihood(truth, wide).lam / multiplier_bounds(wide)[0] == pytest.approx(len(truth.mu), rel=1e-4)
    assert multiplier_bounds(0) == (math.inf, math.inf)
    assert multiplier_bounds(1e300) == pytest.approx((1e-300, 1.0), rel=1e-9)


def climbed(v: Numbers, precision: Numbers, eps: float, axis: int | None) -> float:
    """The mean of 1/2 (v + delta)' P (v + delta) at its largest, by steps to the best point of the sphere for the
    gradient there (Frank-Wolfe): a sphere of squared radius eps for each sample (axis 1), or one of n eps for all."""
    radius = math.sqrt(eps * (1 if axis else len(v)))
    delta = np.zeros_like(v)
    for _ in range(3000):
        gradient = (v + delta) @ precision
        delta = radius * gradient / np.linalg.norm(gradient, axis=axis, keepdims=True)
    return float(np.einsum("ni,ij,nj->n", v + delta, precision, v + delta).mean()) / 2


@pytest.mark.parametrize("d", [1, 2, 5, 50])
@pytest.mark.parametrize("eps", [0.01, 1.0, 100.0])
def test_a_climb_on_spheres_finds_both_inner_maxima(d: int, eps: float) -> None:
    learned, samples = some(30 + d, d, spread=1.0), drawn(some(40 + d, d, spread=1.0))[:50]
    precision, v = np.linalg.inv(learned.sigma), samples - learned.mu
    exact, relaxed = inner_maxima(learned, samples, eps)
    assert exact == pytest.approx(climbed(v, precision, eps, 1), rel=1e-6)
    assert relaxed == pytest.approx(climbed(v, precision, eps, None), rel=1e-6)
    assert exact < relaxed


def test_the_exact_inner_maximum_is_the_worst_of_all_angles() -> None:
    truth, angles, eps = example(), np.linspace(0, 2 * np.pi, 4001), 3.0
    circle = math.sqrt(eps) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    samples = drawn(truth)[:50]
    worst = [lengths(x - truth.mu + circle, truth.sigma).max() / 2 for x in samples]
    assert inner_maxima(truth, samples, eps)[0] == pytest.approx(np.mean(worst), rel=1e-5)


def test_the_relaxed_inner_maximum_is_the_robust_loss_of_the_samples_own_gaussians() -> None:
    for truth in MANY[:5]:
        samples, learned = drawn(truth), some(50, len(truth.mu))
        logs = float(np.linalg.slogdet(learned.sigma)[1])
        for eps in (0.01, 1.0, 100.0):
            relaxed = inner_maxima(learned, samples[:200], eps)[1] + logs / 2
            assert relaxed == pytest.approx(robust_loss(maximum_likelihood(samples[:200]), learned, eps))
        assert inner_maxima(learned, samples[:200], 0.0) == pytest.approx(
            (lengths(samples[:200] - learned.mu, learned.sigma).mean() / 2,) * 2
        )


def test_the_relaxation_nears_the_exact_problem_with_one_over_the_dimension() -> None:
    apart = []
    for d in (2, 20, 200):
        exact, relaxed = inner_maxima(
            Gaussians(np.ones(d), np.eye(d)), drawn(Gaussians(np.ones(d), np.eye(d)))[:500], d
        )
        apart.append(d * (relaxed / exact - 1))
    assert max(apart) < 2 * min(apart)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: inner_maxima(example(), x, -1.0),
        lambda x: inner_maxima(example(), x, math.nan),
        lambda x: inner_maxima(example(), x[:0], 1.0),
        lambda x: inner_maxima(example(), x[:, :1], 1.0),
        lambda x: inner_maxima(example(), x * np.nan, 1.0),
        lambda x: inner_maxima(example(), np.vstack([x, example().mu]), 1.0),
        lambda x: multiplier_bounds(-1.0),
        lambda x: multiplier_bounds(math.nan),
    ],
)
def test_what_has_no_inner_maximum_is_refused(wrong: Callable[[Numbers], object]) -> None:
    with pytest.raises(BrittleError) as refused:
        wrong(folded(*example().draw(10)))
    assert "\n" not in str(refused.value)


# Theorem 3


@pytest.mark.parametrize("truth", MANY)
def test_the_worst_alignment_is_attained_and_never_violated(truth: Gaussians) -> None:
    rng = np.random.default_rng(9)
    worst = Gaussians(truth.worst_mean, truth.sigma)
    assert worst.alignment == pytest.approx(truth.worst_alignment, abs=1e-10)
    for _ in range(30):
        mean = truth.vectors @ (rng.standard_normal(len(truth.mu)) * rng.choice([0.01, 1, 10], len(truth.mu)))
        assert truth.worst_alignment - 1e-12 <= Gaussians(mean, truth.sigma).alignment <= 1
        near = worst.mu + 0.01 * rng.standard_normal(len(truth.mu))
        assert Gaussians(near, truth.sigma).alignment >= truth.worst_alignment - 1e-12


@pytest.mark.parametrize("truth", MANY)
def test_robust_training_strictly_raises_the_worst_alignment(truth: Gaussians) -> None:
    worst = [robust_likelihood(truth, eps).learned.worst_alignment for eps in (0, 0.01, 1, 100)]
    assert worst == sorted(set(worst))
    gradients = robust_likelihood(Gaussians(truth.worst_mean, truth.sigma), 1.0)
    assert gradients.learned.alignment > truth.worst_alignment


def test_nothing_can_be_raised_where_all_directions_are_alike() -> None:
    truth = Gaussians(np.array([3.0, 1.0, 0.0]), 2.5 * np.eye(3))
    for eps in (0, 1, 100):
        learned = robust_likelihood(truth, eps).learned
        assert learned.worst_alignment == pytest.approx(1)
        assert learned.alignment == pytest.approx(1)
    one = Gaussians(np.array([2.0]), np.array([[3.0]]))
    assert robust_likelihood(one, 1).learned.worst_alignment == one.worst_alignment == 1
    assert Gaussians(one.worst_mean, one.sigma).alignment == 1


# Symmetries


@pytest.mark.parametrize("truth", MANY[:8])
def test_rotations_commute_with_everything(truth: Gaussians) -> None:
    q = turned(np.random.default_rng(11), len(truth.mu))
    other = Gaussians(q @ truth.mu, q @ truth.sigma @ q.T)
    one, two = robust_likelihood(truth, 2.0), robust_likelihood(other, 2.0)
    assert two.lam == pytest.approx(one.lam)
    assert np.allclose(two.learned.sigma, q @ one.learned.sigma @ q.T)
    assert np.allclose(two.learned.weights, q @ one.learned.weights)
    x = drawn(truth)[:10]
    assert np.allclose(two.perturbation(x @ q.T), one.perturbation(x) @ q.T)
    assert other.accuracy(q @ truth.mu, 0.2) == pytest.approx(truth.accuracy(truth.mu, 0.2))
    penalty = 1.5 / float(truth.values[0])
    assert adversarial_gap(other, penalty) == pytest.approx(adversarial_gap(truth, penalty))
    assert other.alignment == pytest.approx(truth.alignment)
    assert robust_loss(other, two.learned, 2.0) == pytest.approx(robust_loss(truth, one.learned, 2.0))


@pytest.mark.parametrize("truth", MANY[:8])
def test_units_commute_with_everything(truth: Gaussians) -> None:
    other = Gaussians(3 * truth.mu, 9 * truth.sigma)  # eps is a square: it has the units of sigma
    one, two = robust_likelihood(truth, 2.0), robust_likelihood(other, 18.0)
    assert two.lam == pytest.approx(one.lam / 9)
    assert np.allclose(two.learned.sigma, 9 * one.learned.sigma)
    assert other.accuracy(two.learned.weights, 0.6) == pytest.approx(truth.accuracy(one.learned.weights, 0.2))
    assert adversarial_gap(other, 2 / float(other.values[0])) == pytest.approx(
        adversarial_gap(truth, 2 / float(truth.values[0]))
    )


# Adversarial training


@pytest.mark.parametrize(("d", "n"), [(1, 500), (2, 2000), (3, 2000), (10, 2000), (30, 1000)])
@pytest.mark.parametrize("eps", [0.0, 1.0, 100.0])
def test_adversarial_training_arrives_at_the_closed_form(d: int, n: int, eps: float) -> None:
    truth = some(20 + d, d)
    samples = folded(*truth.draw(n, 3))
    own = maximum_likelihood(samples)
    robust, trained = robust_likelihood(own, eps), adversarial_training(samples, eps)
    assert trained.distance(robust.learned) < 1e-4
    assert trained.gradient < 1e-5
    least = robust_loss(own, robust.learned, eps)
    assert trained.losses[-1] == pytest.approx(least, abs=1e-9)
    assert min(trained.losses) >= least - 1e-9
    assert trained.losses[0] > least
    assert trained.lam == robust.lam or trained.lam == pytest.approx(robust.lam, rel=1e-4)


def test_a_condition_number_of_ten_thousand_does_not_hinder_training() -> None:
    truth = Gaussians(np.array([100.0, 0.02, 1.0]), np.diag([1e4, 1.0, 30.0]))
    samples = folded(*truth.draw(1000))
    trained = adversarial_training(samples, 0.5)
    assert trained.distance(robust_likelihood(maximum_likelihood(samples), 0.5).learned) < 1e-4
    assert len(trained.losses) < 200


def test_training_that_is_stopped_early_has_not_arrived() -> None:
    samples = folded(*example().draw(500))
    samples.flags.writeable = False  # nothing is written there, and nothing warns
    stopped = adversarial_training(samples, 1.0, steps=2)
    assert stopped.distance(robust_likelihood(maximum_likelihood(samples), 1.0).learned) > 1e-3
    assert stopped.gradient > 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: adversarial_training(x, -1.0),
        lambda x: adversarial_training(x, math.nan),
        lambda x: adversarial_training(x, 1.0, steps=0),
        lambda x: adversarial_training(x, 1.0, tolerance=math.nan),
        lambda x: adversarial_training(x[:2], 1.0),
        lambda x: adversarial_training(x[:0], 1.0),
        lambda x: adversarial_training(x * np.nan, 1.0),
        lambda x: adversarial_training(x[:, [0, 0]], 1.0),
        lambda x: robust_loss(example(), Gaussians(np.ones(3), np.eye(3)), 1.0),
        lambda x: robust_loss(example(), example(), -1.0),
    ],
)
def test_what_cannot_be_trained_on_is_refused(wrong: Callable[[Numbers], object]) -> None:
    with pytest.raises(BrittleError) as refused:
        wrong(folded(*example().draw(100)))
    assert "\n" not in str(refused.value)


# Edges


@pytest.mark.parametrize(
    ("mu", "sigma", "said"),
    [
        (np.zeros(2), np.eye(2), "mu is 0"),
        (np.array([1.0, np.nan]), np.eye(2), "NaN"),
        (np.ones(2), np.diag([1.0, np.inf]), "infinite"),
        (np.ones(2), np.diag([1.0, 0.0]), "positive definite"),
        (np.ones(2), np.diag([1.0, -1.0]), "positive definite"),
        (np.ones(3), np.ones((3, 3)), "positive definite"),
        (np.ones(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.ones(2), np.eye(3), "vector"),
        (np.ones(2), np.ones(2), "vector"),
        (np.ones((2, 1)), np.eye(2), "vector"),
        (np.ones(0), np.ones((0, 0)), "vector"),
    ],
)
def test_what_is_no_gaussian_is_refused(mu: Numbers, sigma: Numbers, said: str) -> None:
    with pytest.raises(BrittleError, match=said) as refused:
        Gaussians(mu, sigma)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("eps", [-1.0, math.nan, math.inf])
def test_what_is_no_budget_is_refused(eps: float) -> None:
    with pytest.raises(BrittleError, match="at least 0"):
        robust_likelihood(example(), eps)
    with pytest.raises(BrittleError, match="at least 0"):
        linear_training(*toy(10), eps)
    for w, radius in ((np.zeros(2), 0.0), (np.ones(2), eps)):
        with pytest.raises(BrittleError, match="rule"):
            example().accuracy(w, radius)


def test_gaussians_are_held_still() -> None:
    mu, sigma = np.ones(2), np.eye(2)
    truth = Gaussians(mu, sigma)
    mu[0] = sigma[0, 0] = 7
    assert truth.mu[0] == truth.sigma[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        truth.sigma[0, 0] = 2


def test_samples_are_a_function_of_the_seed() -> None:
    assert np.array_equal(example().draw(5, 1)[0], example().draw(5, 1)[0])
    assert not np.array_equal(example().draw(5, 1)[0], example().draw(5, 2)[0])


# The toy of appendix D.10


@pytest.mark.parametrize("n", [20, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_robust_training_ignores_a_predictive_feature(n: int, seed: int) -> None:
    x, y = toy(n, seed)
    assert (np.sign(x) == y[:, None]).all()  # each feature alone tells the classes apart
    plain, robust = plain_and_robust(n, seed)
    assert plain.clean == robust.clean == 1
    assert min(plain.weights) > 0.3 * max(plain.weights)
    assert plain.robust < 0.2
    assert robust.weights[1] == 0
    assert robust.robust == 1


def test_the_toys_shares_are_those_of_the_worst_corner() -> None:
    x, y = toy(200)
    corners = [np.array([a, b]) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    for rule in plain_and_robust(200):
        w = np.array(rule.weights)
        right = np.min([y * ((x + corner) @ w) for corner in corners], axis=0) > 0
        assert rule.robust == pytest.approx(float(right.mean()))
    assert judge_rule(np.zeros(2), x, y, 0.0).clean == 0  # a rule that says nothing is not right


def test_linear_training_is_at_rest_where_it_ends() -> None:
    x, y = toy(300)
    for eps in (0.0, 0.2, 1.0):
        w = np.array(linear_training(x, y, eps).weights)

        def loss(w: Numbers, eps: float = eps) -> float:
            return float(np.logaddexp(0, eps * np.abs(w).sum() - y * (x @ w)).mean() + 1e-3 / 2 * (w @ w))

        for step in np.random.default_rng(0).standard_normal((50, 2)):
            assert loss(w + 0.01 * step) > loss(w)
    with pytest.raises(BrittleError, match="decay"):
        linear_training(x, y, decay=0.0)


# The figure


def texts(svg: str) -> list[str]:
    return [
        "".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")
    ]


def test_the_figure_has_a_panel_for_each_eps_and_true_angles() -> None:
    svg = two_gaussians(example(), (0.0, 1.0, 10.0, 100.0))
    titles = [text for text in texts(svg) if text.startswith("eps ")]
    assert [title.split(":")[0] for title in titles] == ["eps 0", "eps 1", "eps 10", "eps 100"]
    assert "61°" in titles[0]
    assert "nan" not in svg.lower()
    assert texts(svg).count("gradient") == texts(svg).count("mean") == 4
    ids = [element.get("id") for element in ElementTree.fromstring(svg).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(one).startswith("gaussian-") for one in ids)
    assert svg == two_gaussians(example(), (0.0, 1.0, 10.0, 100.0))
    assert "condition number 22.6" in str(ElementTree.fromstring(svg).get("aria-label"))


def test_the_figure_of_many_dimensions_shows_the_widest_and_the_narrowest() -> None:
    svg = two_gaussians(some(3, 6), (0.0, 1.0))
    assert any("largest eigenvalue" in text for text in texts(svg))
    cosine = f"{some(3, 6).alignment:.2f}"
    assert any(cosine in text for text in texts(svg))


@pytest.mark.parametrize(
    ("truth", "eps"),
    [
        (Gaussians(np.ones(1), np.eye(1)), [1.0]),
        (example(), []),
        (Gaussians(np.array([0.0, 1.0, 0.0]), np.diag([3.0, 2.0, 1.0])), [1.0]),
    ],
)
def test_what_cannot_be_drawn_is_refused(truth: Gaussians, eps: list[float]) -> None:
    with pytest.raises(BrittleError):
        two_gaussians(truth, eps)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("shape", [(1e-4, 1.0), (1.0, 1.0), (1.0, 1e-4)])
def test_gaussians_of_any_size_and_shape_can_be_drawn(scale: float, shape: tuple[float, float]) -> None:
    svg = two_gaussians(
        Gaussians(np.array([0.1, 0.2]) * scale, np.diag(shape) * scale**2), [0.0, scale**2, 1e8 * scale**2]
    )
    assert len([text for text in texts(svg) if text.startswith("eps ")]) == 3


# The verb

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run("--eps", "1")` gives exit status, stdout and stderr of `brittle gaussian` in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["brittle", "gaussian", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def test_the_verb_shows_budgets_and_writes_what_it_shows(run: Run) -> None:
    status, out, _ = run("--out", "here")
    assert status == 0
    assert "22.55" in out
    assert "16.28 0.7218" in out  # nothing is cut off in a terminal of 80 columns
    record = json.loads(Path("here/gaussian.json").read_text())
    assert [fit["eps"] for fit in record["fits"]] == [0, 1, 10]
    assert record["fits"][0]["lambda"] is None
    assert Path("here/gaussian.svg").read_text() == two_gaussians(example(), (0.0, 1.0, 10.0))
    status, out, _ = run("--json")
    assert status == 0
    assert json.loads(out) == record


def test_the_verb_takes_any_gaussians_and_shows_that_training_arrives(run: Run) -> None:
    words = (
        "--mu",
        "1,1,1",
        "--sigma",
        "16, 1, .25",
        "--eps",
        "1",
        "--eps",
        "20/2",
        "--simulate",
        "-n",
        "500",
        "--seed",
        "3",
    )
    status, out, _ = run(*words, "--json")
    assert status == 0
    record = json.loads(out)
    assert record["fits"][1]["lambda"] == pytest.approx(0.17003, abs=1e-5)
    assert record["simulation"]["n"] == 500
    assert all(one["from_samples"] < 1e-4 < one["from_truth"] < 1 for one in record["simulation"]["runs"])
    status, out, _ = run(*words)
    assert status == 0
    assert "training on 500 samples" in out


def test_the_verb_reads_a_covariance(run: Run) -> None:
    Path("matrix.json").write_text("[[14, 5.5], [5.5, 3]]")
    Path("matrix.csv").write_text("14, 5.5\n5.5, 3\n\n")
    answers = [run(*words, "--json") for words in ((), ("--covariance", "matrix.json"), ("--covariance", "matrix.csv"))]
    assert answers[0] == answers[1] == answers[2]


def test_the_verb_says_why_there_is_no_figure(run: Run) -> None:
    status, _, err = run("--mu", "1", "--sigma", "2", "--out", "here")
    assert status == 0
    assert "no gaussian.svg" in err
    assert Path("here/gaussian.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--eps", "much"], "--eps"),
        (["--eps", "1/0"], "--eps"),
        (["--eps", "-1"], "at least 0"),
        (["--eps", "nan"], "at least 0"),
        (["--mu", "1,b"], "--mu"),
        (["--mu", "1,2,3"], "3 entries"),
        (["--mu", "0,0"], "mu is 0"),
        (["--sigma", "1,,2"], "--sigma"),
        (["--sigma", "1,0"], "positive definite"),
        (["--sigma", "1,1", "--covariance", "good.csv"], "leave out one"),
        (["--covariance", "nothing.csv"], "cannot be read"),
        (["--covariance", "words.csv"], "no matrix"),
        (["--covariance", "words.json"], "no matrix"),
        (["--covariance", "flat.json"], "no matrix"),
        (["--covariance", "bytes.csv"], "no matrix"),
        (["--covariance", "empty.csv"], "as many columns as rows"),
        (["--covariance", "ragged.csv"], "as many columns as rows"),
        (["--covariance", "skew.csv"], "symmetric"),
        (["--simulate", "-n", "1"], "-n"),
        (["--simulate", "-n", "2"], "draw more"),
        (["--out", "good.csv/below"], "cannot be written"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(run: Run, words: list[str], said: str) -> None:
    for name, text in (
        ("good.csv", "1,0\n0,1\n"),
        ("words.csv", "a,b\nc,d\n"),
        ("words.json", "no"),
        ("flat.json", "[1, 2]"),
        ("empty.csv", ""),
        ("ragged.csv", "1,2\n3\n"),
        ("skew.csv", "1,2\n0,5\n"),
    ):
        Path(name).write_text(text)
    Path("bytes.csv").write_bytes(b"\xff\xfe\x00\x81")
    status, out, err = run(*words)
    assert status == 2, (out, err)
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert said in err
