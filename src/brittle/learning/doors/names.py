"""The classes of a model and of the data, matched by their names."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from brittle.attacks import logits_of
from brittle.ground import BrittleError


class Reordered(nn.Module):
    """A model with its logits in another order."""

    order: Tensor

    def __init__(self, model: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Any) -> Any:  # a tensor, or what torch.fx shows it while it is traced
        answer = self.model(x)
        return (answer if isinstance(answer, fx.Proxy) else logits_of(answer)).index_select(1, self.order)


def in_order_of(model: nn.Module, spec: str, own: Sequence[str], wanted: Sequence[str]) -> nn.Module:
    """`model` with the logits of the `wanted` classes first, in their order, where it has `own` of the same names;
    where the names tell nothing, as it is.

    Raises:
        BrittleError: some names stand at other places than the model's, and others are none of its classes.
    """
    known, asked = ([_plainly(name) for name in names] for names in (own, wanted))
    if asked and all(known.count(name) == asked.count(name) == 1 for name in asked):
        first = [known.index(name) for name in asked]
        order = first + [place for place in range(len(known)) if place not in first]
        return model if order == sorted(order) else Reordered(model, order)
    moved = [name for place, name in enumerate(asked) if known.count(name) == 1 and known.index(name) != place]
    strange = [wanted[place] for place, name in enumerate(asked) if name not in known]
    if moved and strange:
        raise BrittleError(
            f"{spec} and the data name their classes alike, but {moved[0]!r} is number {known.index(moved[0])} of the "
            f"model's and {asked.index(moved[0])} of the data's, and {strange[0]!r} is none of the model's; call the "
            "classes of the data as the model calls them"
        )
    return model


def _plainly(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
