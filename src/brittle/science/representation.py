"""The representation of a model: what its last linear layer reads, or what a named layer says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brittle.attacks import answer_of
from brittle.ground import BrittleError, Images, eval_mode, fast_dtype, full_float32, functional_model

Vectors = Float[Tensor, "B D"]
Represent = Callable[[Images], Vectors]


@dataclass(frozen=True, eq=False)
class Representation:
    """g: images [B, *S] to vectors [B, D], as one layer of a model says them.

    Attributes:
        model: its modules are looked into; it is not changed.
        layer: the dotted name of a module.
        reads: whether the vectors are what the layer reads (its input) or what it says (its output).
    """

    model: nn.Module
    layer: str
    reads: bool

    def __call__(self, x: Images) -> Vectors:
        """The vectors [B, D], without gradient. Cost: one forward pass."""
        with self.session() as represent, torch.no_grad():
            return represent(x)

    @contextmanager
    def session(self, precision: str = "float32") -> Iterator[Represent]:
        """The representation as a function that gradients go through, while the model is in eval mode and held
        still."""
        caught: list[Tensor] = []

        def catch(module: nn.Module, given: Any, said: Any) -> None:
            caught.append(given[0] if self.reads else said)

        handle = self.model.get_submodule(self.layer).register_forward_hook(catch)
        held: dict[str, Callable[[Tensor], Any]] = {}

        def represent(x: Images) -> Vectors:
            kind = x.device.type
            if kind not in held:
                fast = precision == "fast" and x.dtype == torch.float32
                held[kind] = functional_model(self.model, fast_dtype(kind) if fast else torch.float32)
            caught.clear()
            held[kind](x)
            return caught[-1].flatten(1).to(x.dtype)

        try:
            with eval_mode(self.model), nullcontext() if precision == "fast" else full_float32():
                yield represent
        finally:
            handle.remove()


def representation_of(model: Any, x: Images, layer: str | None = None) -> Representation:
    """The representation of `model`: the input of its last linear layer, or the output of the layer named.

    Args:
        model: a module; functions and compiled programs have no layers to look into.
        x: an example or more [B, *S], on the model's device, to see which layers speak.
        layer: dotted name, such as "1.4"; None finds the last `nn.Linear` that is called and that gives the logits.
    Raises:
        BrittleError: no module, no such layer, no linear layer at the end, or a layer that does not give one row for
            each image.
    Source: Ilyas et al. 2019, appendix C.2: g(x) is the vector before the last, linear layer.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise BrittleError(
            "a representation is read from the layers of a torch.nn.Module; a function or a program shows none"
        )
    names = {module: name for name, module in model.named_modules()}
    called: list[tuple[str, nn.Module, Any]] = []
    handles = [
        module.register_forward_hook(lambda module, given, said: called.append((names[module], module, said)))
        for module in names
        if layer is None or names[module] == layer
    ]
    try:
        with torch.no_grad(), eval_mode(model):
            answer_of(model, x[:1])
    finally:
        for handle in handles:
            handle.remove()
    if layer is not None:
        if not called or not layer:
            near = ", ".join(name for name in names.values() if name)
            raise BrittleError(f"no layer is called {layer!r}, or it is never used; the model has {near[:300]}")
        if not isinstance(called[-1][2], Tensor) or called[-1][2].dim() < 2 or len(called[-1][2]) != 1:
            raise BrittleError(f"layer {layer!r} does not give one row of numbers for each image")
        return Representation(model, layer, reads=False)
    linear = [(name, module) for name, module, said in called if isinstance(module, nn.Linear) and said.dim() == 2]
    if not linear:
        raise BrittleError(
            "the model ends in no linear layer whose input could be its representation; name a layer (--layer)"
        )
    return Representation(model, linear[-1][0], reads=True)


def distance(a: Vectors, b: Vectors) -> Float[Tensor, "B"]:
    """||a - b||_2 / ||b||_2 of each row [B]; where b = 0 the plain distance."""
    length = b.norm(dim=1)
    away: Tensor = (a - b).norm(dim=1) / torch.where(length > 0, length, torch.ones_like(length))
    return away
