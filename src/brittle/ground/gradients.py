"""Gradients with respect to the input, and what must be as before once they are taken: modes and random states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError

from .deadline import OutOfTime
from .text import first_line
from .types import Images, PerExample

Aux = TypeVar("Aux")


def value_and_grad(f: Callable[[Images], tuple[PerExample, Aux]], x: Images) -> tuple[Aux, Images]:
    """What `f` returns beside its loss, detached by `f` itself, and the gradient of each example's own loss [B, *S].

    Cost: one forward and one backward pass. Parameters' `.grad` stays untouched.
    Raises:
        NoGradient: the loss is cut off from the input, so that there is none, not even 0.
        BackwardFails: the model's backward pass does.
    """
    x = _leaf(x)
    with torch.enable_grad():
        loss, aux = f(x)
        return aux, _gradient(loss, x)


def _leaf(x: Images) -> Images:
    """The images, to be derived by.

    Raises:
        BrittleError: no derivative can be taken here.
    """
    if torch.is_inference_mode_enabled():
        raise BrittleError("gradients are off here, inside of torch.inference_mode(); ask for them outside of it")
    return (x.clone() if x.is_inference() else x.detach()).requires_grad_()


class NoGradient(BrittleError):
    """No gradient reaches the input."""


class BackwardFails(BrittleError):
    """The backward pass of a model raises an error, which is the cause of this one."""


HINT = (
    "use an attack that asks for none (square, hop_skip_jump), name the step that cuts it with --bpda, or audit the "
    "model"
)


@contextmanager
def _backwards() -> Iterator[None]:
    """Within, what the backward pass of a model raises is `BackwardFails`, but for what ends the work."""
    try:
        yield
    except (BrittleError, OutOfTime, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise BackwardFails(f"the model's backward pass fails: {first_line(error)}; {HINT}") from error


def _gradient(loss: PerExample, x: Images, *, keep: bool = False) -> Images:
    grad = None
    if loss.requires_grad:  # of the sum on a CPU, for with weights torch imports sympy first: most of a second, 40 MB
        summed = loss.device.type == "cpu"  # elsewhere weights save a kernel a step
        total, weights = (loss.sum(), None) if summed else (loss, torch.ones_like(loss))
        with _backwards():
            (grad,) = torch.autograd.grad(total, x, weights, create_graph=keep, allow_unused=True)
    if grad is None:
        raise NoGradient(
            f"no gradient reaches the image: the model cuts it off (no_grad, detach, numpy, argmax); {HINT}"
        )
    return grad


def grad_and_hessian(
    f: Callable[[Images], tuple[PerExample, Aux]], x: Images
) -> tuple[Aux, Images, Callable[[Images], Images]]:
    """As `value_and_grad`, and the product v -> H v of each example's own Hessian with v [B, *S], exact.

    Cost: one gradient, whose graph is kept; each product about two more.
    """
    x = _leaf(x)
    with torch.enable_grad():
        loss, aux = f(x)
        grad = _gradient(loss, x, keep=True)

    def product(v: Images) -> Images:
        if not grad.requires_grad:  # the loss is linear in x
            return torch.zeros_like(x)
        with _backwards():
            (answer,) = torch.autograd.grad(grad, x, v, retain_graph=True, allow_unused=True)
        return torch.zeros_like(x) if answer is None else answer

    return aux, grad.detach(), product


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


def unit(direction: Images) -> Images:
    """Each example divided by its Euclidean length [B, *S]; 0 stays 0.

    Divided by the largest entry first, since the squares of tiny gradients would underflow.
    """
    flat = direction.flatten(1)
    largest = flat.abs().amax(1, keepdim=True)
    flat = flat / largest.masked_fill(largest == 0, 1)
    length = flat.norm(dim=1, keepdim=True)
    one: Tensor = flat / length.masked_fill(length == 0, 1)
    return one.view_as(direction)
