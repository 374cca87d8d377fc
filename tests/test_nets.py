"""Nets: old checkpoints fit, new ones have the size of the literature, and each knows where its representation is."""

import hashlib

import pytest
import torch
from torch import Tensor, nn

from brittle.ground import BrittleError, functional_model
from brittle.learning import NETS, build_net, statistics_of

LARGE = ("resnet9", "resnet50", "vgg16", "densenet121", "inceptionv3")


def numbered(net: nn.Module) -> str:
    """A digest of the names and shapes in a checkpoint."""
    lines = (f"{name} {tuple(value.shape)}" for name, value in net.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def size(name: str, shape: tuple[int, int, int] = (3, 32, 32)) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_net(name, shape, 10).parameters())


@pytest.mark.parametrize("name", NETS)
def test_the_named_module_gives_exactly_what_the_last_linear_layer_reads(name: str) -> None:
    net = build_net(name, (1, 28, 28), 7).eval()
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    said: list[Tensor] = []
    read: list[Tensor] = []
    net.get_submodule(NETS[name].representation).register_forward_hook(lambda _, x, y: said.append(y.clone()))
    last.register_forward_pre_hook(lambda _, x: read.append(x[0].clone()))
    with torch.no_grad():
        logits = net(torch.rand(2, 1, 28, 28))
    assert len(said) == len(read) == 1
    assert torch.equal(said[0], read[0])
    assert said[0].shape == (2, last.in_features)
    assert torch.equal(logits, last(said[0]))


def test_representations_have_their_published_width() -> None:
    with torch.device("meta"):
        nets = {name: build_net(name, (3, 32, 32), 10) for name in (*LARGE, "resnet18")}
    widths = {
        name: [m for m in net.modules() if isinstance(m, nn.Linear)][-1].in_features for name, net in nets.items()
    }
    expected = {
        "resnet9": 512,
        "resnet50": 2048,
        "vgg16": 512,
        "densenet121": 1024,
        "inceptionv3": 2048,
        "resnet18": 512,
    }
    assert widths == expected


def test_nets_for_cifar_have_the_size_of_the_literature() -> None:
    assert size("resnet9") == 6_573_130
    assert size("resnet18") == 11_173_962
    assert size("resnet50") == 23_520_842
    assert size("vgg16") == 14_728_266 - 4_224  # without the idle biases of its 4,224 channels before batch norm
    assert size("densenet121") == 6_956_298
    assert size("inceptionv3") == pytest.approx(22e6, rel=0.02)


@pytest.mark.parametrize("name", LARGE)
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    net = build_net(name, (3, 32, 32), 10, *statistics_of("cifar10", 3))
    nn.functional.cross_entropy(net(torch.rand(2, 3, 32, 32)), torch.tensor([1, 2])).backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", ["linear", "mlp", "small", "madry", "trades", "resnet9"])
def test_a_net_learns_sixteen_random_images_by_heart(name: str) -> None:
    torch.manual_seed(0)
    net = build_net(name, (1, 16, 16), 4)
    x, y = torch.rand(16, 1, 16, 16), torch.arange(16) % 4
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(100):
        logits = net(x)
        if (logits.argmax(1) == y).all():
            return
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
    pytest.fail("100 steps were not enough")


@pytest.mark.parametrize("name", LARGE)
def test_the_smallest_images_pass_and_gradients_at_them_are_the_same_when_held_still(name: str) -> None:
    torch.manual_seed(0)
    side = max(NETS[name].smallest, 2)
    net = build_net(name, (1, side, side + 1), 3).eval().double()
    x = torch.rand(2, 1, side, side + 1, dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(net(x).logsumexp(1).sum(), x)
    (held,) = torch.autograd.grad(functional_model(net)(x).logsumexp(1).sum(), x)
    assert torch.allclose(held, plain, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", [name for name, kind in NETS.items() if kind.smallest > 1] + ["madry", "trades"])
def test_images_that_are_too_small_are_refused(name: str) -> None:
    side = min(NETS[name].smallest - 1 or 3, 12)
    with pytest.raises(BrittleError, match=rf"40 x {side} pixels are too small.*--net mlp"):
        build_net(name, (3, 40, side), 10)


@pytest.mark.parametrize(
    ("name", "names", "last"),
    [
        ("linear", "a61ca1afeb4242df", -0.0269637),
        ("mlp", "a0d86ef6d6b06670", 0.0623272),
        ("small", "6ccd576445eb6096", 0.0107604),
        ("madry", "64b808e2ab8d66a8", 0.0118642),
        ("trades", "59724664ce956d63", 0.0700279),
        ("resnet18", "883597ddfc9d8aa6", 0.0058781),
    ],
)
def test_nets_of_older_checkpoints_keep_their_names_and_their_first_parameters(
    name: str, names: str, last: float
) -> None:
    torch.manual_seed(7)
    net = build_net(name, (1, 28, 28), 10)
    assert numbered(net) == names
    assert float(list(net.parameters())[-1][-1].detach()) == pytest.approx(last, abs=1e-7)


def test_nets_know_the_usual_statistics_of_a_data_set() -> None:
    assert statistics_of("cifar10 (not the original pixels)", 3) == statistics_of("cifar10", 3)
    assert statistics_of("restricted:some/folder (old)@64", 3)[0] == [0.4717, 0.4499, 0.3837]
    assert statistics_of("folder:cifar10", 1) == ([0.0], [1.0])


@pytest.mark.parametrize("name", ["quick", "small", "resnet9"])
def test_batch_norms_folded_into_convolutions_give_the_same_function_and_gradient(name: str) -> None:
    torch.manual_seed(0)
    net = build_net(name, (3, 32, 32), 10)
    net(torch.rand(16, 3, 32, 32))  # so that the batch norms have something to do
    net.eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.rand(4, 3, 32, 32)
    held = functional_model(net)
    gradients = []
    for function in (net, held):
        at = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(at).logsumexp(1).sum(), at)
        gradients.append(gradient)
        assert torch.allclose(function(x), net(x), atol=1e-4)
    assert float((gradients[0] - gradients[1]).norm()) < 0.01 * float(gradients[0].norm())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
