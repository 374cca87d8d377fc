"""Goals: the table of laws over all of them, inner attacks, plugins, and what is refused."""

import copy
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn

from brittle.attacks import (
    L0,
    L2,
    Linf,
    Spatial,
    against,
    attack_entries,
    cross_entropy,
    hessian,
    last_of,
    mim,
    pgd,
    within,
)
from brittle.ground import BrittleError
from brittle.learning import (
    Adversarial,
    DataSet,
    Eat,
    Ensemble,
    InnerAttack,
    Maximum,
    Msd,
    Recipe,
    Standard,
    Trades,
    attack_batch,
    broken_goals,
    build_net,
    goal_entries,
    goal_entry,
    goal_name,
    goal_named,
    inner_attack_of,
    train,
)
from brittle.learning.goals import registry
from conftest import Run, trained_net
from goal_laws import AT, ONE, TWO, examples, inside, laws_of, learner, losses

TABLE = [(name, law) for name, entry in goal_entries().items() for law in laws_of(entry)]


@pytest.mark.parametrize(("name", "law"), TABLE, ids=lambda value: getattr(value, "__name__", value))
def test_goals_keep_their_laws(name: str, law) -> None:  # type: ignore[no-untyped-def]
    law(goal_entry(name))


def test_the_goals_are_those_of_the_field() -> None:
    assert set(goal_entries()) == {"standard", "adversarial", "trades", "ensemble", "atda", "avg", "max", "msd", "eat"}
    assert all(name == entry.name for name, entry in goal_entries().items())
    assert broken_goals() == {}
    claimed = {name: set(entry.laws) for name, entry in goal_entries().items()}
    assert {name for name, laws in claimed.items() if "mix" in laws} == {"adversarial", "trades", "ensemble", "atda"}
    assert {name for name, laws in claimed.items() if "adversarial in one threat" in laws} >= {
        "avg",
        "max",
        "msd",
        "eat",
    }
    assert {name for name, laws in claimed.items() if "standard at eps 0" not in laws} == {"standard", "atda"}


def test_a_goal_costs_its_inner_gradients_and_what_it_learns_from() -> None:
    inner, slow = InnerAttack(steps=5), InnerAttack("second_order", steps=5)
    assert Standard().cost == pytest.approx(1.6)
    assert Adversarial((ONE,), inner).cost == pytest.approx(5 + 1.6)
    assert Adversarial((ONE,), slow).cost == pytest.approx(5 * 20 + 1.6)
    assert Adversarial((ONE,), InnerAttack("fgsm", steps=5)).cost == pytest.approx(1 + 1.6)
    assert Trades((ONE,), inner).cost == pytest.approx(5 + 0.4 + 2 * 1.6)
    assert goal_named("avg", (ONE, TWO), inner).cost == pytest.approx(2 * (5 + 1.6))
    assert Maximum((ONE, TWO), inner).cost == pytest.approx(2 * (5 + 0.4) + 1.6)
    assert Msd((ONE, TWO), inner).cost == pytest.approx(5 * (1 + 2 * 0.4) + 1.6)
    assert Msd((ONE,), inner).cost == pytest.approx(5 + 1.6)
    assert Adversarial((ONE, TWO), InnerAttack("pgd,L2=second_order", steps=5)).cost == pytest.approx(5 * 20 + 1.6)


# Inner attacks


WALKING = [
    name
    for name, entry in attack_entries().items()
    if entry.supports(ONE) and within(entry.build(against(nn.Identity()), ONE), ONE).path is not None
]


@pytest.mark.parametrize("name", WALKING)
@pytest.mark.parametrize("threat", [ONE, TWO], ids=str)
def test_every_attack_that_walks_can_be_inside_training(name: str, threat) -> None:  # type: ignore[no-untyped-def]
    net, (x, y) = copy.deepcopy(trained_net()).train(), examples()
    moved = attack_batch(Adversarial((threat,), InnerAttack(name, steps=3), ramp=0), net, x, y, AT)
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert inside(threat, moved, x).all()
    before, after = (float(cross_entropy(net.eval()(points), y).mean().detach()) for points in (x, moved))
    assert after > before + 0.1


