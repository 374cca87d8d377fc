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
from torch.nn.utils.parametrize import is_parametrized

from brittle.attacks import logits_of
from brittle.ground import BrittleError, Images, first_line

WEIGHTED = nn.Linear, _ConvNd
PLAIN = nn.Identity, nn.Flatten, nn.Unflatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d, _DropoutNd
SHAPING = {torch.flatten, torch.reshape, "flatten", "view", "reshape", "contiguous"}
VIEWS = {torch.permute, torch.transpose, torch.unsqueeze, "permute", "transpose", "unsqueeze"}
SUMS = {operator.add, operator.sub, torch.add, torch.sub, "add", torch.cat, functional.avg_pool2d, functional.pad}
SUMS |= {torch.mean, torch.sum, "mean", "sum", torch.index_select, "index_select", *VIEWS}
WEIGHING = {torch.matmul, operator.matmul, "matmul", functional.linear, functional.conv2d}  # images first, by weights
PRODUCTS, QUOTIENTS = {operator.mul, torch.mul}, {operator.truediv}  # with what does not depend on the image
LIKE = {"to": 1, "type_as": 1, "new_tensor": 0, torch.zeros_like: 0, torch.ones_like: 0, torch.full_like: 0}
"""What reads of one argument, whose place this is, the kind alone and not the values."""
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
        x: images [B, *S], on which (and on noise) what was traced must answer as the model does.
    Raises:
        BrittleError: what is no `nn.Module`, cannot be traced, or has a layer of another kind.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise BrittleError("only a plain nn.Module can be bounded")
    for name, module in model.named_modules():
        if (
            module._forward_hooks
            or module._forward_pre_hooks
            or "forward" in module.__dict__
            or is_parametrized(module)
        ):
            raise BrittleError(
                f"module {name or 'itself'} is changed by hooks or parametrisations: it cannot be bounded"
            )
    try:
        net = copy.deepcopy(model).to(x.device).eval().double().requires_grad_(False)
        layers = _layers_of(fx.symbolic_trace(net), x)
        noise = torch.rand(8, *x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x)
        images = torch.cat([x[:20], noise]).double()
        found, expected = evaluated(layers, images), logits_of(net(images.clone()))
    except BrittleError:
        raise
    except Exception as error:  # whatever a foreign model raises must be one line
        raise BrittleError(f"the model cannot be traced ({first_line(error)})") from None
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-9, atol=1e-9):
        raise BrittleError("what was traced of the model answers otherwise than the model")
    return layers


def evaluated(layers: list[Layer], x: Images) -> Tensor:
    """The logits of a graph [B, C], in float64."""
    values: list[Tensor] = []
    for layer in layers:
        values.append(x.double() if layer.kind == "input" else layer.apply(*(values[one] for one in layer.parents)))
    return values[-1]


def _layers_of(traced: fx.GraphModule, x: Images) -> list[Layer]:
    values: dict[fx.Node, Any] = {}
    numbers: dict[fx.Node, int] = {}
    layers: list[Layer] = []
    pair = x[:1].double().repeat(2, *[1] * (x.dim() - 1))  # two, so that nothing mistakes the batch for a size of 1
    for node in traced.graph.nodes:
        if node.op == "output":
            if node.args[0] not in numbers:
                raise BrittleError("the model answers more than logits")
            return _two_logits(layers[: numbers[node.args[0]] + 1])
        if node.op == "placeholder" and layers:  # an argument with a default
            values[node] = node.args[0]
            continue
        values[node] = _value(traced, node, values, pair)
        if _constant(node, numbers):
            if not isinstance(node.target, str):  # in the shape of images, and the same for each
                values[node] = values[node][:1]
            continue
        reads = any(parent in numbers for parent in node.all_input_nodes)
        if isinstance(values[node], Tensor) and (reads or node.op == "placeholder"):
            if values[node].dim() < 2 or len(values[node]) != 2:
                raise BrittleError(f"it has a layer that mixes the images of a batch ({node.name})")
            numbers[node] = len(layers)
            layers.append(_layer(traced, node, values, numbers))
    raise AssertionError("a graph ends in its output")


def _constant(node: fx.Node, numbers: dict[fx.Node, int]) -> bool:
    """Whether a node has the same values whatever the images are, of which it only reads the kind: `mean.to(x)`."""
    if node.target not in LIKE:
        return False
    others: list[fx.Node] = []
    fx.node.map_arg([one for at, one in enumerate(node.args) if at != LIKE[node.target]], others.append)
    fx.node.map_arg(node.kwargs, others.append)
    return not any(one in numbers for one in others)


