"""Nets that go straight through: the small ones for small images, and VGG."""

import torch
from torch import nn

from .common import Shape, conv_norm, too_small, with_head


def linear(shape: Shape, classes: int) -> nn.Module:
    """One linear layer on the flattened image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def mlp(shape: Shape, classes: int) -> nn.Module:
    """Two hidden layers of 256."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape[0] * shape[1] * shape[2], 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def small(shape: Shape, classes: int) -> nn.Module:
    """Four 3x3 convolutions of 32 to 128 channels with batch norm, max-pooled to 2x2: a representation of 512."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        return [*conv_norm(inside, outside), nn.MaxPool2d(2), nn.ReLU()]

    body = nn.Sequential(
        *conv_norm(shape[0], 32), nn.ReLU(), *block(32, 64), *block(64, 128), *conv_norm(128, 128), nn.ReLU()
    )
    return nn.Sequential(body, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(512, classes))


def quick(shape: Shape, classes: int) -> nn.Module:
    """A 4x4 convolution of stride 2 and three 3x3 ones, 32 to 128 channels, batch norm: a representation of 512."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        return [*conv_norm(inside, outside), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]

    first = [nn.Conv2d(shape[0], 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    body = nn.Sequential(
        *first, *block(32, 64), *block(64, 128), *conv_norm(128, 128), nn.ReLU(), nn.AdaptiveMaxPool2d(2)
    )
    return with_head(nn.Sequential(*body, nn.Flatten()), 512, classes)


def airbench(shape: Shape, classes: int) -> nn.Module:
    """A 2x2 convolution of 24 channels and six 3x3 ones of 32 to 128 channels, batch norm, max-pooled to one place.
    Source: Jordan 2024 (94 % on CIFAR-10 in 3.29 seconds), at half of its widths; ReLU for GELU, and the first layer
    learned, not whitened."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        first = [nn.Conv2d(inside, outside, 3, 1, 1, bias=False), nn.MaxPool2d(2, ceil_mode=True)]
        return [*first, nn.BatchNorm2d(outside), nn.ReLU(), *conv_norm(outside, outside), nn.ReLU()]

    body = [nn.Conv2d(shape[0], 24, 2), nn.ReLU(), *block(24, 32), *block(32, 128), *block(128, 128)]
    return with_head(nn.Sequential(*body, nn.AdaptiveMaxPool2d(1), nn.Flatten()), 128, classes)


def madry(shape: Shape, classes: int) -> nn.Module:
    """Two 5x5 convolutions of 32 and 64 channels, max-pooled, and 1024 units. Source: Madry et al. 2018, their code for
    MNIST."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 32, 5, padding=2),
        nn.MaxPool2d(2),  # before the ReLU: the same function, at a quarter of its cost
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
    )
    return nn.Sequential(body, nn.Linear(_width(body, shape), 1024), nn.ReLU(), nn.Linear(1024, classes))


def fast(shape: Shape, classes: int) -> nn.Module:
    """Two 4x4 convolutions of stride 2, 16 and 32 channels, and 100 units. Source: Wong et al. 2020 (Fast is better
    than free), their code for MNIST."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()
    )
    return nn.Sequential(body, nn.Linear(_width(body, shape), 100), nn.ReLU(), nn.Linear(100, classes))


def trades(shape: Shape, classes: int) -> nn.Module:
    """Four 3x3 convolutions and three linear layers with dropout. Source: SmallCNN in the code of Zhang et al. 2019."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
    )
    head = nn.Sequential(
        nn.Linear(_width(body, shape), 200),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(200, 200),
        nn.ReLU(),
        nn.Linear(200, classes),
    )
    return nn.Sequential(body, head)


def vgg16(shape: Shape, classes: int) -> nn.Module:
    """Configuration D of Simonyan & Zisserman 2015, with batch norm and, as usual for CIFAR, one linear layer for
    three."""
    layers: list[nn.Module] = []
    inside = shape[0]
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [*conv_norm(inside, width), nn.ReLU()]
            inside = width
        # rounding up is the same at 32 x 32, and lets 28 x 28 pass five halvings
        layers.insert(-1, nn.MaxPool2d(2, ceil_mode=True))
    return with_head(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512, classes)


def _width(body: nn.Module, shape: Shape) -> int:
    try:
        with torch.no_grad():
            return int(body(torch.zeros(1, *shape)).shape[1])
    except RuntimeError:
        raise too_small(shape) from None