def test_the_inner_attack_is_the_attack_of_that_name_with_these_settings() -> None:
    who, (x, y) = learner(), examples()
    plain = mim(against(who.net, precision="fast"), TWO, steps=4, step=0.3 * TWO.radius, start="noise").path
    assert plain is not None
    inner = InnerAttack("mim", steps=4, step=0.3, start="noise")
    assert torch.equal(inner.last_point(who.net, TWO, x, y, seed=7), last_of(plain(x, y, 7)))
    usual = pgd(against(who.net, precision="fast"), TWO, steps=4).path
    assert usual is not None
    assert torch.equal(InnerAttack(steps=4).last_point(who.net, TWO, x, y, seed=7), last_of(usual(x, y, 7)))


def test_a_kind_of_threat_may_have_its_own_inner_attack() -> None:
    who, (x, y) = learner(), examples()
    for text in ("pgd, L2=mim", "pgd,l2=mim"):
        both = Adversarial((ONE, TWO), InnerAttack(text, steps=4)).inner
        for threat, name in ((ONE, "pgd"), (TWO, "mim")):
            own = InnerAttack(name, steps=4).last_point(who.net, threat, x, y, seed=7)
            assert torch.equal(both.last_point(who.net, threat, x, y, seed=7), own)


def test_a_setting_is_for_those_inner_attacks_that_have_it() -> None:
    assert inner_attack_of("avg", "pgd,L2=fgsm", steps=3) == InnerAttack("pgd,L2=fgsm", steps=3)
    assert InnerAttack("apgd,L2=pgd", step=0.1).step == 0.1


def test_an_attack_that_does_not_walk_gives_what_it_found_also_where_gradients_lead_nowhere() -> None:
    net, (x, y) = trained_net(), examples()
    moved = attack_batch(Adversarial((Spatial(20, 1),), InnerAttack("random", steps=5), ramp=0), net, x, y, AT)
    assert Spatial(20, 1).contains(x, moved).all()
    before, after = (float((net(points).argmax(1) == y).float().mean()) for points in (x, moved))
    assert after < before - 0.1


def test_an_attack_that_does_not_work_in_a_threat_is_refused() -> None:
    with pytest.raises(BrittleError, match="'pgd' does not work in Spatial:20,1"):
        Adversarial((Spatial(20, 1),))
    with pytest.raises(BrittleError, match="'fmn' does not work in L0:3"):
        Adversarial((L0(3),), InnerAttack("fmn"))


def test_exact_curvature_is_taken_in_float32_inside_training_too() -> None:
    net, (x, y) = trained_net(), examples()
    path = hessian(against(net), TWO, steps=2, step=0.3 * TWO.radius, start="clean").path
    assert path is not None
    inner = InnerAttack("hessian", steps=2, step=0.3, start="clean")
    assert torch.equal(inner.last_point(net, TWO, x, y, seed=7), last_of(path(x, y, 7)))


def test_what_is_changed_of_an_inner_attack_keeps_the_goals_own_rest() -> None:
    assert inner_attack_of("trades") is None
    assert inner_attack_of("trades", steps=10) == InnerAttack(steps=10, start="noise")
    assert inner_attack_of("ensemble", "pgd", step=0.5) == InnerAttack("pgd", step=0.5, start="clean")
    assert inner_attack_of("eat", start="clean") == InnerAttack(start="clean")


def test_msd_with_one_norm_is_pgd_bit_for_bit() -> None:
    who = learner()
    inner = InnerAttack(steps=5)
    assert torch.equal(losses(Msd((TWO,), inner), who), losses(Adversarial((TWO,), inner), who))


