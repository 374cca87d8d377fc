"""A model held still while it is attacked, laid out for the device's convolutions."""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import conv2d, pixel_shuffle
from torch.nn.utils.fusion import fuse_conv_bn_eval
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
        laid, still = (_channels_last, _folded(model)) if ours else (_as_it_is, model)
        held = {name: laid(value.detach()) for name, value in still.named_parameters()}
        held |= {name: value.clone() for name, value in still.named_buffers()}

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


def _folded(model: nn.Module) -> nn.Module:
    """The same function with each batch norm in eval mode folded into the convolution before it, where a `Sequential`
    pairs them.

    A batch norm costs a pass over all activations, forwards and backwards: a fifth of a gradient of a ResNet here.
    """
    pairs = [
        (holder, before, after)
        for holder in model.modules()
        if isinstance(holder, nn.Sequential)
        for (before, conv), (after, norm) in pairwise(holder.named_children())
        if isinstance(conv, nn.Conv2d)
        and isinstance(norm, nn.BatchNorm2d)
        and not norm.training
        and norm.track_running_stats
        if not conv._forward_hooks and not norm._forward_hooks  # someone listens to what stands between them
    ]
    if not pairs:
        return model
    copies: dict[int, Any] = {}
    folded = copy.deepcopy(model, copies)
    for holder, before, after in pairs:
        own: nn.Sequential = copies[id(holder)]
        fused = fuse_conv_bn_eval(own.get_submodule(before), own.get_submodule(after))  # type: ignore[type-var, arg-type]
        setattr(own, before, fused)
        setattr(own, after, nn.Identity())
    return folded


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
