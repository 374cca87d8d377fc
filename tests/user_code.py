"""What a type checker sees of the package in a user's code: mypy reads this file, and nothing runs it."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

import brittle
from brittle import L2, Linf, Report, audit
from brittle.science import Gaussians


def attack_and_audit(model: nn.Module, x: Tensor, y: Tensor) -> str:
    attack = brittle.pgd(brittle.against(model), Linf("8/255"), steps=40)
    assert_type(attack(x, y), Tensor)
    report = audit(model, (x, y), threats=[Linf("8/255"), L2(0.5)])
    assert_type(report, Report)
    audit(model)  # type: ignore[call-arg]
    brittle.nothing_of_that_name  # type: ignore[attr-defined]  # noqa: B018
    return report.verdict.level


def theory() -> None:
    found = Gaussians([5.0, 0.0], [[14.0, 5.5], [5.5, 3.0]])
    assert_type(found.mu, NDArray[np.float64])
    Gaussians(None, found.sigma)  # type: ignore[arg-type]


def plain(x: Tensor) -> Tensor:
    return x.flatten(1)


def attacks_of_models_by_texts(model: nn.Module, x: Tensor, y: Tensor) -> None:
    for target in (model, plain):
        assert_type(brittle.pgd(target, "Linf:8/255", steps=40)(x, y), Tensor)
        assert_type(brittle.fgsm(target, "Linf:8/255")(x, y), Tensor)
        assert_type(brittle.apgd(target, "L2:0.5", steps=10)(x, y), Tensor)
        assert_type(brittle.mim(target, L2(0.5))(x, y), Tensor)
        assert_type(brittle.square(target, "L2:0.5", queries=10)(x, y), Tensor)
        assert_type(brittle.mm(objective=target, threat="L2:0.5")(x, y), Tensor)
    brittle.pgd(plain, "L2:1", step="far")  # type: ignore[arg-type]
    brittle.pgd(plain, 0.5)  # type: ignore[arg-type]
