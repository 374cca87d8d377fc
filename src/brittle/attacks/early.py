"""Early stopping: an image that is broken for good leaves the search."""

from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from brittle.ground import Flags, Images

from .losses import Aim
from .objectives import Evaluate, Evaluation, UntilDone

EVERY = {"cpu": 1}  # steps between looks for images that are done
SELDOM = 10  # on other devices, where each look waits for the device
FEWER = 0.8  # the batch shrinks once no more than this share of it is still searched


class Unfinished:
    """Which images of a batch are still searched: all, unless `evaluate` says which are done.

    Images that are done are shown to the model until a fifth of those at hand are: each size of a batch costs memory
    and time of its own. One that succeeds without being done (it does not fool in 8 bits, say) is asked about again
    after twice as many steps as the last time.

    Attributes:
        rows: those of the batch that are at hand.
    """

    def __init__(self, evaluate: Evaluate, like: Images) -> None:
        self._done = evaluate.done if isinstance(evaluate, UntilDone) else None
        self._count, self._all = len(like), True
        self.rows = torch.arange(len(like), device=like.device)
        self._open = torch.ones_like(self.rows, dtype=torch.bool)  # of those at hand, which are not done
        self._next, self._pause = torch.zeros_like(self.rows), torch.ones_like(self.rows)  # when each is asked about

    def staying(self, x0: Images, x: Images, y: Aim, success: Flags, t: int) -> tuple[Tensor | None, Tensor | None]:
        """After step `t`: which of the images at hand are searched further, as positions among them (none: all stay),
        and which of the whole batch are done now (none: no one)."""
        if self._done is None or t % EVERY.get(x.device.type, SELDOM):
            return None, None
        tried = (success & self._open & (self._next <= t)).nonzero().squeeze(1)
        if len(tried) == 0:
            return None, None
        done = tried[self._done(x0[tried], x[tried], y[tried])]
        self._next = self._next.index_copy(0, tried, t + self._pause[tried])
        self._pause = self._pause.index_copy(0, tried, 2 * self._pause[tried])
        if len(done) == 0:
            return None, None
        now = torch.zeros(self._count, dtype=torch.bool, device=x.device).index_fill(0, self.rows[done], True)
        self._all = False
        self._open = self._open.index_fill(0, done, False)
        stay = self._open.nonzero().squeeze(1)
        if len(stay) > FEWER * len(self.rows):
            return None, now
        self.rows, self._open = self.rows[stay], torch.ones_like(stay, dtype=torch.bool)
        self._next, self._pause = self._next[stay], self._pause[stay]
        return stay, now

    def whole(self, part: Tensor, rest: Tensor | float) -> Tensor:
        """What is known of the images still searched among the whole batch [B, ...]; `rest` holds for the others."""
        if self._all:
            return part
        filled = rest.clone() if isinstance(rest, Tensor) else part.new_full((self._count, *part.shape[1:]), rest)
        return filled.index_copy(0, self.rows[self._open], part[self._open])

    def evaluation(self, part: Evaluation) -> Evaluation:
        """An evaluation of the whole batch: of the others neither success nor any loss (-inf)."""
        lost = -torch.inf
        return Evaluation(
            self.whole(part.logits, 0.0),
            self.whole(part.loss, lost),
            self.whole(part.success, False),
            self.whole(part.own, 0),
            part.sign,
        )


def taken(tree: Any, rows: Tensor, count: int) -> Any:
    """Of every tensor [count, ...] in a tree of tuples, lists and dicts these rows."""
    return apply_to_collection(tree, Tensor, lambda one: one[rows] if one.shape[:1] == (count,) else one)
