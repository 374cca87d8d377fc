"""Nets that others trained and published, as benchmarks take them: what each is, where it lies, its images' threats.

A folder holds them as `<name>.pth` or `<name>.onnx` (unpacked; read by `onnx` of peers.txt); a digest is checked before
anything is measured. `SEEN` are those on which the audit's schedule was improved; `UNSEEN` and `LATE` were first
measured when `standard` and `quick` stood, and had a say only after that, as docs/audits.md tells (`thorough` has
learned from some images of `madry_tiny` and `cnn_a_mnist`: hard.py).
"""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from layers import Scaled, Transformer, convolutional, dense, narrowing, pooled, residual, strided
from torch import Tensor, nn

from brittle.learning import build_net

CONVEX = "github.com/locuslab/convex_adversarial"
FAST = "github.com/locuslab/fast_adversarial"
CROWN = "github.com/Verified-Intelligence/alpha-beta-CROWN, complete_verifier/models"
CONTEST = "github.com/stanleybak/vnncomp2021, benchmarks"
LATER = "github.com/ChristopherBrix/vnncomp2022_benchmarks, benchmarks"
LAST = "github.com/ChristopherBrix/vnncomp2023_benchmarks, benchmarks"
USUAL = ("Linf:0.3", "L2:2", "L1:10")  # of MNIST
SMALL = ("Linf:0.1", "L2:1.5", "L1:6")
TINY = ("Linf:0.03", "L2:0.5", "L1:2")
FINE = ("Linf:2/255", "L2:36/255", "L1:5")  # of CIFAR-10


class Public(NamedTuple):
    """A net that others published: its layers, the first digits of its file's SHA-256, where that file lies, the
    threats to measure it in, and how its authors scale the images (mean, std)."""

    layers: Callable[[], nn.Module]
    digest: str
    source: str
    threats: tuple[str, ...] = USUAL
    data: str = "mnist"
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def cifar(layers: Callable[[], nn.Module], digest: str, source: str, *scale: tuple[float, ...]) -> Public:
    return Public(layers, digest, source, FINE, "cifar10", (scale[0], scale[1]))


GREY = (0.485, 0.456, 0.406), (0.225, 0.225, 0.225)
OWN = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
KUANG = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
EIGHT = ("Linf:8/255", "L2:0.5", "L1:12")

