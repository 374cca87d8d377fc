"""Whether two models are the same: digests of code, weights and answers."""

import functools
import hashlib
import sys
import sysconfig
import uuid
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from brittle.attacks import answer_of
from brittle.ground import NoGradient, eval_mode, keys_of, seeded, uniform, value_and_grad

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
    """Of imported code: of its sources, of its weights, and of what its methods read outside of it (attributes of
    classes, variables of modules). What a plain function depends on cannot be known, nor what was typed into a notebook
    or a prompt: neither is ever taken for the same model twice."""
    if not isinstance(model, nn.Module) or not all(map(_has_source, model.modules())):
        return uuid.uuid4().hex
    seen: set[int] = set()
    read = [line for module in model.modules() for line in _reached(type(module), seen)]
    return f"{_sources()}{digest_of(model)}{hashlib.sha256(repr(read).encode()).hexdigest()}"


def digest_of(net: nn.Module) -> str:
    """SHA-256 (hex) of the architecture as it prints itself, of the attributes of its modules, and of every parameter
    and buffer; one of its own where an attribute cannot be told (a lock, an open file)."""
    sha = hashlib.sha256(repr(net).encode())
    for name, module in net.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in INSIDE}
        told = [(key, own[key] if _is_plain(own[key]) else _told(own[key])) for key in sorted(own)]
        sha.update(f"{name} {told}".encode())
    for name, value in sorted({**net.state_dict(), **dict(net.named_buffers())}.items()):
        if not isinstance(value, Tensor):  # what a module keeps beside its tensors
            sha.update(f"{name} {_told(value)}".encode())
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
        sha.update(f"{name} {_told(value)}".encode())
    return sha.hexdigest()


def _sources() -> str:
    """SHA-256 (hex) of every file of code that is imported from outside the environment: that of the user."""
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    own = sorted({Path(file).resolve() for file in named if file and _is_own(file)})
    return hashlib.sha256("".join(f"{file.name} {digest_of_file(file)}" for file in own).encode()).hexdigest()


@functools.cache
def _is_own(file: str) -> bool:
    """Whether a file of code is the user's: neither of an installed package nor of brittle."""
    path = Path(file).resolve()
    return path.is_file() and not _packages() & set(path.parents)


@functools.cache
def _packages() -> set[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path(__file__).resolve().parents[2], *(Path(sysconfig.get_path(name)).resolve() for name in names)}


def _reached(thing: Any, seen: set[int]) -> list[str]:
    """What the user's own classes, functions and modules read at run time, as lines: variables by their names.

    Args:
        seen: the classes, functions and modules that were walked through; what they hold is told wherever it stands.
    """
    if isinstance(thing, (FunctionType, type, ModuleType)):
        if id(thing) in seen:
            return []
        seen.add(id(thing))
    if isinstance(thing, FunctionType):
        if not _is_own(thing.__code__.co_filename):
            return [line for cell in thing.__closure__ or () for line in _reached(cell.cell_contents, seen)]
        read = [(name, thing.__globals__[name]) for name in _names(thing.__code__) if name in thing.__globals__]
        held = [("closure", cell.cell_contents) for cell in thing.__closure__ or ()]
        return [f"{name} {line}" for name, one in (*read, *held) for line in _reached(one, seen)]
    if isinstance(thing, (type, ModuleType)):
        file = getattr(thing if isinstance(thing, ModuleType) else sys.modules.get(thing.__module__), "__file__", None)
        if file is None or not _is_own(file):
            return []
        own = [(name, one) for name, one in sorted(vars(thing).items()) if not name.startswith("__") or callable(one)]
        bases = [("base", one) for one in getattr(thing, "__bases__", ())]
        return [f"{name} {line}" for name, one in (*own, *bases) for line in _reached(one, seen)]
    if isinstance(thing, (staticmethod, classmethod)):
        return _reached(thing.__func__, seen)
    if isinstance(thing, property):
        return _reached(thing.fget, seen)
    if isinstance(thing, nn.Module):
        return [digest_of(thing)]
    return [] if callable(thing) or _is_machinery(thing) else [repr(thing) if _is_plain(thing) else _told(thing)]


def _names(code: CodeType) -> list[str]:
    """The names that a function reads, those inside of it included."""
    inner = [name for one in code.co_consts if isinstance(one, CodeType) for name in _names(one)]
    return sorted({*code.co_names, *inner})


def _is_machinery(thing: Any) -> bool:
    """Descriptors and the like, which hold no state of the user's."""
    return isinstance(thing, (GetSetDescriptorType, MemberDescriptorType))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _told(value: Any) -> str:
    """A digest of what a module holds; one of its own where that cannot be told."""
    if isinstance(value, Tensor):
        value = value.dtype, tuple(value.shape), _bytes_of(value).tobytes()
    elif isinstance(value, FunctionType):  # whose source is looked at elsewhere
        code = value.__code__
        constants = [one for one in code.co_consts if _is_plain(one)]
        held = [_told(cell.cell_contents) for cell in value.__closure__ or ()]
        value = value.__module__, code.co_firstlineno, code.co_code, code.co_names, constants, value.__defaults__, held
    try:
        return str(joblib.hash(value))
    except Exception:  # a lock, an open file
        return uuid.uuid4().hex


def _has_source(module: nn.Module) -> bool:
    return getattr(sys.modules.get(type(module).__module__), "__file__", None) is not None
