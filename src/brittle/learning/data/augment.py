"""Random shifts and flips of a whole batch at once, on its device, repeatable from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brittle.ground import BrittleError


@dataclass(frozen=True)
class Augment:
    """Move each image by up to `shift` pixels each way (zeros come in), then mirror half of them if `flip`.

    `shift=4` is what other libraries call "a random crop with padding 4".

    Raises:
        BrittleError: a negative shift.
    """

    shift: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise BrittleError(f"shift must be 0 or more pixels, not {self.shift}")

    def __call__(self, x: Tensor, seed: int) -> Tensor:
        """The augmented batch, of the same shape, type and device.

        Args:
            x: [B, C, H, W].
            seed: the same seed gives the same bytes on the same kind of device.
        Random: a generator of its own, on the device of `x`.
        """
        if not self.shift and not self.flip:
            return x
        count, _, height, width = x.shape
        generator = torch.Generator(x.device).manual_seed(seed)
        moves = torch.randint(-self.shift, self.shift + 1, (2, count, 1), generator=generator, device=x.device)
        mirrored = torch.rand((count, 1), generator=generator, device=x.device) < (0.5 if self.flip else 0.0)
        rows = torch.arange(height, device=x.device) + moves[0]
        columns = torch.arange(width, device=x.device)
        columns = torch.where(mirrored, width - 1 - columns, columns) + moves[1]
        return _gather(x, rows, columns)


def _gather(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """x[b, c, rows[b, i], columns[b, j]], and 0 for what lies outside of the image."""
    height, width = x.shape[2:]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    image = torch.arange(len(x), device=x.device)[:, None, None, None]
    channel = torch.arange(x.shape[1], device=x.device)[:, None, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    moved = x[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
    return moved.where(inside, torch.zeros((), dtype=x.dtype, device=x.device))
