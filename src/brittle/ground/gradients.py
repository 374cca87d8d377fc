"""Gradients with respect to the input, and a model held still while it is attacked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

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


def frozen(model: Callable[[Tensor], Any], dtype: torch.dtype = torch.float32) -> Callable[[Tensor], Any]:
    """`model` as a function of the input alone: its parameters detached, its buffers copied, multiplied in `dtype`.

    Parameters and buffers are taken as they are now; the model itself is not changed. Models with a true attribute
    `channels_last` (those of `build_net`) are laid out so, which convolutions prefer; others may rely on their own layout.
    What is no eager `nn.Module` (functions, TorchScript) is called as it is.
    """
    forward: Callable[[Tensor], Any] = model
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        laid = _channels_last if getattr(model, "channels_last", False) else _as_it_is
        held = {name: laid(value.detach()) for name, value in model.named_parameters()}
        held |= {name: value.clone() for name, value in model.named_buffers()}

        def forward(x: Tensor) -> Any:
            return functional_call(model, held, (laid(x),))

    if dtype == torch.float32:
        return forward

    def mixed(x: Tensor) -> Any:
        with torch.autocast(x.device.type, dtype):
            return forward(x)

    return mixed


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


def _as_it_is(value: Tensor) -> Tensor:
    return value


def _channels_last(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
