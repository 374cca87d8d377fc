"""The laws that every attack of the registry keeps, in every kind of threat that it works in."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    EXAMPLES,
    L0,
    L1,
    L2,
    Attack,
    AttackEntry,
    AttackResult,
    AttackSpec,
    Ball,
    Done,
    Linf,
    MinimumNorm,
    ModelObjective,
    Spatial,
    Targets,
    Threat,
    against,
    apgd,
    attack_entries,
    attack_named,
    check_examples,
    dlr,
    msd,
    parse_threat,
    pgd,
    restarts,
    stages,
    toward,
    within,
    worst_of,
)
from brittle.attacks.combine import in_turn
from brittle.ground import BrittleError

IN_TURN = ("apgd_targeted", "mm", "fab_targeted", "pma", "square_apgd")  # runs one after another
THREATS = (Linf(0.1), L2(0.5), L1(1.5), L0(3), Spatial(20, 1))
SHORT = {"steps": 12, "queries": 40, "draws": 3, "targets": 3, "iterations": 2}  # settings that make attacks quick
CASES = [(name, threat) for name, entry in attack_entries().items() for threat in THREATS if entry.supports(threat)]
every = pytest.mark.parametrize(("name", "threat"), CASES, ids=lambda value: str(value))
Model = Callable[[Tensor], Tensor]


def short(name: str) -> AttackSpec:
    settings = attack_named(name).settings
    steps = {"steps": 40} if name in ("ddn", "pdpgd") else {}  # their lengths begin far from these tiny images
    return AttackSpec.of(name, **{key: value for key, value in (SHORT | steps).items() if key in settings})


def build(name: str, model: Model, threat: Threat, seed: int = 0) -> Attack:
    return short(name).build(model, threat, seed)


def law(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The attacks that claim this law."""
    cases = [(one, threat) for one, threat in CASES if name in attack_named(one).laws]
    return pytest.mark.parametrize(("name", "threat"), cases, ids=lambda value: str(value))


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


def test_every_kind_of_threat_has_attacks_and_every_attack_a_threat() -> None:
    entries = attack_entries()
    assert len(entries) >= 20
    for text in EXAMPLES:
        able = [name for name, entry in entries.items() if entry.supports(parse_threat(text))]
        assert len(able) >= 2, text
    assert {name for name, _ in CASES} == set(entries)


