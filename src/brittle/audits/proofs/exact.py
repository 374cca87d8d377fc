"""Exact answers for tiny nets: is there an adversarial image in an Linf ball? By mixed-integer programming.

Source: Tjeng et al. 2019 (a ReLU that may switch is one binary variable; bounds decide the others beforehand).
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import csr_array, hstack, vstack
from torch import Tensor

from brittle.attacks import Certifiable
from brittle.ground import Images

from .bounds import Bounds
from .graph import Layer

SWITCHES = 200  # ReLUs that may switch, of one image: beyond that, no answer is to be expected
TOLERANCE = 1e-6  # of the solver, on constraints

Matrix = NDArray[np.float64]


class Program(NamedTuple):
    """All that a net can answer over a box of images, as linear constraints on (x, h, s): pixels, outputs of the ReLUs
    that may switch, and whether they are on.

    Attributes:
        logits: their constant and their coefficients [1 + D + U, classes].
        rows, upper: rows (x, h, s) <= upper.
        low, high: bounds of (x, h, s).
    """

    logits: Matrix
    rows: csr_array
    upper: Matrix
    low: Matrix
    high: Matrix

    @property
    def switches(self) -> int:
        return int(self.rows.shape[0]) // 3


class Decision(NamedTuple):
    """For one image: whether it is proved robust, or else an image that is answered otherwise, if one was found."""

    robust: bool
    x: Images | None


def program_of(layers: Sequence[Layer], bounds: Bounds) -> Program | None:
    """The program of one image; none where too many ReLUs may switch or a max-pool is undecided.

    Args:
        bounds: of one image [1, *S].
    """
    image, inside = bounds.x, bounds.intervals[0]
    switching = {number: _switching(bounds, number) for number, layer in enumerate(layers) if layer.kind == "relu"}
    d, u = image.numel(), sum(int(flags.sum()) for flags in switching.values())
    undecided = any(bool((line.above == 0).any()) for at, line in bounds.lines.items() if layers[at].kind == "maxpool")
    if u > SWITCHES or undecided:
        return None
    values: list[Tensor] = []  # each layer's constant and coefficients [1 + D + U, *shape]
    rows: list[csr_array] = []
    upper: list[Matrix] = []
    most: list[Matrix] = []
    for number, layer in enumerate(layers):
        if layer.kind == "input":
            eye = torch.eye(d, dtype=torch.float64).view(d, *layer.shape)
            values.append(torch.cat([torch.zeros(1, *layer.shape), eye, torch.zeros(u, *layer.shape)]))
            continue
        read = [values[parent] for parent in layer.parents]
        if layer.kind == "affine":
            values.append(_linear(layer, read))
        elif layer.kind == "maxpool":
            best = bounds.lines[number].below.flatten()
            values.append(read[0].flatten(1)[:, best].view(-1, *layer.shape))
        else:
            flags, first = switching[number], sum(map(len, most))
            before = read[0].flatten(1)
            low, high = (side.flatten()[flags].numpy() for side in bounds.intervals[layer.parents[0]])
            rows.append(_switched(before[:, flags].numpy(), low, high, d, u, first))
            upper.append(np.concatenate([-before[0, flags].numpy(), before[0, flags].numpy() - low, 0 * low]))
            most.append(high)
            on = (bounds.intervals[layer.parents[0]].low.flatten() >= 0).to(before)
            now = before * on
            now[1 + d + first + torch.arange(len(high)), flags.nonzero().squeeze(1)] = 1
            values.append(now.view(-1, *layer.shape))
    ones = np.ones(u)
    return Program(
        logits=values[-1].numpy(),
        rows=vstack(rows, format="csr") if rows else csr_array((0, d)),
        upper=np.concatenate(upper) if upper else np.zeros(0),
        low=np.concatenate([inside.low.flatten().numpy(), 0 * ones, 0 * ones]),
        high=np.concatenate([inside.high.flatten().numpy(), *most, ones]),
    )


def _switching(bounds: Bounds, number: int) -> Tensor:
    low, high = bounds.intervals[bounds.layers[number].parents[0]]
    return ((low < 0) & (high > 0)).flatten()


def _linear(layer: Layer, read: list[Tensor]) -> Tensor:
    """An affine layer on constants and coefficients: the offset belongs to the constant alone."""
    offset = layer.apply(*(torch.zeros_like(one[:1]) for one in read))
    found = layer.apply(*read) - offset
    found[:1] += offset
    return found


def _switched(before: Matrix, low: Matrix, high: Matrix, d: int, u: int, first: int) -> csr_array:
    """h >= a, h <= a - low (1 - s), h <= high s for the units of a layer, as rows (x, h, s) <= upper."""
    count, weights = len(low), csr_array(before[1:].T)
    places = np.arange(count), first + np.arange(count)
    unit = csr_array((np.ones(count), places), shape=(count, u))
    at_low, at_high = (csr_array((side, places), shape=(count, u)) for side in (low, high))
    nothing, empty = csr_array((count, u)), csr_array((count, d))
    of_h = hstack([empty, unit])
    above = hstack([weights - of_h, nothing])
    below = hstack([of_h - weights, -at_low])
    return vstack([above, below, hstack([of_h, -at_high])], format="csr")


def decide(
    layers: Sequence[Layer],
    threat: Certifiable,
    x: Images,
    y: int,
    others: Iterable[int],
    seconds: float,
    slack: float = TOLERANCE,
) -> Decision | None:
    """Whether any image of the box around x [1, *S] is answered otherwise than y; none if that was not decided.

    Args:
        threat: one that holds exactly the images between the two of its `interval`, such as Linf.
        others: the wrong classes that are in doubt, the most doubtful first.
        seconds: the most that all of it may take.
        slack: the least margin that counts as a proof; what rounding may change.
    Cost: exponential in the ReLUs that may switch.
    """
    started = time.monotonic()
    with torch.no_grad():
        program = program_of(layers, Bounds(layers, threat, x.double(), exact_to=10**9))
    if program is None:
        return None
    d, u = x.numel(), program.switches
    integrality = np.concatenate([np.zeros(d + u), np.ones(u)])
    constraints = [LinearConstraint(program.rows, -np.inf, program.upper)] if u else []
    decided = True
    for other in others:
        gap = program.logits[:, other] - program.logits[:, y]
        with _silent():
            found = milp(
                -np.concatenate([gap[1:], np.zeros(u)]),
                constraints=constraints,
                bounds=Box(program.low, program.high),
                integrality=integrality,
                options={"time_limit": max(started + seconds - time.monotonic(), 0.1)},
            )
        if found.x is not None and gap[0] - found.fun > 0:
            at = torch.from_numpy(found.x[:d]).view_as(x).to(x).clamp(*(side.to(x) for side in threat.interval(x)))
            return Decision(False, at)
        least = found.fun if found.status == 0 and found.mip_dual_bound is None else found.mip_dual_bound
        most = np.inf if least is None else gap[0] - least  # what the logit of `other` exceeds that of y by, at most
        decided = decided and bool(most < -max(slack, TOLERANCE))
    return Decision(True, None) if decided else None


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing reaches the process's stdout: HiGHS writes lines to it, whatever it is told, which would spoil JSON."""
    sys.stdout.flush()
    with open(os.devnull, "wb") as nothing:
        kept = os.dup(1)
        os.dup2(nothing.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
