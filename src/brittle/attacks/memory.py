"""How many images a model is asked about at once, by what its gradient keeps of one and by the memory at hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from brittle.ground import BrittleError, Images, eval_mode, free_memory, seeded, world

from .answers import output_of
from .models import gives_only_classes

BATCH = 250  # where memory does not matter
SIZES = (BATCH, 100, 50, 20, 10, 5, 2, 1)  # few, so that work which is taken up again mostly has the same batches
SHARE = 0.5  # of the memory that is free
BACKWARD, HELD = 1.5, 20  # times what is kept of an image, with its way back; images that an attack holds for each


def fitting_batch(model: Callable[[Tensor], Any], x: Images) -> int:
    """The largest of `SIZES` whose gradients fit into half of the free memory of the images' device; 250 where that
    cannot be told, and for processes that share work, which must deal it alike.

    Cost: two forward passes of one image and one of two. Random: nothing; batch norm stays as it is.
    """
    free = free_memory(x.device)
    if free is None or not len(x) or world().size > 1:
        return BATCH
    try:
        with seeded(0, x.device), torch.no_grad(), eval_mode(model):
            if gives_only_classes(output_of(model, x[:1].clone())):  # a gradient is not to be asked for
                return BATCH
        one, two = (_kept(model, x[:1].expand(count, *x.shape[1:]).clone()) for count in (1, 2))
    except (BrittleError, RuntimeError):  # whoever uses the model says what is wrong with it
        return BATCH
    each = BACKWARD * (two - one) + HELD * x[0].numel() * x.element_size()
    return next((size for size in SIZES if size * each <= SHARE * free), 1)


def _kept(model: Callable[[Tensor], Any], x: Images) -> int:
    """Bytes of what is kept for a gradient with respect to these images."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with seeded(0, x.device), torch.enable_grad(), eval_mode(model):
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            answer = output_of(model, x.requires_grad_())
        del answer
    return sum(kept.values())