def _two_logits(layers: list[Layer]) -> list[Layer]:
    """One logit, of class 1 against class 0, as two."""
    last = layers[-1]
    if last.shape != torch.Size([1]):
        return layers
    both = Layer("affine", (len(layers) - 1,), _beside_zero, _beside_zero, torch.Size([2]))
    return [*layers, both]


def _beside_zero(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x), x], 1)


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
    if node.op == "call_module":
        return _module(traced.get_submodule(str(node.target)), node, parents, shape)
    if node.target in RELUS:
        _alone(node, bool(node.kwargs.get("inplace")) or str(node.target).endswith("relu_"))
        return Layer("relu", parents, torch.relu, _same, shape)
    if node.target in SHAPING:
        return Layer("affine", parents, partial(_shaped, shape), partial(_shaped, shape), shape)
    first = bool(node.args) and node.args[0] is read[0]
    scales = node.target in PRODUCTS or (node.target in QUOTIENTS and first)
    weighs = node.target in WEIGHING and first and len(node.args) > 1
    if not (node.target in SUMS or ((scales or weighs) and node.args.count(read[0]) == len(read) == 1)):
        raise BrittleError(f"it has a layer that cannot be bounded: {getattr(node.target, '__name__', node.target)}")
    called, held = _called(traced, node), dict(values)

    def apply(*images: Tensor, of: Callable[[Tensor], Tensor] = _same) -> Tensor:
        now = held | dict(zip(read, images, strict=True))
        args = list(_filled(node.args, now))
        if weighs:
            args[1] = of(args[1])
        found: Tensor = called(*args, **_filled(node.kwargs, now))
        return found

    return Layer("affine", parents, apply, _spread_of(partial(apply, of=torch.abs)), shape)


def _module(module: nn.Module, node: fx.Node, parents: tuple[int, ...], shape: torch.Size) -> Layer:
    """A module of torch's own as a layer; a subclass may do anything."""
    if type(module).__module__.startswith("torch.nn."):
        if isinstance(module, nn.ReLU):
            _alone(node, module.inplace)
            return Layer("relu", parents, torch.relu, _same, shape)
        if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and module.dilation in (1, (1, 1)):
            return Layer("maxpool", parents, module, _same, shape, module)
        if isinstance(module, WEIGHTED) and "weight" in module._parameters:
            return Layer("affine", parents, module, partial(_absolute, module), shape)
        if isinstance(module, PLAIN) or (isinstance(module, _BatchNorm) and module.running_mean is not None):
            return Layer("affine", parents, module, _spread_of(module), shape)
        if isinstance(module, _BatchNorm):
            raise BrittleError(f"layer {node.target} normalises by the batch, which cannot be bounded")
    raise BrittleError(f"it has a layer that cannot be bounded: {type(module).__name__} ({node.name})")


def _alone(node: fx.Node, in_place: bool) -> None:
    """What a ReLU in place overwrites, nobody else may read, by whatever name."""
    while in_place and node.all_input_nodes:
        node = node.all_input_nodes[0]
        if len(node.users) > 1:
            raise BrittleError(f"a ReLU in place overwrites {node.name}, which others read: it cannot be bounded")
        if node.op == "call_module" or node.target not in SHAPING | VIEWS:
            return


def _same(x: Tensor) -> Tensor:
    return x


def _shaped(shape: torch.Size, x: Tensor) -> Tensor:
    return x.reshape(len(x), *shape)


def _absolute(module: nn.Module, radius: Tensor) -> Tensor:
    """|W| r of a weighted layer."""
    changed = {"weight": module.get_parameter("weight").abs()}
    found: Tensor = functional_call(module, changed, (radius,))
    at_zero: Tensor = functional_call(module, changed, (torch.zeros_like(radius),))
    return found - at_zero


def _spread_of(apply: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """|W| r of a map whose coefficients for one parent all have one sign at each output: sums, pools, scalings."""

    def spread(*radii: Tensor) -> Tensor:
        nothing = [torch.zeros_like(radius) for radius in radii]
        at_zero = apply(*nothing)
        alone = [apply(*nothing[:at], radius, *nothing[at + 1 :]) for at, radius in enumerate(radii)]
        return torch.stack([(one - at_zero).abs() for one in alone]).sum(0)

    return spread
