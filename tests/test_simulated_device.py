"""What is done on a GPU stays there: on a simulated device nothing mixes devices, and what makes one slow is counted.

The budgets stand in docs/devices.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import gpu
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from brittle.attacks import (
    L0,
    L1,
    L2,
    AttackSpec,
    Linf,
    Spatial,
    Threat,
    against,
    attack_entries,
    attack_named,
)
from brittle.audits import AuditSettings, Journal, audit_events, doctor
from brittle.ground import functional_model
from brittle.learning import Recipe, build_net, goal_entries, load, train
from brittle.science import (
    CONSTRUCTIONS,
    Construction,
    Matched,
    Targeted,
    correlations,
    curvature,
    logits,
    make_part,
    principal_components,
    units,
    usefulness,
)
from goal_laws import aimed
from simulated_device import CUDA, Count, Simulated, simulated

THREATS = (Linf(0.1), L2(0.5), L1(3), L0(3), Spatial(5, 1))
CASES = [(name, threat) for name, entry in attack_entries().items() for threat in THREATS if entry.supports(threat)]
TINY = {"queries": 4, "draws": 1, "targets": 1, "iterations": 1, "population": 2, "generations": 1}
WAITS = {"apgd_targeted": 8, "mm": 8, "fab_targeted": 10, "pma": 6, "square_apgd": 6, "grid": 6, "memetic": 8}
FEW = 4  # looks of a plain attack: at its examples, at labels beside the model's classes, at NaN at the end
KERNELS = {  # of a step, beyond those of the model, of the loss and of its gradient
    ("pgd", Linf(0.1)): 17,
    ("pgd", L2(0.5)): 82,
    ("apgd", Linf(0.1)): 35,
    ("apgd", L2(0.5)): 214,
}


@pytest.fixture
def device() -> Iterator[Count]:
    if torch.backends.cuda.is_built():
        pytest.skip("this torch knows real devices; the simulated one runs with torch for CPUs, as CI does")
    with simulated() as count:
        yield count


def net(kind: str = "mlp", size: int = 8) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_net(kind, (1, size, size), 10).eval()


def examples(n: int = 4) -> tuple[Tensor, Tensor]:
    split = load("digits").test.take(n)
    return split.x().to(CUDA), split.labels.to(CUDA)


def used(device: Count, work: Callable[[], object]) -> Count:
    """What a piece of work asks of the device."""
    device.taken()
    work()
    return device.taken()


# Attacks


@pytest.mark.parametrize(("name", "threat"), CASES, ids=str)
def test_attacks_stay_on_the_device_and_wait_for_nothing_in_a_step(name: str, threat: Threat, device: Count) -> None:
    model, (x, y), settings = net(size=5).to(CUDA), examples(), attack_named(name).settings
    x = x[..., 2:7, 2:7]

    def run(length: int) -> None:
        asked = TINY | {"steps" if "steps" in settings else "queries": length}
        spec = AttackSpec.of(name, **{key: value for key, value in asked.items() if key in settings})
        assert isinstance(spec.build(model, threat, 0)(x, y), Simulated)

    if isinstance(threat, Spatial):
        run(3)  # its transformations are brought to the device once
    few, more = used(device, lambda: run(3)), used(device, lambda: run(5))
    assert more["synchronisations"] == few["synchronisations"], more.places - few.places
    assert few["to_device"] == 0, few.places
    assert few["synchronisations"] <= WAITS.get(name, FEW), few.places


@pytest.mark.parametrize(("name", "threat"), KERNELS, ids=str)
def test_kernels_of_a_step_beyond_the_models_own(name: str, threat: Threat, device: Count) -> None:
    model, (x, y) = net("small").to(CUDA), examples()

    def run(steps: int) -> int:
        return used(device, lambda: attack_named(name).build(against(model), threat, steps=steps)(x, y))["kernels"]

    def bare() -> None:
        at = x.detach().requires_grad_()
        torch.autograd.grad(cross_entropy(held(at), y, reduction="sum"), at)

    held = functional_model(model)
    own, each = used(device, bare)["kernels"], (run(40) - run(20)) / 20
    assert each - own <= KERNELS[name, threat]


def test_numbers_and_noise_are_those_of_the_cpu(device: Count) -> None:
    model, split = net(), load("digits").test.take(4)
    for name, threat in KERNELS:
        build = partial(attack_named(name).build, threat=threat, steps=5)
        expected = build(against(model))(split.x(), split.labels)
        found = build(against(net().to(CUDA)))(*examples())
        assert torch.allclose(found.cpu(), expected, atol=1e-6)


def test_devices_do_not_mix_and_what_waits_is_counted(device: Count) -> None:
    x = torch.rand(4, 3).to(CUDA)
    assert device == {"to_device": 1, "synchronisations": 1}
    with pytest.raises(RuntimeError, match="mul of tensors on two devices"):
        x * torch.rand(4, 3)
    with pytest.raises(RuntimeError, match="index of tensors on two devices"):
        torch.rand(4)[x[:, 0] > 2]
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()
    assert used(device, lambda: x * torch.tensor(2.0) + 1) == {"kernels": 2}
    looks = (
        lambda: x.sum().item(),
        lambda: bool(x.any()),
        lambda: x.tolist(),
        lambda: x.nonzero(),
        lambda: x[x > 2],
        lambda: torch.equal(x, x),
        lambda: x.masked_select(x > 2),
        lambda: x.unique(),
        lambda: repr(x),
        lambda: x.cpu(),
        lambda: x[[0, 1]],
        lambda: x.new_zeros(4).copy_(torch.rand(4)),
        lambda: torch.tensor(1.0, device=CUDA),
    )
    assert [used(device, look)["synchronisations"] for look in looks] == [1] * len(looks)


@pytest.mark.parametrize(
    "asked", ["same pgd L2:2", "same fmn Linf:0.3", "speed fast pgd", "speed fast training", "speed fast audit"]
)
def test_what_a_gpu_is_asked_first_can_be_asked(asked: str, device: Count, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "peers", lambda *_: iter(()))
    row = gpu.questions(gpu.scale_of("cuda", True))[asked]()
    assert row.get("fine", True)
    assert row.get("differ", 0) == 0


# Training


@pytest.mark.parametrize("name", goal_entries())
def test_training_waits_for_nothing_in_a_step(name: str, device: Count) -> None:
    entry, data, steps = goal_entries()[name], load("digits"), []
    data = replace(data, train=data.train.take(32), validation=data.validation.take(4))
    learning, static = net("small"), [net()] if entry.static else []
    goal = aimed(entry, Linf(0.1), L2(0.5))
    device.taken()
    for _ in train(learning, data, goal, Recipe(epochs=1, batch=8), static=static, device="cuda"):
        steps.append(device.taken())
    assert all(isinstance(one, Simulated) for one in learning.state_dict().values())
    for one in steps[1:3]:  # of four: the first tells its loss, and after the last the net is tried
        assert one["synchronisations"] == (1 if name == "eat" else 0), one.places  # E-AT's next threat depends on it


# Sets, features, curvature, audits

SETS: dict[str, Construction] = {
    name: Matched(2)
    if isinstance(one, Matched)
    else Targeted(one.wanted, steps=2)
    if isinstance(one, Targeted)
    else one
    for name, one in CONSTRUCTIONS.items()
}
SETS |= {
    "from noise": Matched(2, start="noise"),
    "copies": Targeted("shift", steps=2, copies=2),
    "no transfer": Targeted("random", steps=2, transfers=False),
}


@pytest.mark.parametrize("name", SETS)
def test_made_sets_come_to_the_cpu(name: str, device: Count) -> None:
    split = replace(load("digits").train.take(8), name="cifar10")  # which is augmented
    part = make_part(net("small").to(CUDA), split, SETS[name], slice(0, 8), others=[net().to(CUDA)], device=CUDA)
    assert not any(isinstance(column, Simulated) for column in part)


def test_features_and_curvature_come_to_the_cpu(device: Count) -> None:
    model, split = net().to(CUDA), load("digits").test.take(40).to(CUDA)
    kinds = (units(model, split.x()), logits(model, split.classes), principal_components(split.x(), 3))
    for features in kinds:
        found = usefulness(features, split, L2(0.25), attacked=2, steps=2, images=10)
        assert len(found) == len(features.names)
        assert not isinstance(correlations(features, split, {"D": split})["D"], Simulated)
    points = curvature(model, (split.x()[:4], split.labels[:4]), L2(0.25), iterations=2, draws=1, steps=2)
    assert len(points) == 3


def test_an_audit_is_taken_up_from_its_journal(device: Count, tmp_path: Path) -> None:
    model, data, threats = net().to(CUDA), examples(12), (Linf(0.1), L2(0.5), L0(3))
    assert {one.level for one in doctor(model, *data)} <= {"fine", "warn", "bad", "note"}
    settings, journal = AuditSettings("smoke", certify=True), Journal(tmp_path, "this")
    first, again = ([*audit_events(model, data, threats, settings, journal)][-1].report for _ in range(2))
    assert first is not None
    assert again is not None
    assert not isinstance(first.withstands, Simulated)
    assert torch.equal(first.withstands, again.withstands)
    for threat in threats:
        assert all(map(torch.equal, first.adversarial(threat), again.adversarial(threat)))
        assert not isinstance(first.adversarial(threat)[1], Simulated)
