"""Training: goals, the loop's laws, checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from brittle.attacks import L2, Linf
from brittle.ground import BrittleError, functional_model
from brittle.learning import (
    NETS,
    Adversarial,
    DataSet,
    InnerAttack,
    Moment,
    Recipe,
    Standard,
    accuracy,
    attack_batch,
    build_net,
    load,
    load_model,
    load_net,
    save_net,
    statistics_of,
    train,
)


def few(count: int = 256) -> DataSet:
    data = load("digits")
    return DataSet("digits", data.train.take(count), data.validation.take(50), data.test)


def learned(goal: object, seed: int = 0, **recipe: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    net = build_net("mlp", (1, 8, 8), 10)
    list(train(net, few(), goal, Recipe(**{"epochs": 1, "batch": 64, **recipe}), seed=seed, device="cpu"))  # type: ignore[arg-type]
    return net.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", NETS)
def test_every_net_answers_logits_and_learns_from_gradients(name: str) -> None:
    net = build_net(name, (3, 32, 32), 7)
    net(torch.rand(2, 3, 32, 32)).sum().backward()
    assert net.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("name", "shape"), [("madry", (1, 28, 28)), ("trades", (1, 28, 32)), ("small", (3, 32, 32)), ("small", (1, 9, 8))]
)
def test_a_net_held_still_has_the_same_gradients(name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    net = build_net(name, shape, 10).eval().double()
    x = torch.rand(4, *shape, dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(net(x).logsumexp(1).sum(), x, create_graph=True)
    (held,) = torch.autograd.grad(functional_model(net)(x).logsumexp(1).sum(), x, create_graph=True)
    assert torch.allclose(held, plain, rtol=1e-10, atol=1e-14)
    v = torch.randn_like(x)
    twice = [torch.autograd.grad((grad * v).sum(), x)[0] for grad in (held, plain)]
    assert torch.allclose(*twice, rtol=1e-9, atol=1e-12)


def test_published_nets_have_their_published_size() -> None:
    def size(name: str, shape: tuple[int, int, int]) -> int:
        return sum(parameter.numel() for parameter in build_net(name, shape, 10).parameters())

    assert size("madry", (1, 28, 28)) == 3_274_634
    assert size("trades", (1, 28, 28)) == 312_202
    assert size("resnet18", (3, 32, 32)) == 11_173_962


def test_normalisation_lives_inside_the_net() -> None:
    mean, std = statistics_of("cifar10 (not the original pixels)", 3)
    net = build_net("linear", (3, 4, 4), 2, mean, std)
    x = torch.rand(2, 3, 4, 4)
    plain = net[1]((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    assert torch.allclose(net(x), plain)
    assert {"0.mean", "0.std"} <= set(net.state_dict())


def test_standard_training_learns_the_digits() -> None:
    data = load("digits")
    torch.manual_seed(0)
    net = build_net("mlp", data.shape, 10)  # type: ignore[arg-type]
    events = list(train(net, data, Standard(), Recipe(epochs=8), device="cpu"))
    assert accuracy(net, data.test) > 0.93
    assert events[-1].step == events[-1].steps
    assert events[-1].clean is not None


def test_adversarial_training_buys_robustness() -> None:
    data, threat = load("digits"), Linf(0.15)
    nets = {}
    for name, goal in {"standard": Standard(), "robust": Adversarial((threat,), InnerAttack(steps=4))}.items():
        torch.manual_seed(0)
        nets[name] = build_net("mlp", data.shape, 10)  # type: ignore[arg-type]
        list(train(nets[name], data, goal, Recipe(epochs=15), device="cpu"))
    assert accuracy(nets["robust"], data.test, threat) > accuracy(nets["standard"], data.test, threat) + 0.2


def test_the_same_seed_trains_the_same_bits_and_another_does_not() -> None:
    goal = Adversarial((Linf(0.1),), InnerAttack(steps=2))
    assert same(learned(goal), learned(goal))
    assert not same(learned(goal), learned(goal, seed=1))


def test_eps_zero_is_the_standard_goal() -> None:
    assert same(learned(Adversarial((Linf(0),), InnerAttack(steps=2))), learned(Standard()))


def test_alternating_between_one_threat_is_that_threat() -> None:
    one, two = Linf(0.1), L2(0.5)
    assert same(learned(Adversarial((one, one))), learned(Adversarial((one,))))
    assert not same(learned(Adversarial((one, two))), learned(Adversarial((one,))))


def test_eps_rises_during_the_ramp() -> None:
    net = build_net("mlp", (1, 8, 8), 10)
    x, y = few(64).train.x(), few(64).train.labels
    goal = Adversarial((Linf(0.2),), ramp=0.5)
    sizes = [
        float((attack_batch(goal, net, x, y, Moment(0, done, 1)) - x).abs().max()) for done in (0.0, 0.25, 0.5, 0.9)
    ]
    assert sizes == pytest.approx([0, 0.1, 0.2, 0.2], abs=1e-5)


class Collapsing(nn.Module):
    """Finite until it has learned for a while, then not."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.count = nn.Linear(64, 10), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += self.training
        return self.linear(x.flatten(1)) * (float("nan") if self.count > 12 else 1)


