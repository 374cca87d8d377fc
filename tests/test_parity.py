"""Our attacks beside their authors' code: on a standard and on a PGD-trained net, at the same budget."""

from functools import cache

import pytest
import torch
from parity import THREATS, Row, compare
from torch import Tensor, nn

from brittle.attacks import Linf, against, apgd, given, parse_threat
from brittle.learning import Adversarial, InnerAttack, Recipe, build_net, load, train
from conftest import trained_net

THEIR_WARNINGS = pytest.mark.filterwarnings("ignore")  # of their code
SIZES = {"standard": {"Linf": "0.08", "L2": "0.4", "L1": "1.2", "L0": "2"}}
SIZES["PGD-trained"] = {"Linf": "0.2", "L2": "0.9", "L1": "1.5", "L0": "2"}
STEPS = {"square": 300, "apgd_targeted": 20, "fab_targeted": 20}
CASES = [(net, name, kind) for net in SIZES for name, kinds in THREATS.items() for kind in kinds]


@cache
def net_of(kind: str) -> nn.Module:
    if kind == "standard":
        return trained_net()
    torch.manual_seed(0)
    data = load("digits")
    net = build_net("small", data.shape, 10)  # type: ignore[arg-type]
    goal = Adversarial((Linf(0.2),), InnerAttack(steps=7))
    for _ in train(net, data, goal, Recipe(epochs=12), device="cpu"):
        pass
    return net.eval()


def digits(count: int = 300) -> tuple[Tensor, Tensor]:
    test = load("digits").test.take(count)
    return test.x(), test.labels


@cache
def row(net: str, name: str, kind: str) -> Row:
    return compare(net_of(net), *digits(), parse_threat(f"{kind}:{SIZES[net][kind]}"), name, steps=STEPS.get(name, 40))


@THEIR_WARNINGS
@pytest.mark.parametrize(("net", "name", "kind"), CASES, ids=lambda value: str(value))
def test_we_break_as_many_images_as_the_authors_code(net: str, name: str, kind: str) -> None:
    found = row(net, name, kind)
    assert found.n > 200
    assert found.theirs < 0.95 * found.n, "a threat in which all are broken tells nothing"
    assert found.ours >= found.theirs - 0.01 * found.n, found
    if found.our_size is None or found.their_size is None:
        assert found.theirs > 0.05 * found.n, "a threat in which none is broken tells nothing"
    else:
        assert found.our_size <= 1.02 * found.their_size, found


@THEIR_WARNINGS
def test_apgd_walks_the_authors_path_from_the_same_start() -> None:
    from pyautoattack.autopgd_base import APGDAttack

    net, (x, y) = net_of("PGD-trained"), digits(200)
    start = Linf(0.2).sample(x, 5)
    theirs = APGDAttack(net, n_iter=50, norm="Linf", eps=0.2, device="cpu")
    theirs.init_hyperparam(x)
    _, right, best, _ = theirs.attack_single_run(x, y, x_init=start)
    path = apgd(against(net), Linf(0.2), steps=50, start=given(x, start)).path
    assert path is not None
    points = [point.evaluation() for point in path(x, y, 0)]
    loss = torch.stack([point.loss for point in points]).amax(0)
    same = torch.isclose(loss, best, rtol=1e-3, atol=1e-4)
    assert float(same.float().mean()) > 0.97  # rounding parts a few
    broken = torch.stack([point.success for point in points]).any(0)
    assert int((broken ^ ~right.bool()).sum()) <= 2
