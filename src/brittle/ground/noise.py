"""Noise that belongs to an example, not to its place in a batch.

Each number is a hash of (seed, draw, the example's own pixels, coordinate): the same image gets the same noise alone,
in any batch, on any device, in any order, and no global generator is touched.

Source: the mixing function is the two-round 32-bit finaliser `lowbias32` (C. Wellons, hash prospector, 2018).
"""

import math

import torch
from jaxtyping import Int32
from torch import Tensor

from .types import Images

Keys = Int32[Tensor, "B"]

_MASK = 0xFFFFFFFF
_WIDTH = {8: torch.int64, 4: torch.int32, 2: torch.int16}


def keys_of(x: Images) -> Keys:
    """A 32-bit digest of each example's own values [B]; the order of the batch does not matter."""
    bits = x.contiguous().view(_WIDTH[x.element_size()]).flatten(1)
    words = torch.cat([bits.int(), (bits >> 32).int()], 1) if bits.dtype == torch.int64 else bits.int()
    return _as_int32(_mix(words ^ _coordinates(words.shape[1], 0x9E3779B9, words.device)).sum(1, dtype=torch.int64))


def uniform(keys: Keys, shape: torch.Size, *, seed: int, draw: int = 0) -> Tensor:
    """Uniform float32 noise in (0, 1) of shape [B, *shape], a function of (key, seed, draw, coordinate) alone."""
    stream = _mix(keys ^ _signed(_mix_int(_mix_int(seed & _MASK) ^ (draw & _MASK))))
    words = _mix(_coordinates(math.prod(shape), 0x85EBCA6B, keys.device) ^ stream[:, None])
    fraction = ((words >> 9) & 0x7FFFFF).float()  # 23 bits, so that (k + 1/2) / 2^23 never rounds to 0 or 1
    return ((fraction + 0.5) * 2.0**-23).view(-1, *shape)


def normal(keys: Keys, shape: torch.Size, *, seed: int, draw: int = 0) -> Tensor:
    """Standard normal float32 noise [B, *shape], by the inverse of the normal distribution function."""
    return torch.erfinv(2 * uniform(keys, shape, seed=seed, draw=draw) - 1).mul_(math.sqrt(2))


def _coordinates(count: int, salt: int, device: torch.device) -> Tensor:
    return _mix(torch.arange(count, dtype=torch.int32, device=device) + _signed(salt))


def _mix(words: Tensor) -> Tensor:
    words = words ^ ((words >> 16) & 0xFFFF)
    words = words * 0x7FEB352D
    words = words ^ ((words >> 15) & 0x1FFFF)
    words = words * _signed(0x846CA68B)
    return words ^ ((words >> 16) & 0xFFFF)


def _mix_int(word: int) -> int:
    word = (word ^ word >> 16) * 0x7FEB352D & _MASK
    word = (word ^ word >> 15) * 0x846CA68B & _MASK
    return word ^ word >> 16


def _signed(word: int) -> int:
    word &= _MASK
    return word - (1 << 32) if word >> 31 else word


def _as_int32(words: Tensor) -> Tensor:
    low = words & _MASK
    return torch.where(low > 0x7FFFFFFF, low - (1 << 32), low).int()
