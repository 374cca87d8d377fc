"""Floor 1. Tensors and geometry: array names, seeded noise, norms and their projections, gradients, the device's
habits."""

from brittle.errors import BrittleError

from .devices import fast_dtype, full_float32, keep_freed_memory, pick_device
from .files import write_bytes, write_out
from .functional import functional_model
from .gradients import eval_mode, grad_and_hessian, seeded, value_and_grad
from .noise import keys_of, normal, uniform
from .norms import NORMS, Norm, norm_named
from .text import plain_name
from .types import Flags, Images, Labels, Logits, PerExample

__all__ = [
    "NORMS",
    "BrittleError",
    "Flags",
    "Images",
    "Labels",
    "Logits",
    "Norm",
    "PerExample",
    "eval_mode",
    "fast_dtype",
    "full_float32",
    "functional_model",
    "grad_and_hessian",
    "keep_freed_memory",
    "keys_of",
    "norm_named",
    "normal",
    "pick_device",
    "plain_name",
    "seeded",
    "uniform",
    "value_and_grad",
    "write_bytes",
    "write_out",
]
