"""Whether two models are the same: digests of code, weights and answers."""

import hashlib
import sys
import sysconfig
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """Of imported code: of its sources and weights. What a plain function depends on cannot be known: it is never taken
    for the same model twice."""
    return f"{_sources()}{digest_of(model)}" if isinstance(model, nn.Module) else uuid.uuid4().hex


def digest_of(net: nn.Module) -> str:
    """SHA-256 (hex) of the architecture as it prints itself, of the plain attributes of its modules, and of every
    parameter and buffer."""
    sha = hashlib.sha256(repr(net).encode())
    for name, module in net.named_modules():
        plain = {key: value for key, value in vars(module).items() if key[:1] != "_" and key != "training"}
        sha.update(f"{name} {[(key, plain[key]) for key in sorted(plain) if _is_plain(plain[key])]}".encode())
    for name, value in sorted(net.state_dict().items()):
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


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