def test_the_ensemble_changes_no_source() -> None:
    other, (x, _) = learner("mlp").net, examples()
    who = learner("small", other)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    for seed in range(6):
        losses(Ensemble((ONE,)), who, at=AT._replace(seed=seed)).mean().backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    assert all(parameter.grad is None for parameter in other.parameters())
    assert not torch.equal(other(x), who.net(x))


# What is refused


REFUSED: dict[str, Callable[[], object]] = {
    "at least one threat": lambda: goal_named("trades", ()),
    "no goal is called": lambda: goal_named("magic", (ONE,)),
    "has no weight": lambda: goal_named("avg", (ONE,), weight=2),
    "withstands nothing": lambda: goal_named("standard", (ONE,)),
    "'standard' has no ramp": lambda: goal_named("standard", ramp=0.5),
    "attacks nothing": lambda: inner_attack_of("standard", steps=3),
    "ramp is a share": lambda: goal_named("eat", (ONE,), ramp=2),
    "its inner attack is pgd": lambda: Msd((ONE,), InnerAttack("fgsm")),
    "between 0 and 1, not 2": lambda: Ensemble((ONE,), clean=2),
    "decay of E-AT": lambda: Eat((ONE,), decay=1.5),
    "no attack is called 'x'": lambda: InnerAttack("x"),
    "at least 1": lambda: InnerAttack(steps=0),
    "above 0": lambda: InnerAttack(step=0),
    "'apgd' has no step": lambda: InnerAttack("apgd", step=0.1),
    "'fgsm' has no steps, step": lambda: inner_attack_of("ensemble", steps=3, step=0.1),
    "start is one of": lambda: inner_attack_of("avg", start="sideways"),
    "written as pgd or pgd,L2=mim": lambda: InnerAttack("L2=mim"),
    "not 'pgd,L2=mim,L2=pgd'": lambda: InnerAttack("pgd,L2=mim,L2=pgd"),
    "no attack is called 'y'": lambda: InnerAttack("pgd,L2=y"),
    "is for L1, but no threat": lambda: Adversarial((ONE,), InnerAttack("pgd,L1=mim")),
    "not 'pgd,L2=mim,l2=pgd'": lambda: InnerAttack("pgd,L2=mim,l2=pgd"),
    "the inner attack 'apgd,L2=fgsm' has no step": lambda: inner_attack_of("avg", "apgd,L2=fgsm", step=0.1),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_fit_is_one_line(said: str) -> None:
    with pytest.raises(BrittleError, match=said) as refusal:
        REFUSED[said]()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--goal ensemble --threat L2:1 --steps 3", "'fgsm' has no steps"),
        ("--goal avg --threat L2:1 --inner apgd --step 0.1", "'apgd' has no step"),
        ("--goal avg --threat L2:1 --start sideways", "start is one of clean, random, noise"),
        ("--goal avg --threat L2:1 --ramp 2", "ramp is a share"),
        ("--steps 3", "'standard' attacks nothing: it has no steps"),
        ("--ramp 0.5", "'standard' has no ramp"),
        ("--averaging 1", "averaging < 1"),
    ],
)
def test_what_does_not_fit_is_one_line_of_the_command(run: Run, words: str, said: str) -> None:
    status, out, err = run("train", "--data", "digits", *words.split())
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_any_attack_of_the_table_trains_from_the_command(run: Run) -> None:
    words = (
        "--net mlp --epochs 0.2 --goal eat --threat L2:0.5 --inner apgd --steps 2 --averaging 0.5 --json --device cpu"
    )
    status, out, err = run("train", "--data", "digits", *words.split())
    assert status == 0, err
    assert json.loads(out)["history"]


def test_a_static_net_must_fit_the_data() -> None:
    from brittle.learning import load

    few = DataSet("digits", load("digits").train.take(32), load("digits").validation.take(8), load("digits").test)
    for other, said in (
        (build_net("mlp", (1, 8, 8), 7), "has 7 classes"),
        (build_net("mlp", (1, 9, 9), 10), "fails on images"),
    ):
        with pytest.raises(BrittleError, match=said):
            list(train(learner().net, few, Ensemble((ONE,)), Recipe(1), static=(other,), device="cpu"))


