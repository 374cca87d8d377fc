"""A net as a graph of affine maps, ReLUs and max-pools: all that bounds and exact search can follow."""

import copy
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from brittle.ground import BrittleError, Images

WEIGHTED = nn.Linear, _ConvNd
PLAIN = nn.Identity, nn.Flatten, nn.Unflatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d, _DropoutNd
SHAPING = {torch.flatten, torch.reshape, "flatten", "view", "reshape", "contiguous"}
SUMS = {operator.add, operator.sub, torch.add, torch.sub, torch.cat, functional.avg_pool2d, "add"}
PRODUCTS, QUOTIENTS = {operator.mul, torch.mul}, {operator.truediv}  # with what does not depend on the image
RELUS = {functional.relu, torch.relu, torch.relu_, "relu", "relu_"}


class Layer(NamedTuple):
    """One step of a net.

    Attributes:
        kind: what it is; `affine` maps may join several parents.
        parents: the layers that it reads, by their numbers.
        apply: its outputs [B, *shape] from those of its parents.
        spread: of an affine map, |W| r [B, *shape] from the radii r of its parents.
        shape: of one example's output.
    """

    kind: Literal["input", "affine", "relu", "maxpool"]
    parents: tuple[int, ...]
    apply: Callable[..., Tensor]
    spread: Callable[..., Tensor]
    shape: torch.Size
    pool: nn.MaxPool2d | None = None


def graph_of(model: Any, x: Images) -> list[Layer]:
    """The layers of `model` in float64, each after those that it reads, the input first and the logits last.

    Args:
        x: an image or several [B, *S], for the shapes.
    Raises:
        BrittleError: what is no `nn.Module`, cannot be traced, or has a layer of another kind.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise BrittleError("only a plain nn.Module can be bounded")
    net = copy.deepcopy(model).eval().double().requires_grad_(False)
    try:
        traced = fx.GraphModule(net, _Tracer().trace(net))
    except Exception as error:
        raise BrittleError(f"the model cannot be traced ({str(error).splitlines()[0]})") from None
    values: dict[fx.Node, Any] = {}
    numbers: dict[fx.Node, int] = {}
    layers: list[Layer] = []
    pair = x[:1].double().expand(2, *x.shape[1:])  # two, so that nothing mistakes the batch for a size of 1
    for node in traced.graph.nodes:
        if node.op == "output":
            if not isinstance(node.args[0], fx.Node):
                raise BrittleError("the model answers more than logits")
            return _two_logits(layers[: numbers[node.args[0]] + 1])
        values[node] = _value(traced, node, values, pair)
        if node.op != "get_attr" and isinstance(values[node], Tensor):
            numbers[node] = len(layers)
            layers.append(_layer(traced, node, values, numbers))
    raise AssertionError("a graph ends in its output")


def _two_logits(layers: list[Layer]) -> list[Layer]:
    """One logit, of class 1 against class 0, as two."""
    last = layers[-1]
    if last.shape != torch.Size([1]):
        return layers
    both = Layer("affine", (len(layers) - 1,), _beside_zero, _beside_zero, torch.Size([2]))
    return [*layers, both]


def _beside_zero(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x), x], 1)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (*WEIGHTED, *PLAIN, _BatchNorm)) or super().is_leaf_module(module, name)


def _value(traced: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any], x: Images) -> Any:
    if node.op == "placeholder":
        return x
    if node.op == "get_attr":
        found: Any = traced
        for name in str(node.target).split("."):
            found = getattr(found, name)
        return found.detach()
    with torch.no_grad():
        return _called(traced, node)(*_filled(node.args, values), **_filled(node.kwargs, values))


def _called(traced: fx.GraphModule, node: fx.Node) -> Callable[..., Any]:
    if node.op == "call_module":
        return traced.get_submodule(str(node.target))
    if node.op == "call_method":
        return partial(_method, str(node.target))
    return node.target  # type: ignore[return-value]


def _method(name: str, on: Any, *args: Any, **kwargs: Any) -> Any:
    return getattr(on, name)(*args, **kwargs)


def _filled(arguments: Any, values: dict[fx.Node, Any]) -> Any:
    return fx.node.map_arg(arguments, lambda node: values[node])


def _layer(traced: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any], numbers: dict[fx.Node, int]) -> Layer:
    """A node of the graph as a layer; what stands in its arguments beside the images is held fixed."""
    read = [parent for parent in node.all_input_nodes if parent in numbers]
    parents, shape = tuple(numbers[parent] for parent in read), values[node].shape[1:]
    if node.op == "placeholder":
        return Layer("input", (), _same, _same, shape)
    target = traced.get_submodule(str(node.target)) if node.op == "call_module" else node.target
    if isinstance(target, nn.ReLU) or (not isinstance(target, nn.Module) and target in RELUS):
        return Layer("relu", parents, torch.relu, _same, shape)
    if isinstance(target, nn.MaxPool2d) and not target.ceil_mode and target.dilation == 1:
        return Layer("maxpool", parents, target, _same, shape, target)
    if isinstance(target, (*WEIGHTED, _BatchNorm, *PLAIN)):
        if isinstance(target, _BatchNorm) and target.running_mean is None:
            raise BrittleError(f"layer {node.target} normalises by the batch, which cannot be bounded")
        spread = partial(_absolute, target) if isinstance(target, WEIGHTED) else _spread_of(target)
        return Layer("affine", parents, target, spread, shape)
    if target in SHAPING:
        return Layer("affine", parents, partial(_shaped, shape), partial(_shaped, shape), shape)
    scales = target in PRODUCTS or (target in QUOTIENTS and node.args[0] is read[0])
    if not (target in SUMS or (scales and node.args.count(read[0]) == len(read) == 1)):
        name = type(target).__name__ if isinstance(target, nn.Module) else getattr(target, "__name__", target)
        raise BrittleError(f"it has a layer that cannot be bounded: {name} ({node.name})")
    called, held = _called(traced, node), dict(values)

    def apply(*images: Tensor) -> Tensor:
        now = held | dict(zip(read, images, strict=True))
        found: Tensor = called(*_filled(node.args, now), **_filled(node.kwargs, now))
        return found

    return Layer("affine", parents, apply, _spread_of(apply), shape)


def _same(x: Tensor) -> Tensor:
    return x


def _shaped(shape: torch.Size, x: Tensor) -> Tensor:
    return x.reshape(len(x), *shape)


def _absolute(module: nn.Module, radius: Tensor) -> Tensor:
    """|W| r of a weighted layer."""
    changed = {
        name: value.abs() if name == "weight" else torch.zeros_like(value) for name, value in module.named_parameters()
    }
    found: Tensor = functional_call(module, changed, (radius,))
    return found


def _spread_of(apply: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """|W| r of a map whose coefficients for one parent all have one sign at each output: sums, pools, scalings."""

    def spread(*radii: Tensor) -> Tensor:
        nothing = [torch.zeros_like(radius) for radius in radii]
        at_zero = apply(*nothing)
        alone = [apply(*nothing[:at], radius, *nothing[at + 1 :]) for at, radius in enumerate(radii)]
        return torch.stack([(one - at_zero).abs() for one in alone]).sum(0)

    return spread