def test_a_loss_that_is_no_number_stops_training_and_keeps_the_state_before(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    with pytest.raises(BrittleError, match=r"loss became nan.*smaller --lr"):
        list(train(Collapsing(), few(), Standard(), Recipe(epochs=9, batch=32), state_file=state, device="cpu"))
    from brittle.learning import load_tensors

    assert all(value.isfinite().all() for value in load_tensors(state)[0].values())


@pytest.mark.parametrize(("best", "alarmed"), [(0.9, True), (0.05, False)])
def test_a_collapse_of_robust_accuracy_raises_the_alarm(
    best: float, alarmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    robust = iter((best, best, 0.0))  # at the end of each epoch
    monkeypatch.setattr(
        "brittle.learning.progress.accuracy", lambda net, part, threat=None: 0.5 if threat is None else next(robust)
    )
    goal = Adversarial((Linf(0.3),), InnerAttack(steps=1))
    alarms = [
        event.alarm
        for event in train(build_net("mlp", (1, 8, 8), 10), few(64), goal, Recipe(epochs=3, batch=64), device="cpu")
    ]
    assert alarms[:2] == [None, None]
    assert ("catastrophic overfitting" in (alarms[2] or "")) == alarmed


def test_a_checkpoint_comes_back_whole_and_says_what_it_is(tmp_path: Path) -> None:
    net, path = build_net("small", (1, 8, 8), 3).eval(), tmp_path / "net.safetensors"
    header = {
        "net": "small",
        "shape": [1, 8, 8],
        "classes": ["a", "b", "c"],
        "mean": [0.0],
        "std": [1.0],
        "threats": ["Linf:8/255"],
    }
    save_net(path, net, header)
    again, read = load_net(path)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(net(x), again(x))
    assert read["threats"] == ["Linf:8/255"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("name", "optimizer"), [("trades", "sgd"), ("small", "adam")])
def test_training_stopped_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(
    name: str, optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brittle.learning.training.SAVE_EVERY", 0.0)
    images = torch.nn.functional.interpolate(few(200).train.images.float(), 16).to(
        torch.uint8
    )  # large enough for dropout's net
    whole = few(200)
    split = replace(whole.train, pixels=images)
    part = torch.nn.functional.interpolate(whole.validation.images.float(), 16).to(torch.uint8)
    data = DataSet("sixteen", split, replace(whole.validation, pixels=part), replace(whole.validation, pixels=part))
    goal, recipe = (
        Adversarial((Linf(0.1),), InnerAttack(steps=3)),
        Recipe(epochs=2, batch=32, optimizer=optimizer, lr=0.01),
    )

    def run(file: Path, stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
        for stop in (*stops, 10**6):
            torch.manual_seed(0)
            net = build_net(name, (1, 16, 16), 10)
            for event in train(net, data, goal, recipe, state_file=file, device="cpu"):
                if event.step == stop:
                    break
        return net.state_dict()

    assert same(run(tmp_path / "a", ()), run(tmp_path / "b", (3, 8, 11)))


def test_training_leaves_the_global_generator_alone() -> None:
    numbers = torch.random.get_rng_state()
    net = build_net("mlp", (1, 8, 8), 10)
    numbers = torch.random.get_rng_state()
    list(train(net, few(64), Standard(), Recipe(epochs=1), device="cpu"))
    assert torch.equal(torch.random.get_rng_state(), numbers)


@pytest.mark.parametrize("other", ["data", "goal", "recipe", "seed", "net", "static"])
def test_a_state_of_other_training_is_refused(other: str, tmp_path: Path) -> None:
    def run(changed: bool) -> None:
        torch.manual_seed(1)
        static = build_net("linear", (1, 8, 8), 10)
        if changed and other == "static":
            nn.init.zeros_(static[1][1].bias)
        list(
            train(
                build_net("linear" if changed and other == "net" else "mlp", (1, 8, 8), 10),
                few(32 if changed and other == "data" else 48),
                Adversarial((Linf(0.1 if changed and other == "goal" else 0.2),), InnerAttack(steps=1)),
                Recipe(epochs=2 if changed and other == "recipe" else 1),
                seed=int(changed and other == "seed"),
                static=(static,),
                state_file=tmp_path / "state.safetensors",
                device="cpu",
            )
        )

    run(False)
    run(False)  # its own is taken up
    with pytest.raises(BrittleError, match="other training"):
        run(True)


def test_models_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_models.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self, width=4):\n        super().__init__(); "
        "self.layer = torch.nn.Linear(64, 10)\n    def forward(self, x):\n        return "
        "{'logits': self.layer(x.flatten(1))}\ndef make():\n    return Net()\ndef answer(x):\n    return "
        "x.flatten(1)[:, :10]\nnumber = 3\n"
    )
    x = torch.rand(2, 1, 8, 8)
    assert load_model("mine_models:Net").model(x)["logits"].shape == (2, 10)
    assert load_model("mine_models:make").model(x)["logits"].shape == (2, 10)
    assert load_model("mine_models:answer").model(x).shape == (2, 10)
    weights = {"module.layer.weight": torch.ones(10, 64), "module.layer.bias": torch.zeros(10)}
    save_file(weights, tmp_path / "w.safetensors")
    torch.save({"state_dict": weights}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        loaded = load_model("mine_models:Net", Path(name))
        assert torch.allclose(loaded.model(x)["logits"], x.flatten(1).sum(1, keepdim=True).expand(2, 10))
    assert load_model("mine_models:Net", Path("w.pth")).digest != load_model("mine_models:Net").digest
    assert (
        load_model("mine_models:Net", Path("w.pth")).digest
        == load_model("mine_models:Net", Path("w.safetensors")).digest
    )
    assert (
        load_model("mine_models:answer").digest != load_model("mine_models:answer").digest
    )  # a function may change unseen


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_programs_are_loaded_and_pickles_are_not_run(tmp_path: Path) -> None:
    net = build_net("mlp", (1, 8, 8), 10).eval()
    x = torch.rand(2, 1, 8, 8)
    torch.jit.trace(net, x).save(str(tmp_path / "script.pt"))  # type: ignore[no-untyped-call]
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "program.pt2")
    torch.save(net, tmp_path / "pickle.pt")
    for spec in (str(tmp_path / "script.pt"), f"trusted:{tmp_path / 'program.pt2'}"):
        assert torch.allclose(load_model(spec).model(x), net(x), atol=1e-5)
    with pytest.raises(BrittleError, match="if you trust where it is from, write trusted:"):
        load_model(str(tmp_path / "program.pt2"))
    with pytest.raises(BrittleError, match=r"module:callable"):
        load_model(str(tmp_path / "pickle.pt"))
