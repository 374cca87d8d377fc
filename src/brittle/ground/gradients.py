"""Gradients with respect to the input, and what must be as before once they are taken: modes and random states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from .types import Images, PerExample

Aux = TypeVar("Aux")


def value_and_grad(f: Callable[[Images], tuple[PerExample, Aux]], x: Images) -> tuple[Aux, Images]:
    """What `f` returns beside its loss, detached by `f` itself, and the gradient of each example's own loss [B, *S].

    Cost: one forward and one backward pass. Parameters' `.grad` stays untouched.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        loss, aux = f(x)
        if not loss.requires_grad:  # the output does not depend on the input at all
            return aux, torch.zeros_like(x)
        (grad,) = torch.autograd.grad(loss.sum(), x, allow_unused=True)
    return aux, torch.zeros_like(x) if grad is None else grad


@contextmanager
def eval_mode(model: object) -> Iterator[None]:
    """`model` in eval mode, each of its submodules put back as it was afterwards. No effect on a plain function."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators of the CPU and of `device` seeded within, and put back as they were afterwards."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda, device_type="cuda"):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
