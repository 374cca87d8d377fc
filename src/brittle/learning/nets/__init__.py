"""Networks by name. Each is built for an image shape and a number of classes, behind a `Normalize` module of its
own."""

from collections.abc import Sequence

from torch import nn

from brittle.ground import BrittleError

from . import branching, plain, residual
from .common import NetEntry, Normalize, Shape, too_small

__all__ = ["NETS", "NetEntry", "Normalize", "build_net"]

NETS = {
    "linear": NetEntry("one linear layer", plain.linear, "1.0"),
    "mlp": NetEntry("two hidden layers of 256", plain.mlp, "1.4"),
    "small": NetEntry(
        "four 3x3 convolutions, batch norm: quick on a CPU, 8x8 to 32x32", plain.small, "1.2", smallest=4
    ),
    "quick": NetEntry(
        "a strided and three 3x3 convolutions, batch norm: about half of small's cost", plain.quick, "1.0", smallest=4
    ),
    "fast": NetEntry("Wong et al. 2020, MNIST: conv 16-32 4x4 stride 2, dense 100", plain.fast, "1.2", smallest=4),
    "airbench": NetEntry(
        "airbench94 (Jordan 2024) at half of its widths, CIFAR: a good small one",
        plain.airbench,
        "1.0",
        smallest=9,
    ),
    "madry": NetEntry("Madry et al. 2018, MNIST: conv 32-64 5x5, dense 1024", plain.madry, "1.2"),
    "trades": NetEntry(
        "SmallCNN of TRADES (Zhang et al. 2019), MNIST: 4 conv, 3 dense, dropout", plain.trades, "1.1.4"
    ),
    "resnet9": NetEntry("ResNet-9 (Page 2018), CIFAR: the quickest good one", residual.resnet9, "1.0", smallest=8),
    "resnet18": NetEntry("ResNet-18, CIFAR form (3x3 stem, no max-pool)", residual.resnet18, "1.11"),
    "resnet50": NetEntry("ResNet-50, CIFAR form (bottlenecks 3-4-6-3)", residual.resnet50, "1.0"),
    "vgg16": NetEntry("VGG-16, CIFAR form (batch norm, one linear layer)", plain.vgg16, "1.0"),
    "densenet121": NetEntry(
        "DenseNet-121, CIFAR form (growth 32, blocks 6-12-24-16)", branching.densenet121, "1.0", smallest=8
    ),
    "inceptionv3": NetEntry(
        "Inception-v3, CIFAR form (stem without strides)", branching.inceptionv3, "1.0", smallest=9
    ),
}


def build_net(
    name: str, shape: Shape, classes: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> nn.Sequential:
    """`Normalize` followed by the net called `name`, with freshly drawn parameters (from torch's global generator).

    Raises:
        BrittleError: unknown name, no shape of an image, or images too small for the net.
    """
    if name not in NETS:
        raise BrittleError(f"no net is called {name!r}; known: {', '.join(NETS)}")
    if not isinstance(shape, Sequence) or len(shape) != 3:
        raise BrittleError(f"the shape of an image is (channels, height, width), such as (1, 28, 28), not {shape!r}")
    kind = NETS[name]
    if min(shape[1:]) < kind.smallest:
        raise too_small(shape)
    net = nn.Sequential(Normalize(mean or [0.0] * shape[0], std or [1.0] * shape[0]), kind.build(shape, classes))
    net.channels_last = True  # type: ignore[assignment]
    return net
