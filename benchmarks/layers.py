"""Layers of the nets that others published, as `nets.py` fills them with their weights."""

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """Images less a mean, over a standard deviation, as the nets' authors feed them."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = (x - self.mean) / self.std
        return scaled


class Block(nn.Module):
    """A residual block without batch norm; `ahead`: its file holds the shortcut before the other two convolutions."""

    def __init__(self, before: int, after: int, stride: int, ahead: bool = False) -> None:
        super().__init__()
        shortcut = nn.Conv2d(before, after, 1, stride) if stride > 1 else nn.Identity()
        if ahead:
            self.shortcut = shortcut
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x).relu()) + self.shortcut(x)).relu()


def convolutional(
    channels: int, convs: tuple[tuple[int, int, int, int], ...], *dense: int, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Convolutions (width, kernel, stride, padding), then dense layers, with activations between."""
    layers: list[nn.Module] = []
    for width, kernel, stride, padding in convs:
        layers += [nn.Conv2d(channels, width, kernel, stride, padding), act()]
        channels = width
    layers.append(nn.Flatten())
    for before, after in zip(dense, (*dense[1:], 10), strict=True):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def strided(channels: int = 3, first: int = 16, padding: int = 1, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Two strided convolutions and two dense layers: `small` of Wong and Kolter, CNN-A of others."""
    side = {(1, 1): 7, (3, 1): 8, (3, 0): 6}[channels, padding]
    convs = ((first, 4, 2, padding), (2 * first, 4, 2, padding))
    return convolutional(channels, convs, 2 * first * side * side, 100, act=act)


def pooled() -> nn.Sequential:
    """The net of advertorch's examples: two convolutions with pooling."""
    convs = [layer for c, w in ((1, 32), (32, 64)) for layer in (nn.Conv2d(c, w, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2))]
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(64 * 7 * 7, 200), nn.ReLU(), nn.Linear(200, 10))


def residual(width: int, stages: int) -> nn.Sequential:
    """The residual nets of the verification competition of 2021."""
    wide = 2 * width
    blocks = [block for i in range(stages) for block in (Block(wide if i else width, wide, 2), Block(wide, wide, 1))]
    flat = wide * (16 >> stages) ** 2
    dense = (nn.Flatten(), nn.Linear(flat, 100), nn.ReLU(), nn.Linear(100, 10))
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), *blocks, *dense)


def narrowing() -> nn.Sequential:
    """The residual net `3b2` of the verification competition of 2022, batch norm folded into its convolutions."""
    blocks = [Block(width, 2 * width, 2, ahead=True) for width in (16, 32, 64)]
    dense = (nn.Flatten(), nn.Linear(512, 100), nn.ReLU(), nn.Linear(100, 10))
    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), *blocks, *dense)


def dense(*widths: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Dense layers alone, on images of MNIST."""
    return convolutional(1, (), 784, *widths, act=act)


class Norm(nn.BatchNorm1d):
    """Batch norm over the tokens [B, T, W] of a transformer."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with dense layers of its own for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        parts = (part(tokens).unflatten(2, (self.heads, -1)) for part in (self.query, self.key, self.value))
        query, key, value = (part.transpose(1, 2) for part in parts)
        near = (query @ key.transpose(2, 3) * query.shape[3] ** -0.5).softmax(3)
        found: Tensor = self.out((near @ value).transpose(1, 2).flatten(2))
        return found


class Transformer(nn.Module):
    """The vision transformers of the verification competition of 2023: batch norm, mean over the tokens."""

    def __init__(self, depth: int, heads: int, patch: int, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.added = nn.ParameterList([torch.zeros(width), torch.zeros((32 // patch) ** 2 + 1, width)])
        self.parts = nn.ModuleList()
        for _ in range(depth):
            wide = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
            self.parts += [nn.Sequential(Norm(width), part) for part in (Attention(width, heads), wide)]
        self.head = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        token, places = self.added
        tokens = torch.cat([token.expand(len(x), 1, -1), tokens], 1) + places
        for part in self.parts:
            tokens = tokens + part(tokens)
        found: Tensor = self.head(tokens.mean(1))
        return found
