"""The four guides followed to the letter: one package of another's that adds an attack, a threat, a goal and a data
set."""

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import test_laws
import test_threats
from brittle.attacks import AttackSpec, Ball, NormBall, Threat, attack_entries, attack_named, broken_attacks, named
from brittle.attacks import registry as attacks
from brittle.attacks.threats import parse_threat
from brittle.errors import BrittleError
from brittle.ground import plugins
from brittle.learning import broken_goals, broken_packages, goal_entry, load
from brittle.learning.data import catalogue
from brittle.learning.goals import registry as goals
from brittle.studies import hash_of
from brittle.studies.nodes import common
from conftest import Run
from goal_laws import laws_of

DOCS = Path(__file__).parents[1] / "docs"


def guide(kind: str, language: str = "python") -> str:
    """The first block of this language in a guide: what it shows is what is tried."""
    return (DOCS / f"adding-{kind}.md").read_text().partition(f"```{language}\n")[2].partition("```")[0]


ATTACK, THREAT, GOAL, DATA = (guide(kind) for kind in ("an-attack", "a-threat", "a-goal", "a-data-set"))
MODULES = {"acg_attack": ATTACK, "frame_threat": THREAT, "pairing_goal": GOAL, "bars_data": DATA}
POINTS = [guide(kind, "toml") for kind in ("an-attack", "a-threat", "a-goal", "a-data-set")]
Package = Callable[..., None]


def forget() -> None:
    for cached in (plugins, goals._found, catalogue._discover, common._data):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """`package(module=code, ...)` is installed as pip would leave it, with the entry points of the guides; afterwards
    nothing of it is left."""
    home = tmp_path / "site"
    about = home / "stranger-1.0.dist-info"
    about.mkdir(parents=True)
    monkeypatch.setattr(attacks, "_ENTRIES", dict(attack_entries()))
    monkeypatch.setattr(catalogue, "_known", dict(catalogue._known))

    def install(**modules: str) -> None:
        for name, code in modules.items():
            (home / f"{name}.py").write_text(code)
            sys.modules.pop(name, None)
        points = [point.replace('[project.entry-points."', "[").replace('"]', "]") for point in POINTS]
        (about / "entry_points.txt").write_text("\n".join(points).replace('"', ""))
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(str(home))
        forget()

    yield install
    for name in MODULES:
        sys.modules.pop(name, None)
    forget()


@pytest.fixture
def stranger(package: Package) -> None:
    """The package of the guides."""
    package(**MODULES)


def done(answer: tuple[int, str, str]) -> str:
    """What a command says that goes well."""
    status, out, err = answer
    assert status == 0, err
    return out


def test_what_the_guides_show_is_short() -> None:
    for code, most in ((ATTACK, 40), (THREAT, 80), (GOAL, 30), (DATA, 30)):
        assert 10 < len(code.splitlines()) <= most
    assert DATA.count("DataSpec(") == 1
    assert all(point.count("\n") == 2 for point in POINTS), "one line under one heading"


def test_the_page_of_attacks_is_what_the_registry_gives(run: Run) -> None:
    page = done(run("attacks", "--markdown"))
    assert (DOCS / "attacks.md").read_text() == page, "write it again: make docs"
    assert page.count("\n| `") == len(attack_entries())


def test_all_that_a_package_adds_is_listed(stranger: None, run: Run) -> None:
    listed = run("attacks", "--json")
    assert listed[2] == ""
    acg, pgd = (json.loads(done(listed))[name] for name in ("acg", "pgd"))
    assert acg["threats"] == pgd["threats"] == ["Linf", "L2", "L1", "L0"]
    assert acg["cost"] == {"forwards": 101, "backwards": 100}
    assert (acg["loss"], acg["settings"]) == ("margin", {"steps": 100})
    assert "acg " in done(run("attacks"))
    assert "pairing" in json.loads(done(run("goals", "--json")))
    assert "bars" in [row["name"] for row in json.loads(done(run("data", "--json")))]
    assert (broken_attacks(), broken_goals(), broken_packages()) == ({}, {}, ())
    with pytest.raises(BrittleError, match="Frame"):
        parse_threat("Patch:3")


