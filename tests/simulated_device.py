"""A CUDA device without the device: tensors that say they are on cuda:0 and compute on the CPU.

What a real one would refuse (tensors of two devices in one operation, `numpy`) is refused, and what makes one slow is
counted: kernels, copies to and from it, and whatever makes the host wait for it. A kernel is an operation of ATen that
touches numbers; some of a real device's launch several. Streams, graphs and compilation are not simulated, and
generators are the CPU's.
"""

import ctypes
import functools
import hashlib
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # which a mode imports, and which must not see the generators of this one
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda", 0)
# fmt: off
FREE = {  # operations that only look at a tensor otherwise, or get memory
    "alias", "as_strided", "detach", "diagonal", "empty", "empty_like", "empty_strided", "expand", "is_same_size",
    "lift_fresh", "new_empty", "new_empty_strided", "permute", "select", "set_", "slice", "split", "split_with_sizes",
    "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "view", "_reshape_alias", "_unsafe_view",
}
WAITING = {  # operations whose result the host must see before it goes on
    "_local_scalar_dense", "_unique2", "bincount", "equal", "masked_select", "nonzero", "repeat_interleave",
    "unique_consecutive", "unique_dim",
}
# fmt: on
INDEXING = {"_index_put_impl_", "_unsafe_index", "index", "index_put", "index_put_"}