@every
def test_result_is_allowed_and_says_truly_what_succeeds(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    result = build(name, model, threat).run(x, y)
    assert result.x.shape == x.shape
    assert result.x.dtype == x.dtype
    assert threat.contains(x, result.x).all()
    assert torch.equal(result.success, model(result.x).argmax(1) != y)
    assert result.success.any(), "the examples are easy: an attack that breaks none does nothing"


@every
def test_an_image_that_is_done_leaves_the_search_and_no_other_notices(name: str, threat: Threat) -> None:
    model, shown = net(), 0
    x, y = examples(model)

    def counted(x: Tensor) -> Tensor:
        nonlocal shown
        shown += len(x)
        return model(x)

    def run(done: Done | None, count: int = len(x)) -> tuple[AttackResult, int]:
        nonlocal shown
        shown = 0
        spec = short(name)
        objective = replace(spec.objective(counted), done=done)
        return within(spec.search_on(objective, threat), threat).run(x[:count], y[:count]), shown

    def refused(x0: Tensor, x: Tensor, y: object) -> Tensor:
        return torch.zeros(len(x), dtype=torch.bool)

    whole, most = run(None)
    never, same = run(refused)
    assert torch.equal(never.x, whole.x)
    if name in IN_TURN:  # what is not done goes on to the next turn
        assert same == len(x) * run(refused, 1)[1]
        assert same > most
    else:
        assert same == most
    early, fewer = run(lambda x0, x, y: threat.contains(x0, x))
    assert torch.equal(early.success, whole.success)
    assert torch.equal(early.x[~early.success], whole.x[~whole.success])
    assert threat.contains(x, early.x).all()
    assert fewer < most or name in ("fgsm", "grid", "random", "fab_targeted")  # one look; they stop by themselves


@every
def test_the_image_with_which_one_is_done_is_the_one_handed_out(name: str, threat: Threat) -> None:
    """Whatever succeeded before it: here only every other success will do."""
    model = net()
    x, y = examples(model)
    wanted: list[Tensor] = []

    def will_do(x0: Tensor, x: Tensor) -> Tensor:
        return threat.contains(x0, x) & ((x.flatten(1).sum(1) * 1e6).long() % 2 == 0)

    def done(x0: Tensor, x: Tensor, y: Tensor) -> Tensor:
        assert threat.contains(x0, x).all(), "only of what is handed out"
        flags = will_do(x0, x)
        wanted.extend(x0[flags])
        return flags

    spec = short(name)
    search = spec.search_on(replace(spec.objective(model), done=done), threat)
    if isinstance(search, MinimumNorm) or name == "fab_targeted":  # they hand out the smallest change instead
        return
    found = search.run(x, y)
    rows = [row for row, clean in enumerate(x) if any(torch.equal(one, clean) for one in wanted)]
    assert found.success[rows].all()
    assert not rows or will_do(x[rows], found.x[rows]).all()


@every
def test_same_seed_gives_same_bytes_and_no_global_state_moves(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    before, numbers = x.clone(), torch.random.get_rng_state()
    first = build(name, model, threat, 7)(x, y)
    assert torch.equal(first, build(name, model, threat, 7)(x, y))
    assert torch.equal(x, before)
    assert torch.equal(torch.random.get_rng_state(), numbers)


@law("alone as in a batch")
def test_an_image_alone_is_attacked_as_in_a_batch(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    together = build(name, model, threat)(x, y)
    for i in (0, 5, 11):
        assert torch.allclose(build(name, model, threat)(x[i : i + 1], y[i : i + 1]), together[i : i + 1], atol=1e-9)


@law("eps 0 is clean")
def test_eps_zero_gives_the_clean_images(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    y = torch.where(torch.arange(len(y)) < 3, (y + 1) % 5, y)  # three clean errors
    result = build(name, model, threat.scaled(0)).run(x, y)
    assert torch.allclose(result.x, x, atol=1e-12)
    assert torch.equal(result.success, torch.arange(len(y)) < 3)


@law("larger eps never helps")
def test_a_larger_threat_never_helps_the_model(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model, 40)
    small, large = (build(name, model, threat.scaled(factor)).run(x, y).success.sum() for factor in (0.4, 2))
    assert small <= large


@every
def test_the_model_is_left_as_it_was(name: str, threat: Threat) -> None:
    model = net().train()
    model[0][1].eval()  # a mixture of modes
    x, y = examples(net())
    modes = [module.training for module in model.modules()]
    held = {key: value.clone() for key, value in model.state_dict().items()}
    model[1].weight.requires_grad_(False)
    build(name, model, threat)(x, y)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, held[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model[1].weight.requires_grad
    assert model[0][0].weight.requires_grad


@law("two classes")
def test_two_classes_three_channels_and_non_square_images_work(name: str, threat: Threat) -> None:
    model = net(classes=2, channels=3, height=3, width=7)
    x, y = examples(model, channels=3, height=3, width=7)
    result = build(name, model, threat.scaled(4)).run(x, y)
    assert result.success.any()
    assert result.x.isfinite().all()


@law("NaN is an error")
def test_a_model_that_answers_nan_is_an_error(name: str, threat: Threat) -> None:
    model = net()
    x, y = examples(model)
    with pytest.raises(BrittleError, match="NaN"):
        build(name, lambda x: model(x) * float("nan"), threat)(x, y)


@every
def test_the_cost_is_what_the_model_was_asked(name: str, threat: Threat) -> None:
    """Of one image that withstands everything, so that nothing ends early."""
    seen = {"forwards": 0, "backwards": 0}
    model = net()

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            seen["backwards"] += len(grad)
            return grad

    def counting(x: Tensor) -> Tensor:
        seen["forwards"] += len(x)
        logits = model(Counted.apply(x) if name != "hessian" else x)
        return logits + torch.where(torch.arange(5) == 2, 1e4, 0.0)

    x, _ = examples(model, 1)
    spec = short(name)
    assert not spec.build(counting, threat).run(x, torch.tensor([2]), warn=False).success.any()
    cost = spec.cost if name != "grid" else spec.cost._replace(forwards=threat.count(x))
    assert seen["forwards"] == pytest.approx(cost.forwards if name != "hessian" else spec.settings["steps"] + 1, abs=2)
    if name != "hessian":  # its products with the Hessian go through the graph once more, which no counter sees
        assert seen["backwards"] == cost.backwards


@pytest.mark.parametrize("threat", THREATS[:3], ids=str)
def test_more_steps_of_the_same_length_never_weaken(threat: Ball) -> None:
    model = net()
    x, y = examples(model, 40)
    counts = [
        int(pgd(against(model), threat, steps=steps, step=threat.radius / 10).run(x, y).success.sum())
        for steps in (1, 3, 10, 30)
    ]
    assert counts == sorted(counts)


@pytest.mark.parametrize("threat", THREATS[:3], ids=str)
def test_restarts_keep_the_worst_of_each_example(threat: Ball) -> None:
    model = net()
    x, y = examples(model, 60)
    single = [pgd(against(model), threat.scaled(0.4), steps=3, seed=seed).run(x, y).success for seed in range(6)]
    together = restarts(pgd(against(model), threat.scaled(0.4), steps=3), 6).run(x, y).success
    assert torch.equal(together, torch.stack(single).any(0))
    if not threat.sparse_steps:
        assert together.sum() > min(flags.sum() for flags in single)


def test_the_worst_of_attacks_is_no_weaker_than_each_and_stages_see_survivors_alone() -> None:
    model = net()
    x, y = examples(model, 60)
    attacks = [pgd(against(model), Linf(0.04), steps=2, seed=1), apgd(against(model, dlr), Linf(0.04), steps=5)]
    each = [attack.run(x, y) for attack in attacks]
    worst, staged = worst_of(*attacks).run(x, y), stages(*attacks).run(x, y)
    either = each[0].success | each[1].success
    assert torch.equal(worst.success, either)
    assert torch.equal(staged.success, either)
    first = each[0].success
    assert torch.equal(staged.x[first], each[0].x[first])
    both_fail = ~either
    margins = torch.maximum(each[0].margin, each[1].margin)
    assert torch.allclose(worst.margin[both_fail], margins[both_fail])
    seen: list[int] = []

    def counting(x: Tensor) -> Tensor:
        seen.append(len(x))
        return model(x)

    stages(pgd(against(counting), Linf(0.04), steps=2), pgd(against(counting), Linf(0.04), steps=2, seed=1)).run(x, y)
    assert seen[0] == 60
    assert seen[-1] == int((~pgd(against(model), Linf(0.04), steps=2).run(x, y).success).sum())


@pytest.mark.parametrize(
    "text",
    [
        "apgd_targeted:steps=5,targets=4",
        "mm:steps=5",
        "pma:steps=6",
        "square_apgd:queries=20",
    ],
)
def test_a_success_that_is_not_done_is_searched_further_and_one_that_is_done_is_handed_out(text: str) -> None:
    model, threat, spec = net(), Linf(0.06), AttackSpec.parse(text)
    x, y = examples(model, 60)
    done: list[Tensor] = []

    def third(x0: Tensor, x: Tensor, y: object) -> Tensor:
        found = (x.flatten(1).sum(1) * 1e4).long() % 3 == 0  # as good as at random
        done.extend(x[found])
        return found

    def refused(x0: Tensor, x: Tensor, y: object) -> Tensor:
        return torch.zeros(len(x), dtype=torch.bool)

    def run(judge: Done) -> AttackResult:
        return spec.search_on(replace(spec.objective(model), done=judge), threat, 0).run(x, y)

    found = run(third)
    rows = {int((x - one).flatten(1).abs().amax(1).argmin()) for one in done}
    assert rows
    assert all(any(torch.equal(found.x[row], one) for one in done) for row in rows)
    assert found.success.sum() > 0
    shown: list[int] = []

    def counting(x: Tensor) -> Tensor:
        shown.append(len(x))
        return model(x)

    last = spec.search_on(replace(spec.objective(counting), done=refused), threat, 0).run(x, y)
    assert last.success.sum() >= found.success.sum()
    assert len(shown) >= spec.cost.forwards - 1
    assert set(shown) == {60}


def test_a_success_gives_way_only_to_one_that_is_done() -> None:
    """In runs one after another: rows 0 to 3; images carry the number of their run, and which of them are done."""
    x, y = torch.zeros(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64)
    asked: list[list[int]] = []

    def found(number: int, successes: dict[int, float]) -> Callable[..., AttackResult]:
        def run(x: Tensor, y: Tensor, rows: Tensor) -> AttackResult:
            asked.append(rows.tolist())
            margin = torch.tensor([successes.get(row, -1.0) for row in rows.tolist()])
            return AttackResult(torch.full_like(x, float(number)), margin > 0, margin)

        return run

    def done(x0: Tensor, x: Tensor, y: object) -> Tensor:
        return x.flatten() >= 3  # of the third run and later

    first = AttackResult(x, torch.zeros(4, dtype=torch.bool), torch.full((4,), -2.0))
    runs = [found(1, {0: 0.1, 1: 0.5}), found(2, {0: 0.9, 2: 0.1}), found(3, {1: 0.2}), found(4, {2: 0.05, 3: 0.1})]
    best = in_turn(first, x, y, runs, done)
    assert best.x.flatten().tolist() == [1, 3, 4, 4]
    assert best.success.all()
    assert asked == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 2, 3]]
    asked.clear()
    assert in_turn(first, x, y, runs).x.flatten().tolist() == [1, 1, 2, 4]
    assert asked == [[0, 1, 2, 3], [2, 3], [3], [3]]


@pytest.mark.parametrize("threat", THREATS[:3], ids=str)
def test_targeted_attacks_reach_their_targets(threat: Ball) -> None:
    model = net()
    x, y = examples(model)
    target = (y + 1) % 5
    result = pgd(toward(model), threat.scaled(8), steps=40).run(x, target)
    assert torch.equal(result.success, model(result.x).argmax(1) == target)
    assert result.success.all()


def test_attacks_on_a_union_of_threats_stay_in_one_of_them() -> None:
    model = net()
    x, y = examples(model)
    result = msd(against(model), THREATS[:3], steps=10).run(x, y)
    inside = torch.stack([threat.contains(x, result.x) for threat in THREATS[:3]])
    assert inside.any(0).all()
    assert result.success.any()


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
        far = logits.amax(1) > logits.amax()
        return torch.where(far, torch.zeros(()), torch.full((), torch.nan)) + 0 * logits[:, 0]

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
    masked = pgd(against(lambda x: model((x * 8).round() / 8)), Linf(0.2), start="clean").run(x, y, warn=False)
    assert rounded.success.sum() > masked.success.sum()


def test_randomised_models_get_the_attack_seed() -> None:
    model = net()
    x, y = examples(model)
    noisy = against(lambda x: model(x + 0.05 * torch.randn_like(x)))
    numbers = torch.random.get_rng_state()
    assert torch.equal(pgd(noisy, Linf(0.1), seed=1)(x, y), pgd(noisy, Linf(0.1), seed=1)(x, y))
    assert torch.equal(torch.random.get_rng_state(), numbers)


def test_a_strangers_objective_that_passes_on_our_session_is_as_strong_as_ours() -> None:
    model = net()
    x, y = examples(model, 40)

    class Delegating:
        def __init__(self, inner: ModelObjective) -> None:
            self.inner = inner

        def __call__(self, x: Tensor, y: Tensor) -> Tensor:
            return self.inner(x, y)

        def session(self):  # type: ignore[no-untyped-def]
            return self.inner.session()

    ours, theirs = against(model), Delegating(against(model))
    assert torch.equal(pgd(theirs, Linf(0.1)).run(x, y).success, pgd(ours, Linf(0.1)).run(x, y).success)
    assert pgd(theirs, Linf(0.1)).run(x, y).success.sum() > 10


X, Y = torch.rand(4, 1, 6, 4), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X * 255, Y, r"\[0, 1\]"),
        (torch.full((4, 1, 6, 4), torch.nan), Y, r"\[0, 1\]"),
        ((X * 255).to(torch.uint8), Y, "1/255"),
        (X, torch.zeros(4), "int64"),
        (X, torch.zeros(3, dtype=torch.int64), "int64"),
        (X, torch.stack([Y, Y], 1), "int64"),
        (X, Targets(Y[:3], Y[:3]), "int64"),
        (X, Y - 1, "negative"),
        (X[:0], Y[:0], "no examples"),
        (X[0, 0, 0], Y, r"\[batch"),
        ("images", Y, "not str"),
    ],
)
def test_unfit_examples_are_refused(x: object, y: object, said: str) -> None:
    with pytest.raises(BrittleError, match=said):
        check_examples(x, y)