def test_what_is_not_known_may_be_of_a_package_that_is_not_installed(run: Run, model: str) -> None:
    for words in (
        f"attack {model} --attack acg",
        f"attack {model} --threat Frame:1",
        "train --data digits --net linear --goal acg --threat L2:1",
    ):
        status, _, err = run(*words.split())
        assert (status, err.strip().endswith("; is the package that adds it installed?")) == (2, True), err


def test_the_attack_runs_from_the_command_line(stranger: None, run: Run, model: str) -> None:
    def withstand(attack: str, *more: str) -> dict[str, object]:
        words = ("--attack", attack, "--threat", "Linf:0.1", "-n", "100", "--device", "cpu", "--json", *more)
        return json.loads(done(run("attack", model, *words)))

    found = withstand("acg:steps=20")
    assert found["attack"] == "ACG-20"
    clean, left, pgd = found["clean"], found["robust"], withstand("pgd", "--steps", "20", "--loss", "margin")["robust"]
    assert left["correct"] < clean["correct"] - 20
    assert left["correct"] <= pgd["correct"] + 2


def test_an_audit_takes_the_attack_and_the_union_with_the_threat(stranger: None, run: Run, model: str) -> None:
    words = ("--effort", "smoke", "-n", "20", "--with", "acg", "--threat", "Linf:0.03", "--threat", "Frame:1")
    record = json.loads(done(run("audit", model, *words, "--out", "run", "--device", "cpu", "--json")))
    assert [threat["threat"] for threat in record["threats"]] == ["Linf:0.03", "Frame:1"]
    tried = [{row["name"] for row in threat["attacks"]} for threat in record["threats"]]
    assert {"ACG-100", "APGD-5", "APGD-5 (dlr)"} <= tried[0]
    assert "PGD-5" in tried[1]
    broken = [sum(row["broke"] for row in threat["attacks"]) for threat in record["threats"]]
    assert min(broken) > 0
    robust = [threat["robust"]["correct"] for threat in record["threats"]]
    assert record["union"]["correct"] <= min(robust) < record["clean"]["correct"]
    assert {check["level"] for check in record["checks"] if check["name"] == "successes hold"} == {"fine"}
    assert Path("run/report.html").exists()


def test_the_threat_holds_what_is_attacked_in_it(stranger: None, run: Run, model: str) -> None:
    words = ("--threat", "Frame:1", "-n", "50", "--device", "cpu", "--json", "--out", "run")
    record = json.loads(done(run("attack", model, "--attack", "pgd", "--steps", "10", *words)))
    assert record["threat"] == "Frame:1"
    assert record["robust"]["correct"] < record["clean"]["correct"]
    kept = load_file("run/attack.safetensors")
    x = load("digits").test.take(50).x()
    assert torch.equal(kept["x_adv"][:, :, 1:-1, 1:-1], x[:, :, 1:-1, 1:-1])
    assert (kept["x_adv"] != x).any()
    assert int((~kept["broken"]).sum()) == record["robust"]["correct"]
    status, _, err = run("attack", model, "--attack", "fmn", *words)
    assert (status, err.count("\n")) == (2, 1)
    assert "'fmn' does not work in Frame:1" in err
    status, _, err = run("attack", model, "--threat", "Frame:-1")
    assert (status, err) == (2, "error: a frame is a whole number of pixels wide, such as Frame:2, not '-1'\n")


@pytest.mark.parametrize(
    "words",
    [
        "--data bars --goal pairing --threat Linf:0.1 --weight 0.3 --steps 2",
        "--data bars --goal adversarial --inner acg --steps 2 --threat L2:0.5",
        "--data digits --goal adversarial --steps 2 --threat Frame:1",
    ],
)
def test_training_takes_goal_attack_threat_and_data(stranger: None, run: Run, words: str) -> None:
    usual = ("--net", "mlp", "--epochs", "8", "--lr", "0.01", "--device", "cpu", "--json")
    last = json.loads(done(run("train", *usual, *words.split())))["history"][-1]
    assert last["robust"] is not None
    assert last["clean"] > 0.6


