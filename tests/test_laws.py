"""The one table of laws that every attack joins."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L1,
    L2,
    Attack,
    Linf,
    ModelObjective,
    Threat,
    against,
    apgd,
    apgd_targeted,
    check_examples,
    dlr,
    fgsm,
    fmn,
    hessian,
    margin,
    mim,
    msd,
    pgd,
    restarts,
    second_order,
    second_order_apgd,
    square,
    stages,
    targeted_dlr,
    toward,
    worst_of,
)
from brittle.ground import BrittleError

Build = Callable[[Callable[[Tensor], Tensor], Threat, int], Attack]


def _minimum(model: Callable[[Tensor], Tensor], threat: Threat, seed: int) -> Attack:
    return fmn(against(model, margin), threat.norm, steps=30).within(threat)


TABLE: dict[str, Build] = {
    "fgsm": lambda m, t, s: fgsm(against(m), t, start="random", seed=s),
    "pgd": lambda m, t, s: pgd(against(m), t, steps=10, seed=s),
    "pgd-clean": lambda m, t, s: pgd(against(m), t, steps=10, start="clean", seed=s),
    "mim": lambda m, t, s: mim(against(m), t, steps=10, seed=s),
    "apgd-ce": lambda m, t, s: apgd(against(m), t, steps=20, seed=s),
    "apgd-dlr": lambda m, t, s: apgd(against(m, dlr), t, steps=20, seed=s),
    "apgd-t": lambda m, t, s: apgd_targeted(against(m, targeted_dlr), t, steps=10, targets=3, seed=s),
    "second-order": lambda m, t, s: second_order(against(m), t, steps=6, draws=3, seed=s),
    "second-order-apgd": lambda m, t, s: second_order_apgd(against(m), t, steps=6, draws=3, seed=s),
    "hessian": lambda m, t, s: hessian(against(m), t, steps=6, iterations=2, seed=s),
    "msd": lambda m, t, s: msd(against(m), [t], steps=10, seed=s),
    "fmn": _minimum,
    "square": lambda m, t, s: square(against(m, margin), t, queries=30, seed=s),
    "restarts": lambda m, t, s: restarts(pgd(against(m), t, steps=5, seed=s), 2),
    "worst-of": lambda m, t, s: worst_of(
        pgd(against(m), t, steps=5, seed=s), apgd(against(m, dlr), t, steps=5, seed=s)
    ),
    "stages": lambda m, t, s: stages(fgsm(against(m), t, seed=s), pgd(against(m), t, steps=5, seed=s)),
}
THREATS = (Linf(0.1), L2(0.5), L1(1.5))
CASES = [(name, threat) for name in TABLE for threat in THREATS]
every = pytest.mark.parametrize(("name", "threat"), CASES, ids=lambda value: str(value))


def net(
    classes: int = 5, channels: int = 1, height: int = 6, width: int = 4, dtype: torch.dtype = torch.float64
) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5)
    )
    return nn.Sequential(body, nn.Linear(6 * height * width, classes)).to(dtype).eval()


def examples(
    model: nn.Module, count: int = 12, channels: int = 1, height: int = 6, width: int = 4
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        return x, model.eval()(x).argmax(1)


@every
def test_result_is_allowed_and_says_truly_what_fools(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    found = TABLE[name](model, threat, 0).run(x, y)
    assert found.x.shape == x.shape
    assert found.x.dtype == x.dtype
    assert found.x.min() >= 0
    assert found.x.max() <= 1
    assert (threat.size(found.x - x) <= threat.radius * (1 + 1e-6)).all()
    assert torch.equal(found.success, model(found.x).argmax(1) != y)
    assert found.success.any(), "the examples are easy: an attack that fools none does nothing"


@every
def test_same_seed_gives_same_bytes_and_no_global_state_moves(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    before, numbers = x.clone(), torch.random.get_rng_state()
    first = TABLE[name](model, threat, 7)(x, y)
    assert torch.equal(first, TABLE[name](model, threat, 7)(x, y))
    assert torch.equal(x, before)
    assert torch.equal(torch.random.get_rng_state(), numbers)


@every
def test_an_image_alone_is_attacked_as_in_a_batch(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    together = TABLE[name](model, threat, 0)(x, y)
    for i in (0, 5, 11):
        assert torch.allclose(TABLE[name](model, threat, 0)(x[i : i + 1], y[i : i + 1]), together[i : i + 1], atol=1e-9)


@every
def test_eps_zero_gives_the_clean_images(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    y = torch.where(torch.arange(len(y)) < 3, (y + 1) % 5, y)  # three clean errors
    found = TABLE[name](model, Threat(threat.norm, "0"), 0).run(x, y)
    assert torch.allclose(found.x, x, atol=1e-12)
    assert torch.equal(found.success, torch.arange(len(y)) < 3)


@every
def test_a_larger_ball_never_helps_the_model(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model, 40)
    small, large = (TABLE[name](model, threat.scaled(factor), 0).run(x, y).success.sum() for factor in (0.3, 2))
    assert small <= large


@every
def test_the_model_is_left_as_it_was(name: str, threat: Threat) -> None:
    model = net().train()
    model[0][1].eval()  # a mixture of modes
    x, y = examples(net())
    modes = [module.training for module in model.modules()]
    held = {key: value.clone() for key, value in model.state_dict().items()}
    model[1].weight.requires_grad_(False)
    TABLE[name](model, threat, 0)(x, y)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, held[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model[1].weight.requires_grad
    assert model[0][0].weight.requires_grad


@every
def test_two_classes_three_channels_and_non_square_images_work(name: str, threat: Threat) -> None:
    model = net(classes=2, channels=3, height=3, width=7)
    x, y = examples(model, channels=3, height=3, width=7)
    found = TABLE[name](model, threat.scaled(4), 0).run(x, y)
    assert found.success.any()
    assert found.x.isfinite().all()


@every
def test_a_model_that_answers_nan_is_an_error(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    with pytest.raises(BrittleError, match="NaN"):
        TABLE[name](lambda x: model(x) * float("nan"), threat, 0)(x, y)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_more_steps_of_the_same_length_never_weaken(threat: Threat) -> None:
    model = net()
    x, y = examples(model, 40)
    counts = [
        int(pgd(against(model), threat, steps=steps, step=threat.radius / 10).run(x, y).success.sum())
        for steps in (1, 3, 10, 30)
    ]
    assert counts == sorted(counts)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_restarts_keep_the_worst_of_each_example(threat: Threat) -> None:
    model = net()
    x, y = examples(model, 60)
    single = [pgd(against(model), threat.scaled(0.4), steps=3, seed=seed).run(x, y).success for seed in range(6)]
    together = restarts(pgd(against(model), threat.scaled(0.4), steps=3), 6).run(x, y).success
    assert torch.equal(together, torch.stack(single).any(0))
    if threat.norm != "L1":
        assert together.sum() > min(flags.sum() for flags in single)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_targeted_attacks_reach_their_targets(threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    target = (y + 1) % 5
    found = pgd(toward(model), threat.scaled(8), steps=40).run(x, target)
    assert torch.equal(found.success, model(found.x).argmax(1) == target)
    assert found.success.all()


def test_wrappers_of_logits_are_understood() -> None:
    model = net()
    x, y = examples(model)

    class Answer:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    plain = pgd(against(model), Linf(0.1))(x, y)
    assert torch.equal(pgd(against(lambda x: {"logits": model(x)}), Linf(0.1))(x, y), plain)
    assert torch.equal(pgd(against(lambda x: Answer(model(x))), Linf(0.1))(x, y), plain)


class Viewing(nn.Module):
    """A net that flattens with `view`, as many do: it only works in the usual layout."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.conv, self.head = body[0][0], body[1]

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return self.head(h.view(h.size(0), -1))


