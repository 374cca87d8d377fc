"""Square and sparse search, query by query, beside the same search written out in numpy pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from brittle.attacks import L0, L1, L2, Linf, NormBall, against, margin, sparse_search, square
from brittle.ground import keys_of, uniform
from reference import Curved, Vector, nearest

SHAPE, SEED = (2, 12, 11), 5
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # queries of 10,000, as the paper halves the squares


class Numbers:
    """The numbers in [0, 1) that a search draws for one image."""

    def __init__(self, image: torch.Tensor) -> None:
        self.key = keys_of(image[None])

    def __call__(self, number: int, *shape: int) -> Vector:
        return uniform(self.key, torch.Size(shape), seed=SEED, draw=number)[0].double().numpy()

    def square(self, query: int) -> Vector:
        return self(query, 6 + SHAPE[0])


def signs(numbers: Vector) -> Vector:
    return np.where(numbers[6:] < 0.5, -1.0, 1.0)


def side_at(query: int, queries: int, odd: bool) -> int:
    share = 0.8 / 2 ** sum(10_000 * query / queries > point for point in HALVED)
    side = max(round(math.sqrt(share * SHAPE[1] * SHAPE[2])), 3 if odd else 1)
    return min(side + (odd and side % 2 == 0), *SHAPE[1:])


def window(side: int, down: float, right: float) -> tuple[slice, slice, slice]:
    top, left = int(down * (SHAPE[1] - side + 1)), int(right * (SHAPE[2] - side + 1))
    return slice(None), slice(top, top + side), slice(left, left + side)


def bump(side: int, numbers: Vector, order: float) -> Vector:
    half, found = side // 2, np.zeros((SHAPE[0], side, side))
    sharp = (2, 4, 8)[int(numbers[5] * 3)] * 2 / order
    for row, column in np.ndindex(side, side):
        across, along = (row, column) if numbers[4] < 0.5 else (column, row)
        middle = half // 2 if across < half else half + (side - half) // 2
        ring = min(max(abs(across - middle), abs(along - half)), half)
        height = sum((k + 1) ** -sharp for k in range(ring, half + 1))
        found[:, row, column] = height * (1 if across < half else -1) * signs(numbers)
    return found


def unit(change: Vector, order: float) -> Vector:
    size = (np.abs(change) ** order).sum() ** (1 / order)
    return change / size if size > 0 else change


def first_change(draw: Numbers, threat: NormBall) -> Vector:
    change = np.zeros(SHAPE)
    if math.isinf(threat.order):  # vertical stripes
        for column in range(SHAPE[2]):
            change[:, :, column] = threat.radius * signs(draw.square(-1 - column))[:, None]
        return change
    side, tile = min(SHAPE[1:]) // 5, 0
    for top in range(SHAPE[1] % side // 2, SHAPE[1] - side + 1, side):
        for left in range(SHAPE[2] % side // 2, SHAPE[2] - side + 1, side):
            change[:, top : top + side, left : left + side] += bump(side, draw.square(-1 - tile), threat.order)
            tile += 1
    return threat.radius * unit(change, threat.order)


def next_change(change: Vector, draw: Numbers, threat: NormBall, query: int, queries: int) -> Vector:
    numbers, p = draw.square(query), threat.order
    change = change.copy()
    if math.isinf(p):
        change[window(side_at(query, queries, False), *numbers[:2])] = threat.radius * signs(numbers)[:, None, None]
        return change
    side = side_at(query, queries, True)
    filled, emptied = window(side, *numbers[:2]), window(side, *numbers[2:4])
    content = unit(bump(side, numbers, p), p) + unit(change[filled], p)
    change[filled] = 0
    change[emptied] = 0
    free = max(threat.radius**p - (np.abs(change) ** p).sum(), 0) ** (1 / p)
    change[filled] += free * unit(content, p)
    return threat.radius * unit(change, p)


def examples() -> tuple[Curved, torch.Tensor, torch.Tensor]:
    model = Curved(size=math.prod(SHAPE), curvature=0.3)
    x = torch.from_numpy(0.05 + 0.9 * np.random.default_rng(2).random((3, *SHAPE)))
    y = model(x).argmax(1)
    model.asked.clear()
    return model, x, y


@pytest.mark.parametrize("threat", [Linf(0.02), L2(0.4), L1(3)], ids=str)
def test_square_asks_what_the_paper_asks(threat: NormBall) -> None:
    model, x, y = examples()
    queries = 60
    found = square(against(model, margin), threat, queries=queries, seed=SEED).run(x, y)
    asked = np.stack(model.asked)
    for row, image in enumerate(x.numpy()):
        draw, points = Numbers(x[row]), [image]

        def allowed(change: Vector, image: Vector = image) -> Vector:
            return nearest(threat, image.ravel(), (image + change).ravel()).reshape(SHAPE)

        def height(point: Vector, label: int = int(y[row])) -> tuple[bool, float]:
            gap = model.gap(point.ravel(), label)[0]
            return gap > 0, gap

        best = allowed(first_change(draw, threat))
        points += [best]
        for query in range(1, queries):
            points += [allowed(next_change(best - image, draw, threat, query, queries))]
            best = max(best, points[-1], key=height)
        np.testing.assert_allclose(asked[:, row], np.stack(points).reshape(queries + 1, -1), rtol=0, atol=2e-6)
        worst = max(points, key=height)
        np.testing.assert_allclose(found.x[row].numpy(), worst, rtol=0, atol=2e-6)
        assert bool(found.success[row]) == height(worst)[0]


def test_sparse_search_exchanges_fewer_and_fewer_pixels() -> None:
    """`count` pixels black or white; a query puts back as many as it changes, a share of them that falls."""
    model, x, y = examples()
    threat, queries, pixels = L0(12), 50, SHAPE[1] * SHAPE[2]
    fall = ((0, 1), (50, 2), (200, 4), (500, 5), (1000, 6), (2000, 8), (4000, 10), (6000, 12), (8000, 15))
    sparse_search(against(model, margin), threat, queries=queries, seed=SEED).run(x, y)
    asked = np.stack(model.asked).reshape(queries + 1, len(x), SHAPE[0], pixels)
    for row, image in enumerate(x.numpy().reshape(len(x), SHAPE[0], pixels)):
        draw, label = Numbers(x[row]), int(y[row])

        def height(point: Vector, label: int = label) -> tuple[bool, float]:
            gap = model.gap(point.ravel(), label)[0]
            return gap > 0, gap

        best, changed = image.copy(), np.argsort(draw(1, pixels))[:12]
        best[:, changed] = (draw(0, *SHAPE) < 0.5).reshape(SHAPE[0], pixels)[:, changed]
        np.testing.assert_array_equal(asked[1, row], best)
        for query in range(1, queries):
            order = draw(2 * query + 1, pixels)
            share = 0.3 / max(part for point, part in fall if 10_000 * query / queries > point)
            count, others = max(int(share * 12), 1), np.setdiff1d(np.arange(pixels), changed)
            back = changed[np.argsort(order[changed])[:count]]
            new = others[np.argsort(order[others])[:count]]
            proposal = best.copy()
            proposal[:, back] = image[:, back]
            proposal[:, new] = (draw(2 * query, *SHAPE) < 0.5).reshape(SHAPE[0], pixels)[:, new]
            np.testing.assert_array_equal(asked[query + 1, row], proposal)
            if height(proposal) > height(best):
                best, changed = proposal, np.union1d(np.setdiff1d(changed, back), new)