def test_the_attack_can_just_as_well_lie_among_ours(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acg.py").write_text(ATTACK)
    monkeypatch.setattr(named, "__path__", [*named.__path__, str(tmp_path)])
    monkeypatch.setattr(named, "acg", None, raising=False)
    try:
        assert attack_entries()["acg"].build.__module__ == "brittle.attacks.named.acg"
    finally:
        sys.modules.pop("brittle.attacks.named.acg")


# Laws: those of all attacks, threats and goals, called as functions

ATTACK_LAWS = [
    law
    for name, law in vars(test_laws).items()
    if name.startswith("test_") and list(inspect.signature(law).parameters) == ["name", "threat"]
]
THREAT_LAWS = (
    test_threats.test_allowed_images_stay_where_they_are,
    test_threats.test_the_projection_is_nearer_than_any_other_allowed_image,
    test_threats.test_sizes_and_scales_go_together,
    test_threats.test_images_outside_of_the_box_or_not_numbers_are_not_allowed,
)


@pytest.mark.parametrize("law", ATTACK_LAWS, ids=lambda law: law.__name__)
def test_attack_and_threat_keep_every_law(stranger: None, law: Callable[[str, Threat], None]) -> None:
    frame = parse_threat("Frame:1")
    for threat in (*test_laws.THREATS, frame):
        if attack_named("acg").supports(threat):
            law("acg", threat)
    for name in ("pgd", "apgd", "random"):
        law(name, frame)


def test_no_law_is_left_out(stranger: None) -> None:
    assert len(ATTACK_LAWS) == 11
    assert attack_named("acg").laws == attacks.LAWS
    assert [isinstance(parse_threat("Frame:1"), kind) for kind in (Threat, Ball, NormBall)] == [True, True, False]


def test_the_threat_keeps_the_laws_of_threats(stranger: None) -> None:
    for law in THREAT_LAWS:
        law("Frame:2")
    for channels in (1, 3):
        test_threats.test_projections_and_samples_are_allowed("Frame:2", channels)


def test_the_threats_projection_is_the_nearest_point_of_a_convex_set(stranger: None) -> None:
    threat, x = parse_threat("Frame:2"), test_threats.images(dtype=torch.float64)
    moved = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=x.dtype)
    near = threat.project(x, moved)
    for seed in range(20):
        assert (((moved - near) * (threat.sample(x, seed) - near)).flatten(1).sum(1) <= 1e-12).all()


def test_the_goal_keeps_every_law_that_it_claims(stranger: None) -> None:
    for law in laws_of(goal_entry("pairing")):
        law(goal_entry("pairing"))


def test_directions_are_conjugate_and_the_first_is_the_gradient(stranger: None) -> None:
    """Along a bowl with exact steps: <s, H s_before> = 0, and as many steps as dimensions reach the top."""
    curvature, x = torch.tensor([[1.0, 5.0, 2.0], [3.0, 2.0, -1.0]], dtype=torch.float64).split(1)
    attack_named("acg")
    rule = sys.modules["acg_attack"].conjugate()
    memory = rule.init(x)
    directions: list[torch.Tensor] = []
    for _ in range(3):
        grad = -curvature * x
        s, memory = rule.update(grad, None, None, memory)
        if not directions:
            assert torch.equal(s, grad)
        assert all((s * curvature * before).sum().abs() < 1e-9 for before in directions)
        directions.append(s)
        x = x + (grad * s).sum() / (s * curvature * s).sum() * s
    assert x.abs().max() < 1e-9
    again, _ = rule.update(grad, None, None, (grad, s))
    assert torch.equal(again, grad), "where the gradient did not change, beta is 0"


def test_its_first_steps_are_two_radii_along_them_without_momentum(stranger: None) -> None:
    x = 0.4 + 0.2 * test_threats.images(dtype=torch.float64)
    weights = torch.linspace(1, 9, x[0].numel(), dtype=x.dtype).view_as(x[:1])
    threat = parse_threat("L2:0.1")
    assert isinstance(threat, Ball)
    attack = attack_named("acg").build(lambda x, y: -(weights * (x - 0.49).square()).flatten(1).sum(1), threat, steps=9)
    first, second, third, *_ = attack.path(x, torch.zeros(len(x), dtype=torch.int64), 0)
    rule = sys.modules["acg_attack"].conjugate()
    assert torch.equal(first.x, x)
    assert torch.allclose(second.x, threat.project(x, x + 0.2 * threat.steepest(first.grad)))
    along, _ = rule.update(second.grad, None, None, rule.update(first.grad, None, None, rule.init(x))[1])
    assert torch.allclose(third.x, threat.project(x, second.x + 0.2 * threat.steepest(along)))


