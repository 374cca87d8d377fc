"""What an object is made of and depends on, as a digest: its values, and all code of the user that it reaches.

A walk that tells everything it meets, as pickle would, but code by its content. What it does not understand it does not
leave out: then the object is like no other, not even itself.
"""

import copyreg
import dis
import functools
import hashlib
import importlib.util
import sys
import sysconfig
import uuid
from collections.abc import Container, Iterable
from pathlib import Path
from types import (
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
SHARED = (tuple, frozenset)  # constants of code may be one object or several, as the interpreter likes
BESIDE_CODE = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__annotations__",
    "__firstlineno__",
    "_abc_impl",
}  # of a class
OUTSIDE = {
    *("environ", "getenv", "input", "open", "read_text", "read_bytes", "load", "loadtxt", "genfromtxt", "fromfile"),
    *("memmap", "load_file", "safe_open", "read_csv", "imread", "urlopen", "urlretrieve", "requests", "socket"),
    *("read", "readline", "readlines", "ZipFile", "TarFile", "File", "connect", "listdir", "iterdir", "glob", "stat"),
}  # names by which code reads what is no part of it
BEGINNING = ("__init__", "__post_init__", "__setstate__")  # what these read stands in the object by now


class _Unknown(Exception):
    """Something that cannot be told."""


def contents_of(thing: Any) -> str:
    """SHA-256 (hex) of what an object holds and of the user's code that it reaches; one of its own where a part cannot
    be told: a lock, an open file, code that reads files or the environment later than as it begins."""
    try:
        return _Telling().digest(thing)
    except (_Unknown, RecursionError):
        return uuid.uuid4().hex


@functools.cache
def is_own(file: str) -> bool:
    """Whether code of this file is the user's: neither of an installed package nor of brittle."""
    return not file.startswith("<frozen ") and not _packages() & set(Path(file).resolve().parents)


@functools.cache
def _packages() -> set[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path(__file__).resolve().parents[2], *(Path(sysconfig.get_path(name)).resolve() for name in names)}


def _is_own_module(name: str) -> bool:
    top = name.partition(".")[0]
    whole = sys.modules.get(top)
    if whole is None:  # imported later, if ever
        there = importlib.util.find_spec(top)
        return there is None or is_own(str(there.origin))
    spec = getattr(whole, "__spec__", None)
    file = getattr(whole, "__file__", None) or next(iter(getattr(whole, "__path__", ())), None)
    if file is None:
        return spec is None or spec.origin not in ("built-in", "frozen")
    return is_own(str(file))


