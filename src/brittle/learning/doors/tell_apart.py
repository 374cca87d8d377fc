"""Whether two models are the same: digests of code, weights and answers."""

import hashlib
import sys
import sysconfig
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from brittle.attacks import answer_of
from brittle.ground import eval_mode, seeded


def behaviour_of(model: Callable[[Tensor], Any], x: Tensor) -> str:
    """SHA-256 (hex) of what a model answers on some images, in eval mode, from one seed; one of its own for a model
    that fails."""
    try:
        with seeded(0, x.device), torch.no_grad(), eval_mode(model):
            answers = answer_of(model, x).float().cpu().contiguous()
    except Exception:  # whoever uses the model says what is wrong with it
        return uuid.uuid4().hex
    return hashlib.sha256(answers.numpy().tobytes()).hexdigest()


def digest_of_code(model: Callable[[Tensor], Any]) -> str:
    """Of imported code: of its sources and weights. What a plain function depends on cannot be known, nor what was
    typed into a notebook or a prompt: neither is ever taken for the same model twice."""
    known = isinstance(model, nn.Module) and all(map(_has_source, model.modules()))
    return f"{_sources()}{digest_of(model)}" if isinstance(model, nn.Module) and known else uuid.uuid4().hex


def digest_of(net: nn.Module) -> str:
    """SHA-256 (hex) of the architecture as it prints itself, of the attributes of its modules, and of every parameter
    and buffer; one of its own where an attribute cannot be told (a lock, an open file)."""
    sha = hashlib.sha256(repr(net).encode())
    for name, module in net.named_modules():
        own = {key: value for key, value in vars(module).items() if key[:1] != "_" and key != "training"}
        told = [(key, own[key] if _is_plain(own[key]) else _told(own[key])) for key in sorted(own)]
        sha.update(f"{name} {told}".encode())
    for name, value in sorted(net.state_dict().items()):
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


def _sources() -> str:
    """SHA-256 (hex) of every file of code that is imported from outside the environment: that of the user."""
    inside = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    inside.add(Path(__file__).resolve().parents[2])
    named = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file).resolve() for file in named if file}
    own = sorted(file for file in files if file.is_file() and not inside & set(file.parents))
    return hashlib.sha256("".join(f"{file.name} {digest_of_file(file)}" for file in own).encode()).hexdigest()


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
