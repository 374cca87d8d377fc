"""Nets that join channels: DenseNet-121 and Inception-v3, in their forms for 32 x 32 images."""

import torch
from torch import Tensor, nn

from .common import Shape, with_head

GROWTH = 32  # channels that each layer of DenseNet-121 adds

Size = tuple[int, int]


class Join(nn.Module):
    """What the branches say of the same input, one behind the other along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def densenet121(shape: Shape, classes: int) -> nn.Module:
    """Source: Huang et al. 2017, DenseNet-BC (bottlenecks of 4 x growth, transitions that halve the channels)."""
    width = 2 * GROWTH
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1, bias=False)]
    for depth in (6, 12, 24, 16):
        if len(layers) > 1:
            layers += [*_before(width, width // 2, 1), nn.AvgPool2d(2)]
            width //= 2
        for _ in range(depth):
            layers.append(
                Join(nn.Identity(), nn.Sequential(*_before(width, 4 * GROWTH, 1), *_before(4 * GROWTH, GROWTH, 3)))
            )
            width += GROWTH
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return with_head(nn.Sequential(*layers), width, classes)


def _before(inside: int, outside: int, size: int) -> list[nn.Module]:
    """Batch norm and ReLU come before the convolution."""
    return [nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, outside, size, padding=size // 2, bias=False)]


def inceptionv3(shape: Shape, classes: int) -> nn.Module:
    """Source: Szegedy et al. 2016; the stem without strides and pools (32 x 32 pixels go on as 30 x 30), no auxiliary
    head, no dropout before the last layer.
    """
    body = nn.Sequential(
        _chain(shape[0], (32, (3, 3)), (32, (3, 3)), (64, (3, 3)), (80, (1, 1))),
        _conv(80, 192, (3, 3), shrink=True),
        *(_fine(192, 32), _fine(256, 64), _fine(288, 64)),
        _to_middle(288),
        *(_middle(768, 128), _middle(768, 160), _middle(768, 160), _middle(768, 192)),
        _to_coarse(768),
        *(_coarse(1280), _coarse(2048)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return with_head(body, 2048, classes)


def _fine(inside: int, pooled: int) -> Join:
    """Inception A."""
    return Join(
        _chain(inside, (64, (1, 1))),
        _chain(inside, (48, (1, 1)), (64, (5, 5))),
        _chain(inside, (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
        _pooled(inside, pooled),
    )


def _to_middle(inside: int) -> Join:
    """Inception B, which halves the grid."""
    double = _chain(inside, (64, (1, 1)), (96, (3, 3)))
    return Join(_halved(inside, 384), nn.Sequential(double, _halved(96, 96)), nn.MaxPool2d(3, 2))


def _middle(inside: int, width: int) -> Join:
    """Inception C: 7x7 convolutions as pairs of 1x7 and 7x1."""
    row, column = (width, (1, 7)), (width, (7, 1))
    return Join(
        _chain(inside, (192, (1, 1))),
        _chain(inside, (width, (1, 1)), row, (192, (7, 1))),
        _chain(inside, (width, (1, 1)), column, row, column, (192, (1, 7))),
        _pooled(inside, 192),
    )


def _to_coarse(inside: int) -> Join:
    """Inception D, which halves the grid."""
    seven = _chain(inside, (192, (1, 1)), (192, (1, 7)), (192, (7, 1)))
    three = _chain(inside, (192, (1, 1)))
    return Join(nn.Sequential(three, _halved(192, 320)), nn.Sequential(seven, _halved(192, 192)), nn.MaxPool2d(3, 2))


def _coarse(inside: int) -> Join:
    """Inception E: 3x3 convolutions as 1x3 and 3x1 side by side."""

    def both() -> Join:
        return Join(_conv(384, 384, (1, 3)), _conv(384, 384, (3, 1)))

    return Join(
        _chain(inside, (320, (1, 1))),
        nn.Sequential(_chain(inside, (384, (1, 1))), both()),
        nn.Sequential(_chain(inside, (448, (1, 1)), (384, (3, 3))), both()),
        _pooled(inside, 192),
    )


def _pooled(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), *_conv(inside, outside, (1, 1)))


def _halved(inside: int, outside: int) -> nn.Sequential:
    return _conv(inside, outside, (3, 3), stride=2, shrink=True)


def _chain(inside: int, *steps: tuple[int, Size]) -> nn.Sequential:
    """Convolutions of these numbers of channels and sizes, one after the other."""
    layers: list[nn.Module] = []
    for outside, size in steps:
        layers += _conv(inside, outside, size)
        inside = outside
    return nn.Sequential(*layers)


def _conv(inside: int, outside: int, size: Size, stride: int = 1, shrink: bool = False) -> nn.Sequential:
    padding = (0, 0) if shrink else (size[0] // 2, size[1] // 2)
    conv = nn.Conv2d(inside, outside, size, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside, eps=1e-3), nn.ReLU())
