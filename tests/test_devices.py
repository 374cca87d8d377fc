"""What is chosen for a device, and what must not depend on it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import L2, Linf, against, classes_of, pgd
from brittle.attacks.threats.norms import NEWTON_STEPS, _l2_project_box
from brittle.ground import BrittleError, full_float32, functional_model, in_parts, keys_of, uniform
from brittle.learning import build_net, load
from brittle.science import Targeted, make_part

MASK = 2**32 - 1


def mixed(word: int) -> int:
    """`lowbias32` on whole numbers of Python."""
    word = (word ^ (word >> 16)) * 0x7FEB352D & MASK
    word = (word ^ (word >> 15)) * 0x846CA68B & MASK
    return word ^ (word >> 16)


def test_noise_is_whole_numbers_and_so_the_same_on_every_device() -> None:
    x = torch.rand(3, 2, 2)
    words = x.view(torch.int32).flatten(1).tolist()
    keys = [sum(mixed(word & MASK ^ mixed(0x9E3779B9 + i)) for i, word in enumerate(row)) & MASK for row in words]
    assert [key & MASK for key in keys_of(x).tolist()] == keys
    for seed, draw in ((0, 0), (7, 3), (2**31 + 5, -2)):
        streams = [mixed(key ^ mixed(mixed(seed & MASK) ^ draw & MASK)) for key in keys]
        drawn = [[((mixed(mixed(0x85EBCA6B + i) ^ one) >> 9) + 0.5) / 2**23 for i in range(5)] for one in streams]
        assert uniform(keys_of(x), torch.Size([5]), seed=seed, draw=draw).tolist() == drawn


@pytest.fixture
def switches() -> Iterator[tuple[Any, Any]]:
    """Torch's new switches for the precision of convolutions and of matrix products, put back afterwards."""
    both: tuple[Any, Any] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [one.fp32_precision for one in both]
    yield both
    for one, value in zip(both, before, strict=True):
        one.fp32_precision = value


def test_float32_is_float32_whichever_names_torch_was_told_by(
    switches: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    conv, product = switches
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for told in (("tf32", "tf32"), ("ieee", "tf32"), ("tf32", "ieee")):  # the old names cannot say the last two
        conv.fp32_precision, product.fp32_precision = told
        with full_float32():
            assert conv.fp32_precision == product.fp32_precision == "ieee"
        assert (conv.fp32_precision, product.fp32_precision) == told


@pytest.mark.parametrize("eps", [0.1, 0.5, 2.0])
def test_a_few_newton_steps_find_the_nearest_image(eps: float) -> None:
    """As a device takes them that is not read in the middle of a walk."""
    x = load("digits").test.take(200).x().flatten(1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    for length in (0.5 * eps, 2 * eps, 10 * eps):
        d = length * noise / noise.norm(dim=1, keepdim=True)
        few, whole = (_l2_project_box(d, eps, -x, 1 - x, steps) for steps in (NEWTON_STEPS, None))
        assert (few.norm(dim=1) <= eps * (1 + 1e-6)).all()
        assert torch.allclose(few, whole, atol=1e-6)


class Small(nn.Module):
    """A net on a device that holds `most` images at once; `shown` are the sizes of the batches that were tried."""

    def __init__(self, net: nn.Module, most: int) -> None:
        super().__init__()
        self.net, self.most, self.shown = net, most, []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        answer: Tensor = self.net(x)
        return answer


def test_a_batch_is_halved_where_memory_runs_out_and_nothing_else_changes(digits_net: nn.Module) -> None:
    split = load("digits").test.take(20)
    x, y, small = split.x(), split.labels, Small(digits_net, 6)
    found, whole = (pgd(against(model), Linf(0.1), steps=3).run(x, y) for model in (small, digits_net))
    assert torch.equal(found.x, whole.x)
    assert small.shown[:3] == [20, 10, 5]
    assert max(small.shown[3:]) == 5
    assert torch.equal(classes_of(small, x), classes_of(digits_net, x))
    made, control = (
        make_part(model, split, Targeted("shift", L2(1), 3, 0.3), slice(4, 18)) for model in (small, digits_net)
    )
    assert torch.equal(made.images, control.images)
    assert made.row.tolist() == list(range(4, 18))


def test_an_image_that_is_too_large_alone_is_one_line(digits_net: nn.Module) -> None:
    split = load("digits").test.take(5)
    with pytest.raises(BrittleError, match="one image alone does not fit into the device's memory"):
        pgd(against(Small(digits_net, 0)), Linf(0.1), steps=1)(split.x(), split.labels)
    with pytest.raises(ValueError, match="another"):  # other errors are not taken for it
        in_parts(lambda which: int("another"), 4, 2)


def test_a_net_held_still_follows_its_numbers_modes_and_structure() -> None:
    """The copy that is kept from one attack to the next never answers for a net that has changed."""
    net, x = build_net("small", (1, 8, 8), 10), load("digits").test.take(8).x()

    def agrees() -> bool:
        with torch.no_grad():
            return torch.allclose(functional_model(net)(x), net(x), atol=1e-5)

    net.train()(x)
    assert agrees()  # batch norms in train mode: none is folded
    net.eval()
    assert agrees()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
        for buffer in net.buffers():
            buffer.mul_(2)
    assert agrees()
    body = next(one for one in net.modules() if isinstance(one, nn.Sequential) and isinstance(one[0], nn.Conv2d))
    body.append(nn.Softmax(1))
    assert agrees()
    hook = body.register_forward_hook(lambda module, given, said: 2 * said)
    assert agrees()
    hook.remove()
    assert agrees()