class _Telling:
    """An object as it is told: what was met is told once, and then by its number."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.met: dict[int, tuple[int, Any]] = {}  # by id: the number, and the object, lest its id be given anew

    def digest(self, thing: Any) -> str:
        self.tell(thing)
        return self.sha.hexdigest()

    def tell(self, thing: Any) -> None:
        """Take an object in, with all that it holds."""
        if type(thing) in PLAIN:
            self.say(type(thing).__name__, thing)
        elif id(thing) in self.met:
            self.say("again", self.met[id(thing)][0])
        else:
            if type(thing) not in SHARED:
                self.met[id(thing)] = len(self.met), thing
            for part in (type(thing), *_parts(thing)):
                self.tell(part)
            self.say("end")

    def say(self, *words: Any) -> None:
        self.sha.update(repr(words).encode("utf-8", "surrogatepass"))


@functools.singledispatch
def _parts(thing: Any) -> Iterable[Any]:
    """What an object is made of: as pickle takes it apart, and of the user's own classes also what that would leave
    out."""
    kind = type(thing)
    try:
        whole = copyreg.dispatch_table[kind](thing) if kind in copyreg.dispatch_table else thing.__reduce_ex__(4)
    except Exception as error:  # a lock, an open file, a generator
        raise _Unknown from error
    own = vars(thing) if _is_own_module(kind.__module__) and hasattr(thing, "__dict__") else None
    if isinstance(whole, str):
        return [whole, own, getattr(thing, "__wrapped__", None)]
    made, given, state, *items = (*whole, None, None, None, None)[:5]
    return [made, given, state, own, *(list(one) for one in items if one is not None)]


@_parts.register(list)
@_parts.register(tuple)
def _(thing: Any) -> Iterable[Any]:
    return [*thing, *_beside(thing)]


@_parts.register(dict)
@_parts.register(MappingProxyType)
def _(thing: Any) -> Iterable[Any]:
    return [*(one for pair in thing.items() for one in pair), *_beside(thing)]


@_parts.register(set)
@_parts.register(frozenset)
def _(thing: Any) -> Iterable[Any]:
    return sorted(_Telling().digest(one) for one in thing)


@_parts.register
def _(thing: Tensor) -> Iterable[Any]:
    try:
        raw = thing.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    except (RuntimeError, NotImplementedError, TypeError) as error:  # quantised, sparse, without data
        raise _Unknown from error
    return [str(thing.dtype), *thing.shape, thing.device.type, hashlib.sha256(raw.data).digest()]


@_parts.register(np.ndarray)
@_parts.register(np.generic)
def _(thing: Any) -> Iterable[Any]:
    if thing.dtype.hasobject:
        return [*thing.shape, *thing.ravel().tolist()]
    return [thing.dtype.str, *thing.shape, thing.tobytes()]


@_parts.register
def _(thing: nn.Module) -> Iterable[Any]:
    """Tensors, modules, attributes, hooks without the numbers that torch gives them; not whether it trains."""
    held = _named(vars(thing), but={"training"})
    return [(name, list(one.values()) if name.endswith("_hooks") else one) for name, one in held]


@_parts.register
def _(thing: FunctionType) -> Iterable[Any]:
    held = [thing.__defaults__, thing.__kwdefaults__, vars(thing), *(thing.__closure__ or ())]
    if not is_own(thing.__code__.co_filename):
        return [thing.__module__, thing.__qualname__, *held]
    names = [name for name in _names(thing.__code__) if name in thing.__globals__]
    reached = [(name, thing.__globals__[name]) for name in names]
    return [thing.__code__, *held, *reached, *_imported(thing.__code__, thing.__globals__.get("__package__") or "")]


@_parts.register
def _(thing: CodeType) -> Iterable[Any]:
    if OUTSIDE & set(thing.co_names) and thing.co_name not in BEGINNING:
        raise _Unknown
    return [thing.co_code, thing.co_names, thing.co_varnames, thing.co_freevars, thing.co_flags, thing.co_consts]


@_parts.register
def _(thing: type) -> Iterable[Any]:
    own = _is_own_module(thing.__module__)
    held = [*thing.__bases__, *_named(vars(thing), but=BESIDE_CODE)] if own else ()
    return [thing.__module__, thing.__qualname__, *held]


@_parts.register
def _(thing: ModuleType) -> Iterable[Any]:
    own = vars(thing) if _is_own_module(thing.__name__) else {}
    return [thing.__name__, *_named(own, but={name for name in own if name.startswith("__")})]


@_parts.register(MethodType)
@_parts.register(BuiltinFunctionType)
def _(thing: Any) -> Iterable[Any]:
    return [thing.__name__, getattr(thing, "__func__", None), thing.__self__]


@_parts.register(ClassMethodDescriptorType)
@_parts.register(GetSetDescriptorType)
@_parts.register(MemberDescriptorType)
@_parts.register(MethodDescriptorType)
@_parts.register(WrapperDescriptorType)
def _(thing: Any) -> Iterable[Any]:
    return [thing.__name__, thing.__objclass__]


@_parts.register(staticmethod)
@_parts.register(classmethod)
def _(thing: Any) -> Iterable[Any]:
    return [thing.__func__]


@_parts.register
def _(thing: property) -> Iterable[Any]:
    return [thing.fget, thing.fset, thing.fdel]


@_parts.register
def _(thing: CellType) -> Iterable[Any]:
    try:
        return [thing.cell_contents]
    except ValueError:  # not filled yet
        return []


def _beside(container: Any) -> list[Any]:
    """What a container holds beside its items."""
    return [getattr(container, name) for name in ("__dict__", "default_factory") if hasattr(container, name)]


def _named(held: Any, but: Container[str]) -> list[tuple[str, Any]]:
    return sorted(((name, one) for name, one in held.items() if name not in but), key=lambda pair: pair[0])


def _names(code: CodeType) -> list[str]:
    """The names that a function reads, those inside of it included."""
    inner = [name for one in code.co_consts if isinstance(one, CodeType) for name in _names(one)]
    return sorted({*code.co_names, *inner})


def _imported(code: CodeType, package: str) -> list[ModuleType]:
    """The user's modules that a function imports as it runs; what it has not imported yet cannot be told."""
    found = [module for one in code.co_consts if isinstance(one, CodeType) for module in _imported(one, package)]
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for level, names, step in zip(steps, steps[1:], steps[2:], strict=False):
        if step.opname != "IMPORT_NAME":
            continue
        try:
            name = importlib.util.resolve_name("." * level.argval + step.argval, package)
        except ImportError as error:  # it fails as it runs, too
            raise _Unknown from error
        if not _is_own_module(name):
            continue
        for one in (name, *(f"{name}.{part}" for part in names.argval or ())):
            if one in sys.modules:
                found.append(sys.modules[one])
            elif one == name or not hasattr(sys.modules[name], one.rpartition(".")[2]):
                raise _Unknown
    return found
