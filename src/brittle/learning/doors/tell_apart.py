"""Whether two models are the same: digests of code, weights and answers."""

import hashlib
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from brittle.attacks import answer_of
from brittle.ground import NoGradient, eval_mode, keys_of, seeded, uniform, value_and_grad

from .contents import contents_of, is_own

BESIDE = 0.02, 0.3  # how wide the noise is on images beside the ones that a model is asked about
INSIDE = {"training", *vars(nn.Module())}  # what every module of torch keeps for itself


def behaviour_of(model: Callable[[Tensor], Any], x: Tensor) -> str:
    """SHA-256 (hex) of what a model answers on some images and beside them, and of the gradients there, in eval mode,
    from one seed, and then of all code that is imported by now; one of its own for a model that fails.

    Off the CPU, where gradients may differ by rounding from run to run, only their size is looked at.
    """
    beside = [x, *((x + size * (uniform(keys_of(x), x.shape[1:], seed=0) - 0.5)).clamp(0, 1) for size in BESIDE)]
    probes = torch.cat(beside).to(x)
    try:
        with seeded(0, x.device), torch.no_grad(), eval_mode(model):
            answers = answer_of(model, probes).float().cpu().contiguous()
    except Exception:  # whoever uses the model says what is wrong with it
        return uuid.uuid4().hex
    return hashlib.sha256(answers.numpy().tobytes() + _gradient_of(model, probes) + _sources().encode()).hexdigest()


def _gradient_of(model: Callable[[Tensor], Any], x: Tensor) -> bytes:
    """The gradient by the images of a weighted sum of the answers; nothing where there is none."""

    def f(x: Tensor) -> tuple[Tensor, None]:
        answers = answer_of(model, x).float()
        return (answers * torch.arange(1, answers.shape[1] + 1, device=x.device).cos()).sum(1), None

    try:
        with seeded(0, x.device), eval_mode(model):
            grad = value_and_grad(f, x)[1].float()
    except NoGradient:  # which the doctor says
        return b""
    except Exception:  # a backward pass that fails tells nothing
        return uuid.uuid4().bytes
    if grad.device.type == "cpu":
        return _bytes_of(grad).tobytes()
    return f"{float(grad.clamp(min=0).norm()):.2e} {float(grad.clamp(max=0).norm()):.2e}".encode()


def digest_of_code(model: Callable[[Tensor], Any]) -> str:
    """SHA-256 (hex) of imported code: of all sources, and of what the model holds and reaches (`contents_of`). A plain
    function and what was typed into a notebook or a prompt are never taken for the same model twice."""
    if not isinstance(model, nn.Module) or not all(map(_has_source, model.modules())):
        return uuid.uuid4().hex
    return hashlib.sha256(f"{_sources()}{contents_of(model)}".encode()).hexdigest()


def digest_of(net: nn.Module) -> str:
    """SHA-256 (hex) of the architecture as it prints itself, of the attributes of its modules, and of every parameter
    and buffer; one of its own where an attribute cannot be told (a lock, an open file)."""
    sha = hashlib.sha256(repr(net).encode())
    for name, module in net.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in INSIDE}
        told = [(key, own[key] if _is_plain(own[key]) else contents_of(own[key])) for key in sorted(own)]
        sha.update(f"{name} {told}".encode())
    for name, value in sorted({**net.state_dict(), **dict(net.named_buffers())}.items()):
        if not isinstance(value, Tensor):  # what a module keeps beside its tensors
            sha.update(f"{name} {contents_of(value)}".encode())
            continue
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(_bytes_of(value).data)
    return sha.hexdigest()


def _bytes_of(value: Tensor) -> npt.NDArray[np.uint8]:
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def digest_of_file(path: Path) -> str:
    """SHA-256 (hex) of what is in a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of_program(path: Path, model: Callable[[Tensor], Any]) -> str:
    """SHA-256 (hex) of a program's file and of the weights that it was loaded with, which ONNX may keep in others."""
    sha = hashlib.sha256(path.read_bytes())
    for name, value in sorted(model.state_dict().items()) if isinstance(model, nn.Module) else ():
        sha.update(f"{name} {contents_of(value)}".encode())
    return sha.hexdigest()


def _sources() -> str:
    """SHA-256 (hex) of every file of code that is imported from outside the environment: that of the user."""
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    paths = {Path(file).resolve() for file in named if file and is_own(file)}
    own = sorted(path for path in paths if path.is_file())
    return hashlib.sha256("".join(f"{file.name} {digest_of_file(file)}" for file in own).encode()).hexdigest()


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _has_source(module: nn.Module) -> bool:
    return getattr(sys.modules.get(type(module).__module__), "__file__", None) is not None
