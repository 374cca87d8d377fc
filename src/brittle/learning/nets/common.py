"""What nets are made of: the shape of an image, how it is normalised, and the layers that several nets share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from brittle.ground import BrittleError

Shape = tuple[int, int, int]


class Normalize(nn.Module):
    """(x - mean) / std per channel; images stay in [0, 1] outside of the model. One number is for all of x, of any
    shape."""

    def __init__(self, mean: Sequence[float] | float, std: Sequence[float] | float) -> None:
        super().__init__()
        for name, value in (("mean", torch.tensor(mean)), ("std", torch.tensor(std))):
            self.register_buffer(name, value.view(-1, 1, 1) if value.dim() else value)

    def forward(self, x: Any) -> Any:  # a tensor, or what torch.fx shows it while it is traced
        return (x - self.mean) / self.std


@dataclass(frozen=True)
class NetEntry:
    """A net by its name: what it is, how it is built, and where its representation is.

    Args:
        what: a few words on it.
        build: its builder `(shape, classes) -> module`.
        representation: the dotted name, inside the net that `build_net` returns, of the module whose output [B, D] is
            the input of the last linear layer (`net.get_submodule(name)`); for `linear` that is the flattened image.
        smallest: height and width, in pixels, that an image must have at least.
    """

    what: str
    build: Callable[[Shape, int], nn.Module]
    representation: str
    smallest: int = 1


def conv_norm(inside: int, outside: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    """A convolution that keeps the grid (but for its stride), and batch norm, which makes a bias idle."""
    return nn.Sequential(nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside))


def with_head(body: nn.Sequential, width: int, classes: int) -> nn.Sequential:
    """`body`, whose output [B, width] is the representation, and one linear layer on it."""
    return nn.Sequential(body, nn.Linear(width, classes))


def too_small(shape: Shape) -> BrittleError:
    """What to say of images that a net's strides leave nothing of."""
    return BrittleError(f"images of {shape[1]} x {shape[2]} pixels are too small for this net; try --net mlp")