def test_pixels_of_a_frame_are_those_at_the_edge_and_each_steps_uphill(stranger: None) -> None:
    x = test_threats.images()
    grad = torch.linspace(-1, 1, x.numel()).view_as(x) + 1e-3
    for width, inside in ((0, (slice(0, 6), slice(0, 5))), (1, (slice(1, 5), slice(1, 4))), (2, (slice(2, 4), 2))):
        edge = torch.ones(6, 5, dtype=torch.bool)
        edge[inside] = False
        threat = parse_threat(f"Frame:{width}")
        assert isinstance(threat, Ball)
        assert torch.equal(threat.sample(x, 0) != x, edge.expand_as(x))
        assert torch.equal(threat.steepest(grad), grad.sign() * edge)
        assert torch.equal(threat.direction(x, grad), threat.steepest(grad))


# Broken packages: one line each, and the rest goes on

BROKEN = "import not_there_at_all\n"
WHY = "No module named 'not_there_at_all'"


def test_a_package_that_is_all_broken_stops_nothing(package: Package, run: Run, model: str) -> None:
    package(**dict.fromkeys(MODULES, BROKEN))
    for verb, kept in (("attacks", "pgd"), ("goals", "trades"), ("data", "mnist")):
        status, out, err = run(verb)
        assert status == 0
        assert kept in out
        assert err.count("\n") == 1
        assert "of the package stranger" in err
        assert WHY in err
    attacked = ("attack", model, "-n", "5", "--device", "cpu")
    assert "withstand" in done(run(*attacked, "--steps", "2", "--threat", "Linf:0.1"))
    refused = (
        (*attacked, "--attack", "acg", "--threat", "Linf:0.1"),
        (*attacked, "--threat", "Frame:1"),
        ("train", "--data", "digits", "--goal", "pairing", "--threat", "L2:1"),
        ("train", "--data", "bars"),
    )
    for words in refused:
        status, _, err = run(*words)
        assert (status, err.count("\n")) == (2, 1), words
        assert err.startswith("error: ")
        assert "of the package stranger" in err
        assert WHY in err


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"acg"', '"pgd"', "two attacks are called 'pgd'"),
        ("lambda steps", "lambda stepz", "has no setting or law 'stepz'"),
        ('loss="margin"', 'loss="hinge"', "no loss is called 'hinge'"),
        ('loss="margin"', 'laws=frozenset({"always wins"})', "has no setting or law 'always wins'"),
    ],
)
def test_an_entry_that_does_not_fit_is_a_broken_attack(
    package: Package, run: Run, old: str, new: str, why: str
) -> None:
    package(**MODULES | {"acg_attack": ATTACK.replace(old, new)})
    status, out, err = run("attacks")
    assert (status, err.count("\n")) == (0, 1)
    assert why in err
    assert "pgd " in out
    assert AttackSpec.of("pgd").entry.build.__module__ == "brittle.attacks.named.pgd"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("Frame = type('Frame', (), {'parse': lambda text: 3})", "gives nothing that has all a threat needs"),
        ("Frame = type('Frame', (), {'parse': lambda text: int('two')})", "ValueError: invalid literal"),
        (THREAT.replace("    def sample", "    def zample"), "gives nothing that has all a threat needs"),
    ],
)
def test_a_threat_that_does_not_fit_is_one_line(package: Package, run: Run, model: str, code: str, why: str) -> None:
    package(**MODULES | {"frame_threat": code})
    status, _, err = run("attack", model, "--threat", "Frame:1")
    assert (status, err.count("\n")) == (2, 1)
    assert why in err
    assert "'Frame' of the package stranger (brittle.threats) is broken" in err


def test_results_of_an_edited_attack_or_threat_are_others(package: Package) -> None:
    package(**MODULES)
    spec, threat = AttackSpec.of("acg", steps=5), parse_threat("Frame:1")
    before = hash_of(spec), hash_of(threat), hash_of(AttackSpec.of("pgd"))
    assert (hash_of(spec), hash_of(threat)) == before[:2]
    package(**MODULES | {"acg_attack": ATTACK + "\n", "frame_threat": THREAT + "\n"})
    after = hash_of(AttackSpec.of("acg", steps=5)), hash_of(parse_threat("Frame:1")), hash_of(AttackSpec.of("pgd"))
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]