# Plugins

GUIDE = (Path(__file__).parents[1] / "docs" / "adding-a-goal.md").read_text()
PAIRING = GUIDE.partition("```python\n")[2].partition("```")[0]  # what the guide shows is what is tried


def forget_plugins() -> None:
    import_module("brittle.ground.plugins").plugins.cache_clear()
    registry._found.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """`install(name, code, target)` is a package that adds a goal, as pip would leave it."""
    home = tmp_path / "site"
    home.mkdir()
    monkeypatch.syspath_prepend(str(home))

    def package(name: str, code: str, target: str = "GOAL") -> None:
        (home / f"{name}_goal.py").write_text(code)
        about = home / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[brittle.goals]\n{name} = {name}_goal:{target}\n")
        monkeypatch.delitem(__import__("sys").modules, f"{name}_goal", raising=False)
        forget_plugins()

    yield package
    forget_plugins()


def test_a_strangers_goal_is_thirty_lines_and_is_then_everywhere(install, run: Run) -> None:  # type: ignore[no-untyped-def]
    assert len(PAIRING.splitlines()) <= 30
    install("pairing", PAIRING)
    assert "logit pairing (Kannan 2018); 10.2 gradients" in run("goals")[1]
    listed = json.loads(run("goals", "--json")[1])
    assert listed["pairing"]["weight"] == "pull"
    assert listed["trades"]["cost"] == pytest.approx(7 + 0.4 + 3.2)
    words = ["train", "--data", "digits", "--net", "mlp", "--epochs", "1", "--device", "cpu", "--json"]
    attacked = ["--goal", "pairing", "--threat", "Linf:0.1", "--steps", "2", "--weight", "0.3"]
    status, out, err = run(*words, *attacked)
    assert status == 0, err
    assert json.loads(out)["history"][0]["robust"] is not None
    entry = goal_entry("pairing")
    assert goal_named("pairing", (ONE,), weight=0.3).pull == 0.3  # type: ignore[attr-defined]
    assert goal_name(goal_named("pairing", (ONE,))) == "pairing"
    laws = laws_of(entry)
    assert len(laws) == 10
    for law in laws:
        law(entry)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("GOAL = 3", "no GoalEntry"),
        (PAIRING.replace('"pairing"', '"trades"'), "a goal is called 'trades' already"),
        (PAIRING.replace('weight="pull"', 'weight="push"'), "has no field 'push'"),
        (PAIRING.replace("    def losses", "    def lozzes"), "no dataclass with"),
        ("other = 3", "has no attribute 'GOAL'"),
    ],
)
def test_a_broken_plugin_is_one_line_that_names_it_and_stops_no_other_goal(
    install, run: Run, code: str, why: str
) -> None:  # type: ignore[no-untyped-def]
    install("odd", code)
    status, out, err = run("goals")
    assert status == 0
    assert "trades" in out
    assert err.count("\n") == 1
    assert "'odd' of the package odd (brittle.goals) is broken" in err
    assert why in err
    status, out, err = run("train", "--data", "digits", "--goal", "odd", "--threat", "L2:1")
    assert status == 2
    assert err.startswith("error: 'odd' of the package odd")
    assert err.count("\n") == 1
    assert goal_named("trades", (ONE,)) == Trades((ONE,))


def test_plugins_are_looked_for_once_and_only_when_goals_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    looked = import_module("brittle.ground.plugins")
    monkeypatch.setattr(looked, "entry_points", lambda group: asked.append(group) or ())
    forget_plugins()
    Adversarial((Linf(0.1), L2(1)))
    assert asked == []
    for _ in range(3):
        goal_entries()
        goal_named("standard")
    assert asked == ["brittle.goals"]
    forget_plugins()
