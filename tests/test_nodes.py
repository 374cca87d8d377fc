"""Nodes find the results of what they need by node; a graph is computed in an order that fits, each node once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from brittle.attacks import L2, AttackSpec, Linf, classes_of
from brittle.ground import BrittleError
from brittle.learning import Ensemble, Recipe, Standard, load_net, load_tensors
from brittle.science import Targeted, leak, units
from brittle.studies import (
    Answer,
    DataSource,
    File,
    Leak,
    Make,
    Node,
    PlanRow,
    RunAttack,
    Store,
    Train,
    Transfer,
    Walk,
    all_nodes,
    examples_from,
    hash_of,
    recompute,
    run_graph,
    run_node,
)
from brittle.studies.nodes import NodeProgress

COMPUTED: list[str] = []


@dataclass(frozen=True)
class Note:
    """Writes its text and what its parts have written, the last part first."""

    text: str
    parts: tuple["Note", ...] = ()
    gradients: float = 1.0

    @property
    def needs(self) -> tuple[Node, ...]:
        return self.parts

    @property
    def title(self) -> str:
        return self.text

    @property
    def results(self) -> tuple[str, ...]:
        return ("note.txt",)

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Iterator[NodeProgress]:
        COMPUTED.append(self.text)
        yield NodeProgress(1, 2, "writing")
        said = [(results[part] / "note.txt").read_text() for part in reversed(self.parts)]
        (folder / "note.txt").write_text(f"{self.text}({' '.join(said)})")
        return True  # type: ignore[return-value] # the type of a generator says so


@dataclass(frozen=True)
class Ring(Note):
    """A node that needs one that needs it."""

    other: str = ""

    @property
    def needs(self) -> tuple[Node, ...]:
        return (Ring(self.other, other=self.text),) if self.other else ()


A, B = Note("a"), Note("b")
C, D = Note("c", (A, B)), Note("d", (B, A))
TOP = Note("top", (C, A, D))


def last(node: Node, store: Store) -> Path:
    *_, event = run_node(node, store, device="cpu")
    assert event.folder is not None
    return event.folder


def test_a_node_finds_results_by_node_and_each_is_computed_once(tmp_path: Path) -> None:
    COMPUTED.clear()
    folder = last(TOP, Store(tmp_path))
    assert (folder / "note.txt").read_text() == "top(d(a() b()) a() c(b() a()))"
    assert sorted(COMPUTED) == ["a", "b", "c", "d", "top"]
    COMPUTED.clear()
    events = list(run_node(TOP, Store(tmp_path), device="cpu"))
    assert not COMPUTED
    assert {event.title for event in events} == {"a", "b", "c", "d", "top"}
    assert all(event.stored for event in events)


def test_what_is_needed_stands_before_what_needs_it_and_each_once() -> None:
    ordered = all_nodes([TOP, D, Note("a")])
    assert sorted(node.title for node in ordered) == ["a", "b", "c", "d", "top"]
    places = {node: place for place, node in enumerate(ordered)}
    assert all(places[need] < places[node] for node in ordered for need in node.needs)
    assert all_nodes([]) == []


def test_nodes_that_need_one_another_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match=r"need one another cannot be computed: (x <- y <- x|y <- x <- y)"):
        all_nodes([A, Ring("x", other="y")])
    with pytest.raises(BrittleError, match="need one another"):
        list(run_node(Ring("x", other="y"), Store(tmp_path)))


def rows(*nodes: Node, store: Store) -> list[PlanRow]:
    ordered = all_nodes(nodes)
    return [PlanRow(one, hash_of(one), store.read(hash_of(one))[0] is not None, 1.0, 10.0) for one in ordered]


def test_progress_of_a_graph_counts_planned_seconds_and_nodes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    last(C, store)
    moves = list(run_graph(rows(TOP, store=store), store, device="cpu"))
    seen = [(move.seconds, move.nodes, move.text) for move in moves if "writing" in move.text or move.text == "done"]
    assert seen == [(5.0, 3, "d: writing"), (15.0, 4, "top: writing"), (20.0, 5, "done")]
    assert {(move.of_seconds, move.of_nodes) for move in moves} == {(20.0, 5)}
    damaged = replace(rows(TOP, store=store)[0], warning="it was damaged")
    (note, _) = run_graph([damaged], store)
    assert (note.text, note.warning) == ("a", "it was damaged")


def test_side_by_side_gives_the_same_and_what_fails_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    moves = list(run_graph(rows(TOP, store=store), store, device="cpu", jobs=2))
    assert (moves[-1].seconds, moves[-1].nodes, moves[-1].text) == (50.0, 5, "done")
    assert [move.nodes for move in moves] == sorted(move.nodes for move in moves)
    assert (moves[-2].seconds, moves[-2].nodes, moves[-2].text) == (50.0, 5, "")
    found, _ = store.read(hash_of(TOP))
    assert found is not None
    assert (found / "note.txt").read_text() == "top(d(a() b()) a() c(b() a()))"
    broken = Broken("broken")
    with pytest.raises(BrittleError, match="broken: it cannot be done"):
        list(run_graph(rows(Note("e", (broken,)), store=store), store, device="cpu", jobs=2))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_graph_stops_when_its_time_is_up_and_goes_on_later(jobs: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    moves = list(run_graph(rows(TOP, store=store), store, device="cpu", jobs=jobs, limit=0.0))
    assert moves[-1].nodes < moves[-1].of_nodes == 5
    assert list(run_graph(rows(TOP, store=store), store, device="cpu", limit=600.0))[-1].nodes == 5


@dataclass(frozen=True)
class Broken(Note):
    """A node that fails."""

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Iterator[NodeProgress]:
        raise BrittleError("it cannot be done")


def test_a_node_is_computed_again_beside_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "beside").mkdir()
    with pytest.raises(BrittleError, match="top needs c, which is not stored"):
        list(recompute(TOP, store, tmp_path / "beside"))
    kept = last(TOP, store) / "note.txt"
    kept.write_text("changed")
    *_, event = recompute(TOP, store, tmp_path / "beside")
    assert event.folder == tmp_path / "beside"
    assert (tmp_path / "beside" / "note.txt").read_text() == "top(d(a() b()) a() c(b() a()))"
    assert kept.read_text() == "changed"


# The nodes of studies: which model, and which data, when there are several


def net(seed: int) -> Train:
    return Train(DataSource.of("digits"), "mlp" if seed else "linear", Standard(), Recipe(1, 64), seed)


def made(by: Train | File, *others: Train) -> Make:
    construction = Targeted("random", Linf(0.3), 5, 0.1)
    return Make("D_rand", by, DataSource.of("digits"), construction, Linf(0.1), n=100, others=others)


def record(folder: Path, name: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads((folder / name).read_text())
    return found


def share_right(node: Train, data: Make, store: Store) -> int:
    """How many labels of a made set a net answers, by hand."""
    model, _ = load_net(last(node, store) / "model.safetensors")
    tensors, _ = load_tensors(last(data, store) / "set.safetensors")
    return int((classes_of(model, tensors["images"].float() / 255) == tensors["labels"]).sum())


def test_an_answer_is_that_of_its_model_on_its_data(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = net(0), net(1)
    by_file = File.of(str(last(one, store) / "model.safetensors"))
    for model, data in ((one, made(one)), (other, made(one)), (one, made(other))):
        asked = Answer(model, data)
        assert record(last(asked, store), "answers.json")["clean"]["correct"] == share_right(model, data, store)
    # a model from a file needs no node, so that the set stands alone among what is needed
    said = record(last(Answer(by_file, made(other)), store), "answers.json")
    assert said["clean"]["correct"] == share_right(one, made(other), store)
    found = record(last(Leak(other, made(one)), store), "leak.json")
    split = examples_from(made(one), {made(one): last(made(one), store)}, 0)
    model, _ = load_net(last(other, store) / "model.safetensors")
    test = net(0).data.load().test
    assert found["clean"]["correct"] == leak(model, split, test, device=torch.device("cpu")).correct
    through = record(last(Leak(other, made(one), units=True), store), "leak.json")["clean"]
    assert through["correct"] == leak(units(model, test.take(1).x()), split, test).correct != found["clean"]["correct"]


def test_an_attack_on_a_made_set_attacks_its_model_there(tmp_path: Path) -> None:
    store, one, other = Store(tmp_path), net(0), net(1)
    found = record(last(RunAttack(other, made(one), Linf(0), AttackSpec.of("fgsm")), store), "attack.json")
    assert found["clean"]["correct"] == found["robust"]["correct"] == share_right(other, made(one), store)
    some = record(last(RunAttack(other, made(one), Linf(0), AttackSpec.of("fgsm"), n=20), store), "attack.json")
    assert (some["data"]["n"], some["data"]["of"]) == (20, found["data"]["n"])


def test_restarts_are_runs_with_other_seeds_on_what_is_left(tmp_path: Path) -> None:
    store, one = Store(tmp_path), net(1)
    attack = RunAttack(one, DataSource.of("digits"), Linf(0.12), AttackSpec.of("pgd", steps=2), n=100, seed=4)
    once, thrice = (
        load_tensors(last(node, store) / "attack.safetensors")[0]["broken"]
        for node in (attack, replace(attack, restarts=3))
    )
    model, _ = load_net(last(one, store) / "model.safetensors")
    test = one.data.load().test.take(100)
    each = [attack.attack.build(model, attack.threat, 4 + k).run(test.x(), test.labels).success for k in range(3)]
    assert torch.equal(once, each[0])
    assert torch.equal(thrice, torch.stack(each).any(0))
    assert int(thrice.sum()) > int(once.sum())


def test_an_attack_that_ends_early_breaks_the_same_images(tmp_path: Path) -> None:
    store, one = Store(tmp_path), net(1)
    attack = RunAttack(one, DataSource.of("digits"), L2(0.9), AttackSpec.of("pgd", steps=10), n=100)
    whole, early = (
        load_tensors(last(node, store) / "attack.safetensors")[0] for node in (attack, replace(attack, early=True))
    )
    broken, wrong, clean = whole["broken"], whole["wrong"], one.data.load().test.take(100).x()
    assert torch.equal(early["broken"], broken)
    assert 0 < int(wrong.sum()) < int(broken.sum()) < 100
    assert torch.equal(early["x_adv"][~broken], whole["x_adv"][~broken])
    assert torch.equal(early["x_adv"][wrong], clean[wrong])  # not attacked
    moved = broken & ~wrong
    assert (early["x_adv"][moved] != clean[moved]).flatten(1).any(1).all()
    assert not torch.equal(early["x_adv"][moved], whole["x_adv"][moved])  # the first that fool, not the worst


def test_a_walk_tells_both_gradients_of_each_image(tmp_path: Path) -> None:
    one, source = net(1), DataSource.of("digits")
    node = Walk(one, source, L2(1), AttackSpec.of("pgd", steps=3, start="clean"), n=20, draws=4, sigma=0.1)
    store = Store(tmp_path)
    found = json.loads((last(node, store) / "walk.json").read_text())
    model, _ = load_net(last(one, store) / "model.safetensors")
    test = source.load().test.take(20)
    x = test.x().requires_grad_()
    (grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(x), test.labels, reduction="sum"), x)
    assert len(found["plain"]) == len(found["averaged"]) == 3
    assert found["plain"][0]["mean"] == pytest.approx(float(grad.flatten(1).norm(dim=1).mean()), rel=1e-4)
    for kind in ("plain", "averaged"):
        steps = [point["mean"] for point in found[kind]]
        assert sum(found[f"{kind}_of_images"]) / 20 == pytest.approx(sum(steps) / 3)
    quiet = json.loads((last(replace(node, sigma=0.0), store) / "walk.json").read_text())
    assert quiet["averaged_of_images"] == pytest.approx(quiet["plain_of_images"], rel=1e-4)


def test_transfer_goes_from_the_attacked_model_to_the_other(tmp_path: Path) -> None:
    store, one, other = Store(tmp_path), net(0), net(1)
    attack = RunAttack(one, DataSource.of("digits"), Linf(0.2), AttackSpec.of("pgd", steps=5), n=60)
    found = record(last(Transfer(attack, other), store), "transfer.json")["fooled"]
    tensors, _ = load_tensors(last(attack, store) / "attack.safetensors")
    test = one.data.load().test.take(60)
    model, _ = load_net(last(other, store) / "model.safetensors")
    clean, moved = classes_of(model, test.x()), classes_of(model, tensors["x_adv"])
    asked = tensors["broken"] & ~tensors["wrong"] & (clean == test.labels)
    assert 0 < found["n"] == int(asked.sum())
    assert found["correct"] == int((asked & (moved != test.labels)).sum())
    for nodes in ((attack, one, other), (other, one, attack)):  # whatever else there is, in whatever order
        list(Transfer(attack, other).compute(tmp_path, {node: last(node, store) for node in nodes}, "cpu"))
        assert record(tmp_path, "transfer.json")["fooled"] == found
    same = record(last(Transfer(attack, one), store), "transfer.json")["fooled"]
    assert same["correct"] == same["n"]


def test_a_set_is_made_by_its_model_and_a_net_learns_its_data_through_its_static_nets(tmp_path: Path) -> None:
    store, one, other = Store(tmp_path), net(0), net(1)
    by_file = File.of(str(last(one, store) / "model.safetensors"))
    digests = {
        node: load_tensors(last(made(node), store) / "set.safetensors")[1]["model"]["digest"] for node in (one, other)
    }
    assert digests[one] == by_file.digest != digests[other]
    construction = replace(made(one).construction, transfers=False)
    hidden = replace(made(by_file), construction=construction, others=(other,))
    assert load_tensors(last(hidden, store) / "set.safetensors")[1]["model"]["digest"] == by_file.digest
    learned = Train(made(one), "mlp", Ensemble((Linf(0.1),)), Recipe(1, 32), static=(by_file, other))
    results = {node: last(node, store) for node in (other, made(one))}  # in another order than needed
    (tmp_path / "work").mkdir()
    list(learned.compute(tmp_path / "work", results, "cpu"))
    again, _ = load_net(last(learned, store) / "model.safetensors")
    direct, _ = load_net(tmp_path / "work" / "model.safetensors")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in direct.state_dict().items())
    swapped, _ = load_net(last(replace(learned, data=made(other)), store) / "model.safetensors")
    assert not all(torch.equal(value, swapped.state_dict()[name]) for name, value in direct.state_dict().items())
