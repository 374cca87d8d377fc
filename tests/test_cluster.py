"""One graph on several workers: the figures of one process, whoever dies; what fails stops only what needs it."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import ray
import torch

from brittle.attacks import AttackSpec, Linf
from brittle.audits import command
from brittle.ground import OWN_CODE, BrittleError
from brittle.learning import Adversarial, InnerAttack, Recipe, load_net, load_tensors
from brittle.papers import ilyas2019, li2019
from brittle.studies import (
    Audit,
    DataSource,
    File,
    Node,
    RunAttack,
    Store,
    Train,
    all_nodes,
    graphs_in,
    hash_of,
    plan,
    run_graph,
)
from brittle.studies.executors import InProcess, Said, told
from brittle.studies.nodes import NodeProgress
from brittle.studies.planning import PlanRow
from brittle.studies.processes import devices_for
from brittle.studies.ray_cluster import _compute
from conftest import Run
from test_nodes import A, B, Broken, Note, last, rows

PARTS = {li2019: ["figure-1", "figure-2", "curvature"], ilyas2019: ["made-sets", "d.3", "mislabelled"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray cluster of two workers on this machine, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("workers")))
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the nodes of these tests
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@dataclass(frozen=True)
class Mortal(Note):
    """A node whose process is killed when it is computed for the first time."""

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Iterator[NodeProgress]:
        if not (folder / "begun").exists():
            (folder / "begun").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().compute(folder, results, device)


def digests(nodes: list[Node], store: Store) -> dict[str, str]:
    """For each node the digest of its results, without the time and the place of their run."""
    found = {}
    for node in all_nodes(nodes):
        folder, _ = store.read(hash_of(node), node.results)
        assert folder is not None
        digest = sha256()
        for name in node.results:
            tensors, record = {}, None
            if name.endswith(".safetensors"):
                tensors, record = load_tensors(folder / name)
            else:
                record = json.loads((folder / name).read_text())
            digest.update(json.dumps(placeless(record), sort_keys=True).encode())
            for key in sorted(tensors):
                digest.update(key.encode() + tensors[key].numpy().tobytes())
        found[hash_of(node)] = digest.hexdigest()
    return found


def placeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: placeless(part) for key, part in value.items() if key not in ("run", "seconds")}
    return [placeless(part) for part in value] if isinstance(value, list) else value


def test_two_workers_one_killed_give_both_papers_the_figures_of_one_process(cluster: None, tmp_path: Path) -> None:
    source = DataSource.of("digits")
    slow = Train(source, "small", Adversarial((Linf(0.1),), InnerAttack(steps=4)), Recipe(epochs=4, batch=64))
    audit = Audit(slow, source, (Linf(0.1),), "smoke", n=40)
    nodes = [audit, *(node for paper, parts in PARTS.items() for node in paper("smoke").only(parts).nodes)]
    alone = Store(tmp_path / "alone")
    list(run_graph(plan(nodes, alone, "cpu"), alone, device="cpu"))
    url = f"file://{tmp_path}/shared"
    store, dead = Store(url, tmp_path / "driver"), ""
    for _ in run_graph(plan(nodes, store, "cpu"), store, device="cpu", on="ray"):
        (node,) = (node for node in graphs_in(store)[0].nodes if node.key == hash_of(slow))
        if not dead and node.state == "running" and node.share:
            dead = node.where
            os.kill(int(dead.split()[-1]), signal.SIGKILL)
    (graph,) = graphs_in(store)
    (node,) = (node for node in graph.nodes if node.key == hash_of(slow))
    assert dead
    assert node.where not in ("", dead)
    assert graph.count("done") == len(graph.nodes) == len(all_nodes(nodes))
    assert digests(nodes, Store(url, tmp_path / "elsewhere")) == digests(nodes, alone)


def test_verbs_compute_on_a_cluster_what_they_compute_here(cluster: None, run: Run, tmp_path: Path) -> None:
    audit = ("audit", "zoo:digits-linf", "-n", "40", "--effort", "smoke", "--threat", "Linf:0.1", "--json", "--out")
    records = []
    for place, on in (("here", ()), ("there", ("--on", "ray"))):
        status, out, err = run(*audit, place, *on, "--fresh")
        assert status == 0, err
        records.append(json.loads(out))
        assert Path(place, "report.html").exists()
    assert [records[0][name] for name in ("union", "examples")] == [records[1][name] for name in ("union", "examples")]
    train = ("train", "--data", "digits", "--net", "linear", "--epochs", "1", "--out", "net", "--on", "ray")
    assert run(*train)[0] == 0
    assert load_net(Path("net.safetensors"))[1]["net"] == "linear"
    assert run("audit", "net.safetensors", "--on", "cloud")[0] == 2
    status, _, err = run(*train, "--log", "csv:logs")
    assert (status, "drop one of the two" in err) == (2, True)
    assert run("audit", "--again", "there", "--on", "ray")[0] == 0
    assert run("audit", "--again", "there", "--on", "cloud")[0] == 2


@pytest.mark.parametrize("on", [None, "ray"])
def test_a_node_whose_process_dies_is_begun_again(cluster: None, on: str | None, tmp_path: Path) -> None:
    store, top = Store(tmp_path), Note("top", (Mortal("mortal"), A))
    list(run_graph(rows(top, store=store), store, device="cpu", jobs=2, on=on))
    assert (last(top, store) / "note.txt").read_text() == "top(a() mortal())"


@pytest.mark.parametrize(("jobs", "on"), [(1, None), (2, None), (2, "ray")])
def test_a_failed_node_stops_only_what_needs_it(cluster: None, jobs: int, on: str | None, tmp_path: Path) -> None:
    store, c = Store(tmp_path), Note("c", (A, B))
    planned = rows(Note("needs it", (Broken("broken"), A)), c, store=store)
    warnings: list[str | None] = []
    moves = run_graph(planned, store, device="cpu", jobs=jobs, on=on)
    with pytest.raises(
        BrittleError, match=r"broken: it cannot be done \(left because they need it: 1; done and stored: 3"
    ):
        warnings.extend(move.warning for move in moves)
    assert "broken: it cannot be done; what does not need it goes on" in warnings
    assert store.read(hash_of(c))[0] is not None
    (graph,) = graphs_in(store)
    assert {node.title: node.state for node in graph.nodes} == {
        "a": "done",
        "b": "done",
        "c": "done",
        "broken": "failed",
        "needs it": "waiting",
    }


def test_a_node_on_a_cluster_may_have_two_devices(cluster: None, tmp_path: Path) -> None:
    source, found = DataSource.of("digits"), []
    attack = RunAttack(File.of("zoo:digits-linf"), source, Linf(0.1), AttackSpec.of("pgd", steps=5), n=60, batch=20)
    for device, on in (("cpu", None), ("2xcpu", "ray")):
        store = Store(tmp_path / device)
        list(run_graph(rows(attack, store=store), store, device=device, on=on))
        found.append(digests([attack], store))
    assert found[0] == found[1]
    record = json.loads((last(attack, store) / "attack.json").read_text())
    assert record["run"]["command"] == command()  # that of the driver
    with pytest.raises(BrittleError, match="no machine of this Ray cluster has 64 CPU"):
        list(run_graph(rows(Note("more"), store=store), store, device="64xcpu", on="ray"))
    with pytest.raises(BrittleError, match="2 nodes at a time cannot each have 2xcpu"):
        list(run_graph(rows(Note("x", (A, B)), store=store), store, device="2xcpu", jobs=2))


def test_processes_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brittle.studies.processes.pick_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices_for("auto", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for("cuda:1", 2) == ["cuda:1", "cuda:1"]


def test_the_last_twenty_graphs_are_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(22):
        list(run_graph(rows(Note(str(number)), store=store), store, device="cpu"))
    assert [graph.nodes[0].title for graph in graphs_in(store)] == [str(number) for number in range(21, 1, -1)]


def test_data_that_are_others_on_a_worker_are_refused() -> None:
    elsewhere = replace(DataSource.of("digits"), digest="0")
    with pytest.raises(BrittleError, match=r"the data set digits on .* is another than the one asked for"):
        elsewhere.load()


def test_a_worker_that_sees_another_folder_says_so(tmp_path: Path) -> None:
    said = _compute("key", A, str(tmp_path), OWN_CODE, tmp_path / "nothing", "cpu", 1, None, [])
    assert "is another store than here; set BRITTLE_STORE" in str(said.error)


def test_a_worker_with_other_code_computes_nothing(tmp_path: Path) -> None:
    (said,) = told("key", A, str(tmp_path), "0" * 64, "cpu", "there")
    assert "another state of brittle's code runs on " in str(said.error)
    assert not list(tmp_path.iterdir())


def test_status_tells_what_runs_where_what_failed_and_what_it_cost(run: Run, tmp_path: Path) -> None:
    assert "no graph has run" in run("studies", "status")[1]
    store = Store()
    moves = run_graph(rows(Broken("broken"), store=store), store, device="cpu")
    with pytest.raises(BrittleError):
        list(moves)
    said = run("studies", "status")[1]
    assert "ended: 0 of 1 nodes, 1 failed" in said
    assert "it cannot be done" in said
    moves = run_graph(rows(Note("slow"), store=store), store, device="cpu")
    next(moves)
    (last_one, _) = json.loads(run("studies", "status", "--all", "--json")[1])
    assert last_one["nodes"][0]["title"] == "slow"
    (path, _) = sorted((store.base / "graphs").glob("*.json"), reverse=True)
    graph = json.loads(path.read_text())
    graph["nodes"][0] |= {"state": "running", "share": 0.25, "where": "elsewhere 7", "seconds": 3661.0}
    path.write_text(json.dumps(graph))
    assert "running: 0 of 1 nodes, 1 running; 1:01:01 of computing" in run("studies", "status")[1]
    assert "elsewhere 7" in run("studies", "status")[1]
    path.write_text(json.dumps(graph | {"heard": graph["heard"] - 100}))
    assert "not heard of for 0:01:40" in run("studies", "status")[1]
    list(moves)
    assert "ended: 1 of 1 nodes" in run("studies", "status")[1]


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("slurm", "runs on ray or ray:ADDRESS, not on slurm"),
        ("ray:127.0.0.1:1", r"there is no Ray cluster at 127.0.0.1:1 \("),
        ("ray:somewhere", r"there is no Ray cluster at somewhere \("),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(on: str, said: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(BrittleError, match=said):
        list(run_graph(rows(A, store=store), store, device="cpu", on=on))


def test_without_ray_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    store = Store(tmp_path)
    with pytest.raises(BrittleError, match=r"Ray is not installed; get it with: pip install 'brittle\[cluster\]'"):
        list(run_graph(rows(A, store=store), store, device="cpu", on="ray"))


class Late:
    """An executor that has no room at first."""

    def __init__(self, store: Store) -> None:
        self.inner, self.looks = InProcess(store, "cpu"), 0

    @property
    def slots(self) -> int:
        self.looks += 1
        return int(self.looks > 9)

    def start(self, row: PlanRow) -> None:
        self.inner.start(row)

    def hear(self) -> Iterator[Said]:
        if self.inner.key:
            yield from self.inner.hear()

    def close(self) -> None: ...


def test_a_graph_waits_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    monkeypatch.setattr("brittle.studies.graph._executor", lambda *_: Late(store))
    *_, end = run_graph(rows(Note("a"), store=store), store)
    assert (end.nodes, end.text) == (1, "done")
    assert store.read(hash_of(Note("a")), ("note.txt",))[0] is not None