def test_a_step_larger_than_eps_warns() -> None:
    with pytest.warns(UserWarning, match="larger than"):
        pgd(against(net()), Linf(0.1), step=0.2)


def test_what_the_registry_does_not_know_is_one_line() -> None:
    with pytest.raises(BrittleError, match="no attack is called 'magic'"):
        AttackSpec.of("magic")
    with pytest.raises(BrittleError, match="has no 'queries'; its settings: steps, step, start"):
        AttackSpec.of("pgd", queries=3)
    with pytest.raises(BrittleError, match="brings its own loss"):
        AttackSpec.of("fmn", loss="dlr")
    with pytest.raises(BrittleError, match="no loss is called"):
        AttackSpec.of("pgd", loss="hinge")
    with pytest.raises(BrittleError, match="does not work in Spatial:30,3"):
        AttackSpec.of("pgd").build(net(), Spatial(30, 3))
    with pytest.raises(BrittleError, match="start is one of"):
        AttackSpec.of("pgd", start="there")
    with pytest.raises(BrittleError, match="steps must be at least 1"):
        AttackSpec.of("pgd", steps=0).build(net(), Linf(0.1))


def test_every_entry_says_what_it_is() -> None:
    for name, entry in attack_entries().items():
        assert isinstance(entry, AttackEntry)
        assert entry.name == name
        assert entry.what
        assert entry.source
        assert entry.cost_of({}).work > 0
        assert entry.build.__doc__
        assert all(word in entry.build.__doc__ for word in ("Cost:", "Source:")), name


def test_fast_precision_is_close_to_float32() -> None:
    model = net(dtype=torch.float32)
    x, y = examples(net())
    objective = against(model, precision="fast")
    result = pgd(objective, Linf(0.1)).run(x.float(), y)
    slow = pgd(against(model), Linf(0.1)).run(x.float(), y)
    assert abs(int(result.success.sum()) - int(slow.success.sum())) <= 2
