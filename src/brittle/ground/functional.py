"""A model held still while it is attacked, laid out for the device's convolutions."""

import copy
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import conv2d, pixel_shuffle
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

Model = Callable[[Tensor], Any]


def functional_model(model: Model, dtype: torch.dtype = torch.float32) -> Model:
    """`model` as a function of the input alone: its parameters detached, its buffers copied, multiplied in `dtype`.

    Parameters and buffers are taken as they are now; the model itself is not changed. Models with a true attribute
    `channels_last` (those of `build_net`) are laid out so, which convolutions prefer, and their batch norms in eval
    mode are folded into the convolutions before them; others may rely on their own layout and modules. What is no eager
    `nn.Module` (functions, TorchScript) is called as it is; what stands behind `DataParallel` is taken out of it.
    """
    if isinstance(model, nn.DataParallel):
        model = model.module
    forward = model
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        ours = bool(getattr(model, "channels_last", False))
        laid = _channels_last if ours else _as_it_is
        held = {name: laid(value.detach()) for name, value in model.named_parameters()}
        held |= {name: value.clone() for name, value in model.named_buffers()}
        still, held = _folded(model, held, dtype) if ours else (model, held)

        def forward(x: Tensor) -> Any:
            if ours and x.device.type == "cpu" and dtype == torch.float32:
                with _FewChannels():
                    return functional_call(still, held, (x,))
            return functional_call(still, held, (laid(x),))

    if dtype == torch.float32:
        return forward

    def mixed(x: Tensor) -> Any:
        with torch.autocast(x.device.type, dtype):
            return forward(x)

    return mixed


Tensors = dict[str, Tensor]


def _folded(model: nn.Module, held: Tensors, dtype: torch.dtype) -> tuple[nn.Module, Tensors]:
    """A module and its tensors that are the same function, with each batch norm in eval mode folded into the
    convolution before it, where a `Sequential` pairs them; weights are multiplied in `dtype`, so that autocast need not
    convert them at every call.

    A batch norm costs a pass over all activations, forwards and backwards: a fifth of a gradient of a ResNet here.
    """
    pairs = [
        (f"{path}.{before}".lstrip("."), f"{path}.{after}".lstrip("."))
        for path, holder in model.named_modules()
        if isinstance(holder, nn.Sequential)
        for (before, conv), (after, norm) in pairwise(holder.named_children())
        if isinstance(conv, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and not norm.training
        and norm.track_running_stats
        if not conv._forward_hooks and not norm._forward_hooks  # someone listens to what stands between them
    ]
    shell = _shell(model, tuple(pairs))
    for before, after in pairs:
        conv: Any = model.get_submodule(before)
        norm: Any = model.get_submodule(after)
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        held = {name: value for name, value in held.items() if not name.startswith(f"{after}.")}
        held |= {f"{before}.weight": _channels_last(weight.detach()), f"{before}.bias": bias.detach()}
    if dtype != torch.float32:
        multiplied = [path for path, one in shell.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)]
        names = {f"{path}.{name}" for path in multiplied for name in ("weight", "bias")} & held.keys()
        held |= {name: held[name].to(dtype) for name in names}
    return shell, held


_SHELLS: WeakKeyDictionary[nn.Module, tuple[Any, nn.Module]] = WeakKeyDictionary()


def _shell(model: nn.Module, pairs: tuple[tuple[str, str], ...]) -> nn.Module:
    """A copy of the model without numbers, for `functional_call`, in which convolutions have a bias and the norms
    after them do nothing.

    It is kept for the next time, as training attacks a net once a step, if nothing but numbers has changed by then.
    """
    hooked = any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
    made_for = pairs, hooked and object(), [(name, id(one), *_said(one)) for name, one in model.named_modules()]
    known, shell = _SHELLS.get(model, (None, model))
    if known == made_for:
        return shell
    numbers: dict[int, Any] = {id(one): nn.Parameter(_empty(one), False) for one in model.parameters()}
    numbers |= {id(one): _empty(one) for one in model.buffers()}
    shell = copy.deepcopy(model, numbers)
    for before, after in pairs:
        conv: Any = shell.get_submodule(before)
        conv.weight = nn.Parameter(_empty(conv.weight), False)  # its own, even where another convolution has it too
        conv.bias = nn.Parameter(conv.weight.new_empty(conv.out_channels), False)
        holder, _, name = after.rpartition(".")
        setattr(shell.get_submodule(holder), name, nn.Identity())
    _SHELLS[model] = made_for, shell
    return shell


def _empty(value: Tensor) -> Tensor:
    return torch.empty_like(value, device="meta")


def _said(module: nn.Module) -> Iterator[Any]:
    """The attributes of a module that are neither its modules nor its parameters and buffers; of what may change
    unseen, something that is never the same."""
    for name, value in vars(module).items():
        if not name.startswith("_"):
            yield name, value if isinstance(value, bool | int | float | str | tuple | None) else object()


class _FewChannels(TorchFunctionMode):
    """Convolutions of images of one to four channels, by `_FewChannelsConv` instead of oneDNN's.

    Training never asks for the gradient at a net's input, so nobody made that case fast; an attack asks for nothing
    else.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is conv2d and not kwargs and len(args) == 7:
            x, weight, bias, stride, padding, dilation, groups = args
            size = weight.shape[-1]
            if (
                x.dim() == 4
                and weight.shape[1] <= 4
                and weight.shape[2] == size
                and stride == (1, 1) == dilation
                and isinstance(padding, tuple)
                and padding[0] == padding[1] < size
                and groups == 1
                and x.shape[2] % 4 == x.shape[3] % 4 == 0
            ):
                return _FewChannelsConv.apply(x, weight, bias, padding[0])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _FewChannelsConv(torch.autograd.Function):
    """conv2d of stride 1, channels last behind it, whose gradient at the input fills the processor's vectors.

    The gradient at one channel is a convolution to one channel, of which oneDNN computes 16 and drops 15. The same
    numbers come from a convolution of stride r to r * r channels, the r * r pixels of a block, folded back by
    `pixel_shuffle`. The parameters get no gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.padding = padding
        return _channels_last(conv2d(x, weight, bias, padding=padding))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        outside, inside, size, _ = weight.shape
        r = 4 if inside == 1 else 2
        flipped = weight.flip(2, 3).transpose(0, 1)
        blocks = weight.new_zeros(inside, r, r, outside, size + r - 1, size + r - 1)
        for i in range(r):
            for j in range(r):
                blocks[:, i, j, :, i : i + size, j : j + size] = flipped
        folded = conv2d(grad, _channels_last(blocks.flatten(0, 2)), stride=r, padding=size - 1 - ctx.padding)
        return pixel_shuffle(folded, r), None, None, None


def _as_it_is(value: Tensor) -> Tensor:
    return value


def _channels_last(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
