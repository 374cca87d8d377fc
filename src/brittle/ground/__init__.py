"""Floor 1. Tensors and geometry: array names, seeded noise, gradients, the device's
habits."""

from brittle.errors import BrittleError

from .code import OWN_CODE, foreign_code
from .deadline import OutOfTime, budget_began, check_time, counted_from, until
from .devices import (
    OutOfMemory,
    bit_key,
    device_count,
    fast_dtype,
    free_memory,
    full_float32,
    in_parts,
    keep_freed_memory,
    pick_device,
)
from .files import cache_folder, path_of, write_by, write_bytes, write_out
from .functional import Model, functional_model
from .gradients import BackwardFails, NoGradient, eval_mode, grad_and_hessian, seeded, unit, value_and_grad
from .images import ByteImages, as_floats, empty_or_mapped
from .noise import Keys, keys_of, normal, uniform
from .numbers import check_count, check_number, check_seed, check_share, check_switch
from .packages import package, quiet
from .plugins import INSTALLED, Plugins, broken_line, plugins
from .text import first_line, plain_name
from .types import Flags, Images, Labels, Logits, PerExample
from .world import World, join_world, world

__all__ = [
    "INSTALLED",
    "OWN_CODE",
    "BackwardFails",
    "BrittleError",
    "ByteImages",
    "Flags",
    "Images",
    "Keys",
    "Labels",
    "Logits",
    "Model",
    "NoGradient",
    "OutOfMemory",
    "OutOfTime",
    "PerExample",
    "Plugins",
    "World",
    "as_floats",
    "bit_key",
    "broken_line",
    "budget_began",
    "cache_folder",
    "check_count",
    "check_number",
    "check_seed",
    "check_share",
    "check_switch",
    "check_time",
    "counted_from",
    "device_count",
    "empty_or_mapped",
    "eval_mode",
    "fast_dtype",
    "first_line",
    "foreign_code",
    "free_memory",
    "full_float32",
    "functional_model",
    "grad_and_hessian",
    "in_parts",
    "join_world",
    "keep_freed_memory",
    "keys_of",
    "normal",
    "package",
    "path_of",
    "pick_device",
    "plain_name",
    "plugins",
    "quiet",
    "seeded",
    "uniform",
    "unit",
    "until",
    "value_and_grad",
    "world",
    "write_by",
    "write_bytes",
    "write_out",
]
