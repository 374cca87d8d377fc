"""Floor 1. Tensors and geometry: array names, seeded noise, gradients, the device's
habits."""

from brittle.errors import BrittleError

from .devices import fast_dtype, full_float32, keep_freed_memory, pick_device
from .files import write_bytes, write_out
from .functional import functional_model
from .gradients import NoGradient, eval_mode, grad_and_hessian, seeded, unit, value_and_grad
from .noise import Keys, keys_of, normal, uniform
from .plugins import Plugins, broken_line, foreign_code, plugins
from .text import plain_name
from .types import Flags, Images, Labels, Logits, PerExample

__all__ = [
    "BrittleError",
    "Flags",
    "Images",
    "Keys",
    "Labels",
    "Logits",
    "NoGradient",
    "PerExample",
    "Plugins",
    "broken_line",
    "eval_mode",
    "fast_dtype",
    "foreign_code",
    "full_float32",
    "functional_model",
    "grad_and_hessian",
    "keep_freed_memory",
    "keys_of",
    "normal",
    "pick_device",
    "plain_name",
    "plugins",
    "seeded",
    "uniform",
    "unit",
    "value_and_grad",
    "write_bytes",
    "write_out",
]
