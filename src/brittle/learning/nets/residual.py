"""Residual nets for 32 x 32 images: ResNet-9, 18 and 50."""

import torch
from torch import Tensor, nn

from .common import Shape, conv_norm, with_head


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut. Source: He et al. 2016, the CIFAR form."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm(inside, outside, stride),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        same = stride == 1 and inside == outside
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Sum(nn.Module):
    """What `body` and `shortcut` say, added."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)  # type: ignore[no-any-return]


def resnet18(shape: Shape, classes: int) -> nn.Module:
    """Source: He et al. 2016, table 1; for 32 x 32 images a 3x3 stem of stride 1, and no max-pool behind it."""
    widths = [
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
        (512, 512, 1),
    ]
    blocks = [Residual(*width) for width in widths]
    return nn.Sequential(
        conv_norm(shape[0], 64), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)
    )


def resnet50(shape: Shape, classes: int) -> nn.Module:
    """Source: He et al. 2016, table 1; for 32 x 32 images a 3x3 stem of stride 1, and no max-pool behind it."""
    blocks: list[nn.Module] = []
    inside = 64
    for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for place in range(depth):
            blocks += _bottleneck(inside, width, stride if place == 0 else 1)
            inside = 4 * width
    stem = [*conv_norm(shape[0], 64), nn.ReLU()]
    return with_head(nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 2048, classes)


def _bottleneck(inside: int, width: int, stride: int) -> list[nn.Module]:
    body = [
        *(*conv_norm(inside, width, size=1), nn.ReLU()),
        *(
            *conv_norm(width, width, stride),
            nn.ReLU(),
        ),  # the stride is here, as in everyone's code, not at the first 1x1
        *conv_norm(width, 4 * width, size=1),
    ]
    fits = stride == 1 and inside == 4 * width
    return [Sum(nn.Sequential(*body), None if fits else conv_norm(inside, 4 * width, stride, size=1)), nn.ReLU()]


def resnet9(shape: Shape, classes: int) -> nn.Module:
    """Source: Page 2018, "How to train your ResNet"; without its constant factor on the logits, and with a bias
    there."""
    body = nn.Sequential(
        *(*_block(shape[0], 64), *_block(64, 128, pool=True)),
        Sum(nn.Sequential(*_block(128, 128), *_block(128, 128))),
        *(*_block(128, 256, pool=True), *_block(256, 512, pool=True)),
        Sum(nn.Sequential(*_block(512, 512), *_block(512, 512))),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )
    return with_head(body, 512, classes)


def _block(inside: int, outside: int, pool: bool = False) -> list[nn.Module]:
    return [*conv_norm(inside, outside), *([nn.MaxPool2d(2)] if pool else []), nn.ReLU()]