class Count(Counter[str]):
    """What the device was asked for: `kernels`, `to_device`, `to_host`, `synchronisations`; and, in `places`, from
    which lines of brittle it was made to wait or given something."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()
        self.names: Counter[str] = Counter()

    def taken(self) -> "Count":
        """What was counted so far; counting begins anew."""
        found = Count()
        for own, other in ((self, found), (self.places, found.places), (self.names, found.names)):
            other.update(own)
            own.clear()
        return found

    def wait(self, what: str, *others: str) -> None:
        self.update(["synchronisations", *others])
        self.places[f"{what} {_place()}"] += 1


def _place() -> str:
    frame = sys._getframe(1)
    while frame and "/src/brittle/" not in frame.f_code.co_filename:
        frame = frame.f_back  # type: ignore[assignment]
    return f"{frame.f_code.co_filename.split('/src/brittle/')[1]}:{frame.f_lineno}" if frame else "outside"


COUNT = Count()


class Simulated(torch.Tensor):
    """A tensor on the device; `held` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False) -> "Simulated":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CUDA,
            requires_grad=requires_grad,
        )
        made.held = held
        return made  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        COUNT.wait("print", "to_host")
        return f"Simulated({self.held!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Simulated":
        return memo.setdefault(id(self), self.detach().clone().requires_grad_(self.requires_grad))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _answer(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _answer(func, args, kwargs or {})


def _answer(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation of torch gives, counted if it is the device's."""
    name, target = func._schema.name.split("::")[1], kwargs.get("device")
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    ours = [one for one in tensors if isinstance(one, Simulated)]
    if name in ("_to_copy", "copy_"):
        return _copied(func, name, args, kwargs)
    if not ours and not _is_cuda(target):
        return func(*args, **kwargs)
    _count(name, args, ours, [one for one in tensors if not isinstance(one, Simulated)])
    found = func(*tree_map(_held, args), **tree_map(_held, kwargs | ({"device": "cpu"} if _is_cuda(target) else {})))
    written = [one.name for one in func._schema.arguments if one.alias_info is not None and one.alias_info.is_write]
    if written and func._schema.returns:  # `add_`, `out=`: what was handed in is handed back
        names = [one.name for one in func._schema.arguments]
        return (dict(zip(names, args, strict=False)) | kwargs)[written[0]]
    return found if target is not None and not _is_cuda(target) else tree_map(_simulated, found)


def _count(name: str, args: tuple[Any, ...], ours: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    """Count an operation on tensors of the device and others; numbers of the CPU alone go along with a kernel."""
    if name in INDEXING and isinstance(args[0], Simulated):
        for other in others:
            COUNT.wait(f"index from the host {list(other.shape)}", "to_device")
        if any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]):
            COUNT.wait("index of flags")
    elif ours and any(one.dim() for one in others):
        raise RuntimeError(f"{name} of tensors on two devices, at {_place()}")
    elif name == "where" and others:
        COUNT.wait("number to the device", "to_device")
    if name in WAITING:
        COUNT.wait(name, *(["to_host"] if name in ("_local_scalar_dense", "equal") else []))
    if name not in FREE:
        COUNT["kernels"] += 1
        COUNT.names[name] += 1


def _copied(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    source = args[1] if name == "copy_" else args[0]
    target = args[0].device if name == "copy_" else torch.device(kwargs.get("device") or source.device)
    if target.type == "cuda" != source.device.type:
        COUNT["to_device"] += 1
        if not kwargs.get("non_blocking"):
            COUNT.wait(f"copy to the device {list(source.shape)}")
    elif target.type != "cuda" == source.device.type:
        COUNT.wait(f"copy to the host {list(source.shape)}", "to_host")
    elif target.type == "cuda":
        COUNT["kernels"] += 1
        COUNT.names[name] += 1
    given = kwargs | ({"device": "cpu"} if target.type == "cuda" else {}) if name != "copy_" else kwargs
    found = func(*tree_map(_held, args), **given)
    if name == "copy_":
        return args[0]
    return Simulated(found) if target.type == "cuda" else found


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _held(one: Any) -> Any:
    return one.held if isinstance(one, Simulated) else one


def _simulated(one: Any) -> Any:
    return Simulated(one) if isinstance(one, torch.Tensor) and not isinstance(one, Simulated) else one


def _uploaded(numbers: torch.Tensor) -> Simulated:
    COUNT.wait("numbers to the device", "to_device")
    return Simulated(numbers)


class _Functions(TorchFunctionMode):
    """What never comes to dispatch: tensors made of Python's numbers, and tensors turned into these."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        made = func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], torch.Tensor)
        if made and _is_cuda(kwargs.get("device")):
            return _uploaded(func(*args, **kwargs | {"device": "cpu"}))
        if func is torch.Tensor.tolist and isinstance(args[0], Simulated):
            COUNT.wait("tolist", "to_host")
            return args[0].held.tolist()
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and isinstance(args[0], Simulated):
            raise TypeError(f"numpy cannot see a tensor of cuda:0, at {_place()}")
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], Simulated):
            parts = args[1] if isinstance(args[1], tuple) else (args[1],)
            parts = tuple(_uploaded(torch.tensor(one)) if isinstance(one, list) else one for one in parts)
            args = (args[0], parts if isinstance(args[1], tuple) else parts[0], *args[2:])
        return func(*args, **kwargs)


@contextmanager
def simulated() -> Iterator[Count]:
    """Within, torch finds one CUDA device; what is asked of it is counted from 0."""
    COUNT.taken()
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_device_name": lambda *which: "simulated",
        "get_device_capability": lambda *which: (9, 0),
        "get_rng_state": lambda *which: torch.zeros(16, dtype=torch.uint8),
        "device": lambda which: nullcontext(),
        **dict.fromkeys(("set_rng_state", "manual_seed", "set_device", "_lazy_init"), lambda *given, **named: None),
    }
    hooks = library()
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", bool))
        stack.enter_context(mock.patch.object(torch, "Generator", lambda device="cpu", make=torch.Generator: make()))
        swapped = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swapped)
        hooks.simulate(True)
        stack.callback(hooks.simulate, False)
        stack.enter_context(_Dispatch())
        stack.enter_context(_Functions())
        yield COUNT


@functools.cache
def library() -> ctypes.CDLL:
    """`simulated_device.cpp`, compiled."""
    source, torch_is = Path(__file__).with_suffix(".cpp"), Path(torch.__file__).parent
    digest = hashlib.sha256(source.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    kept = Path(tempfile.gettempdir()) / f"simulated_device-{digest}.so"
    if kept.exists():
        return ctypes.CDLL(str(kept))
    built = Path(tempfile.mkdtemp()) / "simulated_device.so"
    words = ["c++", "-std=c++20", "-fPIC", "-shared", str(source), "-o", str(built), f"-I{torch_is / 'include'}"]
    done = subprocess.run([*words, f"-L{torch_is / 'lib'}", "-lc10", "-ltorch_cpu"], capture_output=True, text=True)
    assert done.returncode == 0, f"the simulated device needs a C++ compiler: {done.stderr}"
    built.replace(kept)
    return ctypes.CDLL(str(kept))