SEEN = {
    "fast_pgd": Public(partial(strided, 1), "877b74b1d2bf", f"{FAST}, MNIST/models/pgd_madry.pth"),
    "fast_fgsm": Public(partial(strided, 1), "07536ed24c71", f"{FAST}, MNIST/models/fgsm.pth"),
    "wong_mnist01": Public(partial(strided, 1), "95014ab0c04c", f"{CONVEX}, models/mnist.pth", SMALL),
    "wong_mnist03": Public(partial(strided, 1), "1f2bc54fa150", f"{CONVEX}, models_scaled/mnist_small_0_3.pth"),
    "wong_cifar8": cifar(strided, "f07c615f5861", f"{CONVEX}, models_scaled/cifar_small_8px.pth", *GREY)._replace(
        threats=EIGHT
    ),
    "wong_cifar_l2": cifar(strided, "d99894f1fe28", f"{CONVEX}, models_scaled_l2/cifar_small_36px.pth", *GREY),
    "aa_resnet18": Public(
        partial(build_net, "resnet18", (3, 32, 32), 10),
        "399f52da9f91",
        "examples/model_test.pt of the source distribution of pyautoattack 0.2.0",
        EIGHT[:2],
        "cifar10",
    ),
}
UNSEEN = {
    "advertorch": Public(
        pooled,
        "b89abfcfe8b3",
        "github.com/BorealisAI/advertorch, advertorch_examples/trained_models/mnist_lenet5_advtrained.pt",
    ),
    "madry_tiny": Public(
        lambda: convolutional(1, ((4, 5, 2, 2), (8, 5, 2, 2)), 392, 128),
        "171ffe80d82d",
        f"{CROWN}/bab_attack/MadryCNN_no_maxpool_tiny.pt",
    ),
    "cnn_a_mnist": Public(partial(strided, 1), "3a1dbfc656e4", f"{CROWN}/sdp/mnist_cnn_a_adv.model"),
    "colt_mnist01": Public(
        lambda: convolutional(1, ((32, 5, 2, 2), (64, 4, 2, 1)), 64 * 7 * 7, 100),
        "429d594e0486",
        "github.com/eth-sri/colt, trained_models/mnist_0.1_convmed_flat_2_2_100.pt",
        SMALL,
        scale=((0.1307,), (0.3081,)),
    ),
    "cnn_a_adv": cifar(strided, "e45d79e68342", f"{CROWN}/sdp/cifar_cnn_a_adv.model", *OWN),
    "cnn_a_mix": cifar(strided, "5a1370f41961", f"{CROWN}/sdp/cifar_cnn_a_mix.model", *OWN),
    "eran_pgd": cifar(partial(strided, padding=0), "01adb410a8f5", f"{CROWN}/eran/cifar_conv_small_pgd.pth", *KUANG),
    "sigmoid_pgd": cifar(
        partial(strided, padding=0, act=nn.Sigmoid),
        "dfe14ef94170",
        f"{CROWN}/non_relu/cifar_conv_small_sigmoid.pth",
        *KUANG,
    ),
    "oval_deep": cifar(
        lambda: convolutional(3, ((8, 4, 2, 1), (8, 3, 1, 1), (8, 3, 1, 1), (8, 4, 2, 1)), 512, 100),
        "1ddec19e8e7c",
        f"{CROWN}/oval/cifar_deep.pth",
        *GREY,
    ),
    "resnet2b": cifar(partial(residual, 8, 1), "ef824b471756", f"{CROWN}/cifar10_resnet/resnet2b.pth", *OWN),
    "resnet4b": cifar(partial(residual, 16, 2), "6158f9668935", f"{CROWN}/cifar10_resnet/resnet4b.pth", *OWN),
}
LATE = {
    "vit_pgd": cifar(partial(Transformer, 2, 3, 16), "246326387574", f"{LAST}/vit/onnx/pgd_2_3_16.onnx.gz", *KUANG),
    "vit_ibp": cifar(partial(Transformer, 3, 3, 8), "9cc53b9edb35", f"{LAST}/vit/onnx/ibp_3_3_8.onnx.gz", *KUANG),
    "sri_resnet": cifar(
        narrowing,
        "e81733abbb64",
        f"{LATER}/sri_resnet_a/onnx/resnet_3b2_bn_mixup_adv_4.0_bs128_lr-1.onnx.gz",
        *KUANG,
    ),
    "oval_wide": cifar(strided, "1eafcce51be8", f"{CONTEST}/oval21/nets/cifar_wide_kw.onnx", *GREY),
    "mnist_dense": Public(lambda: dense(*[256] * 6), "295c175d7b47", f"{CONTEST}/mnistfc/mnist-net_256x6.onnx", TINY),
    "mnist_sigmoid": Public(
        lambda: dense(*[200] * 6, act=nn.Sigmoid),
        "15a73df459ec",
        f"{CONTEST}/eran/nets/ffnnSIGMOID__Point_6x200.onnx",
        TINY,
        scale=((0.1307,), (0.3081,)),
    ),
}
PUBLIC = SEEN | UNSEEN | LATE


def _of_graph(path: Path) -> list[Tensor]:
    """The weights in an ONNX file, in the order in which its graph uses them."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(path).graph
    held = {one.name: torch.from_numpy(to_array(one).copy()) for one in graph.initializer}
    kinds = ("Conv", "Gemm", "MatMul", "Add", "BatchNormalization")
    used = [
        (node.op_type, held[name])
        for node in graph.node
        if node.op_type in kinds
        for name in node.input
        if name in held
    ]
    return [value.T if kind == "MatMul" else value for kind, value in used]


def file_of(folder: Path, name: str) -> Path:
    """Where one of them lies in a folder, whether it is there or not."""
    graph = folder / f"{name}.onnx"
    return graph if graph.exists() else folder / f"{name}.pth"


def published(folder: Path, name: str) -> nn.Module:
    """One of them, from its file in a folder; weights are given to our layers in their order, whatever their names."""
    path, public = file_of(folder, name), PUBLIC[name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(public.digest):
        raise SystemExit(f"{path} is another file than the one that was measured ({digest[:12]})")
    net = public.layers()
    own = list(net.state_dict())
    if path.suffix == ".onnx":
        values, own = _of_graph(path), [key for key in own if not key.endswith("batches_tracked")]
    else:
        held = torch.load(path, map_location="cpu", weights_only=True)
        held = held.get("state_dict", held) if isinstance(held, dict) else held
        held = held[0] if isinstance(held, list) else held
        values = [value for key, value in held.items() if not key.endswith("deepz_lambda")]  # of COLT's own bounds
        own = [key for key in own if key.endswith(("weight", "bias")) or "running" in key or "batches" in key]
    net.load_state_dict(dict(zip(own, values, strict=True)), strict=False)  # our own mean and deviation stay
    return (nn.Sequential(Scaled(*public.scale), net) if public.scale else net).eval()
