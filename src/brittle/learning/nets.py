"""Networks by name. Each is built for an image shape and a number of classes, behind a `Normalize` module of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brittle.ground import BrittleError

Shape = tuple[int, int, int]


class Normalize(nn.Module):
    """(x - mean) / std per channel; images stay in [0, 1] outside of the model."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std  # type: ignore[operator]


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut. Source: He et al. 2016, the CIFAR form."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(inside, outside, stride),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        same = stride == 1 and inside == outside
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside))


def _linear(shape: Shape, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def _mlp(shape: Shape, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape[0] * shape[1] * shape[2], 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, classes),
    )


def _madry(shape: Shape, classes: int) -> nn.Module:
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


def _trades(shape: Shape, classes: int) -> nn.Module:
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


def _small(shape: Shape, classes: int) -> nn.Module:
    def block(inside: int, outside: int) -> list[nn.Module]:
        return [*_conv(inside, outside), nn.MaxPool2d(2), nn.ReLU()]

    body = nn.Sequential(*_conv(shape[0], 32), nn.ReLU(), *block(32, 64), *block(64, 128), *_conv(128, 128), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(512, classes))


def _resnet18(shape: Shape, classes: int) -> nn.Module:
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
    return nn.Sequential(_conv(shape[0], 64), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def _width(body: nn.Module, shape: Shape) -> int:
    try:
        with torch.no_grad():
            return int(body(torch.zeros(1, *shape)).shape[1])
    except RuntimeError:
        raise BrittleError(f"images of {shape[1]} x {shape[2]} pixels are too small for this net; try --net mlp or small") from None


@dataclass(frozen=True)
class Kind:
    """A net by its name: what it is, and its builder `(shape, classes) -> module`."""

    what: str
    build: Callable[[Shape, int], nn.Module]


NETS = {
    "linear": Kind("one linear layer", _linear),
    "mlp": Kind("two hidden layers of 256", _mlp),
    "small": Kind("four 3x3 convolutions, batch norm: quick on a CPU, 8x8 to 32x32", _small),
    "madry": Kind("Madry et al. 2018, MNIST: conv 32-64 5x5, dense 1024", _madry),
    "trades": Kind("SmallCNN of TRADES (Zhang et al. 2019), MNIST: 4 conv, 3 dense, dropout", _trades),
    "resnet18": Kind("ResNet-18, CIFAR form (3x3 stem, no max-pool)", _resnet18),
}

STATISTICS = {"cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))}  # per pixel, not per image


def statistics_of(data: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that nets on this data set are given; 0 and 1 where nothing is usual (MNIST)."""
    mean, std = STATISTICS.get(data.partition(" (")[0], ((0.0,) * channels, (1.0,) * channels))
    return list(mean), list(std)


def build_net(
    name: str, shape: Shape, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> nn.Sequential:
    """`Normalize` followed by the net called `name`, with freshly drawn parameters (from torch's global generator).

    Raises:
        BrittleError: unknown name, or images too small for the net.
    """
    if name not in NETS:
        raise BrittleError(f"no net is called {name!r}; known: {', '.join(NETS)}")
    net = nn.Sequential(Normalize(mean or [0.0] * shape[0], std or [1.0] * shape[0]), NETS[name].build(shape, classes))
    net.channels_last = True  # type: ignore[assignment]
    return net