@pytest.mark.parametrize("channels", [1, 3])
def test_models_that_rely_on_the_usual_layout_work(channels: int) -> None:
    model = Viewing(net(channels=channels))
    x, y = examples(model, channels=channels)
    assert pgd(against(model), Linf(0.2)).run(x, y).success.any()


def test_a_nan_loss_on_the_way_is_an_error() -> None:
    model = net()
    x, y = examples(model)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return (
            torch.where(logits.amax(1) > logits.amax(), torch.zeros(()), torch.full((), torch.nan)) + 0 * logits[:, 0]
        )

    with pytest.raises(BrittleError, match="NaN"):
        pgd(against(model, loss), Linf(0.1))(x, y)


def test_an_image_that_requires_a_gradient_is_attacked_without_keeping_the_graph() -> None:
    model = net()
    x, y = examples(model)
    assert not pgd(against(model), Linf(0.1), start="clean")(x.requires_grad_(), y).requires_grad


class Straight(torch.autograd.Function):
    """Rounding with the gradient of the identity (BPDA)."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (x * 8).round() / 8

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return grad


def test_custom_autograd_functions_are_followed() -> None:
    model = net()
    x, y = examples(model)
    rounded = pgd(against(lambda x: model(Straight.apply(x))), Linf(0.2)).run(x, y)
    masked = pgd(against(lambda x: model((x * 8).round() / 8)), Linf(0.2), start="clean").run(x, y)
    assert rounded.success.sum() > masked.success.sum()


def test_randomised_models_get_the_attack_seed() -> None:
    model = net()
    x, y = examples(model)
    noisy = against(lambda x: model(x + 0.05 * torch.randn_like(x)))
    numbers = torch.random.get_rng_state()
    assert torch.equal(pgd(noisy, Linf(0.1), seed=1)(x, y), pgd(noisy, Linf(0.1), seed=1)(x, y))
    assert torch.equal(torch.random.get_rng_state(), numbers)


def test_an_eps_in_steps_of_255_is_suspected() -> None:
    with pytest.warns(UserWarning, match="8/255 meant"):
        Linf(8)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.rand(4, 1, 6, 4) * 255, torch.zeros(4, dtype=torch.int64), r"\[0, 1\]"),
        (torch.full((4, 1, 6, 4), torch.nan), torch.zeros(4, dtype=torch.int64), r"\[0, 1\]"),
        ((torch.rand(4, 1, 6, 4) * 255).to(torch.uint8), torch.zeros(4, dtype=torch.int64), "1/255"),
        (torch.rand(4, 1, 6, 4), torch.zeros(4), "int64"),
        (torch.rand(4, 1, 6, 4), torch.zeros(3, dtype=torch.int64), "int64"),
        (torch.rand(0, 1, 6, 4), torch.zeros(0, dtype=torch.int64), "no examples"),
    ],
)
def test_unfit_examples_are_refused(x: Tensor, y: Tensor, said: str) -> None:
    with pytest.raises(BrittleError, match=said):
        check_examples(x, y)


def test_a_step_larger_than_eps_warns() -> None:
    with pytest.warns(UserWarning, match="larger than eps"):
        pgd(against(net()), Linf(0.1), step=0.2)


def test_fast_precision_is_float32_where_bfloat16_is_emulated() -> None:
    model = net(dtype=torch.float32)
    x, y = examples(net())
    objective = against(model, precision="fast")
    assert isinstance(objective, ModelObjective)
    found = pgd(objective, Linf(0.1)).run(x.float(), y)
    slow = pgd(against(model), Linf(0.1)).run(x.float(), y)
    assert abs(int(found.success.sum()) - int(slow.success.sum())) <= 2
