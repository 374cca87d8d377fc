"""A node on two devices (two processes on the CPU): the figures of one; what a training loses is rounding."""

import json
import math
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from brittle.attacks import L2, AttackSpec, Linf
from brittle.ground import BrittleError, Crew, device_count, pick_device
from brittle.learning import Adversarial, Atda, Goal, InnerAttack, Recipe, Trades, load_tensors
from brittle.learning.sharing import own_mean, own_rows
from brittle.science import Targeted
from brittle.studies import Audit, DataSource, File, Make, Node, RunAttack, Store, Train, run_node
from brittle.studies.nodes import NodeProgress
from test_cluster import placeless
from test_nodes import Note

SOURCE, INNER = DataSource.of("digits"), InnerAttack(steps=2)
TENSORS = ("attack.safetensors", "set.safetensors", "audit.safetensors")
STEPS = Recipe(epochs=1, batch=100, optimizer="sgd", lr=0.1, precision="float32", averaging=0.9)


@dataclass(frozen=True)
class Killed(Note):
    """A node whose process is killed."""

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Iterator[NodeProgress]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().compute(folder, results, device)


def folder_of(node: Node, store: Store, device: str) -> Path:
    *_, event = run_node(node, store, device=device)
    assert event.folder is not None
    return event.folder


@pytest.mark.parametrize("goal", [Adversarial((Linf(0.1),), INNER), Trades((L2(0.5),), INNER)])
def test_a_training_shared_by_two_gives_the_losses_and_the_audit_of_one(goal: Goal, tmp_path: Path) -> None:
    node, nets, audits = Train(SOURCE, "mlp", goal, STEPS), [], []
    for device in ("cpu", "2xcpu"):
        store = Store(tmp_path / device)
        tensors, header = load_tensors(folder_of(node, store, device) / "model.safetensors")
        nets.append((tensors, header["history"][-1]))
        record = folder_of(Audit(node, SOURCE, (Linf(0.1), L2(0.5)), "smoke", n=60), store, "cpu") / "audit.json"
        audits.append(json.loads(record.read_text()))
    (one, said), (other, told) = nets
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)
    assert math.isclose(said["loss"], told["loss"], rel_tol=1e-5)
    assert (said["clean"], said["robust"]) == (told["clean"], told["robust"])
    assert audits[0]["union"] == audits[1]["union"]
    assert [threat["robust"] for threat in audits[0]["threats"]] == [
        threat["robust"] for threat in audits[1]["threats"]
    ]


def test_attacks_sets_and_audits_shared_by_two_are_those_of_one(tmp_path: Path) -> None:
    net = folder_of(Train(SOURCE, "mlp", Adversarial((Linf(0.1),), INNER), STEPS), Store(tmp_path / "net"), "cpu")
    model = File.of(str(net / "model.safetensors"))
    attack = RunAttack(model, SOURCE, Linf(0.1), AttackSpec.of("pgd", steps=5), n=90, batch=20)
    audit = Audit(model, SOURCE, (Linf(0.1), L2(0.5)), "quick", n=90, batch=20)
    made = Make("D_rand", model, SOURCE, Targeted("random", Linf(0.3), 5, 0.1), Linf(0.1), n=600)
    found: list[list[object]] = []
    for device in ("cpu", "2xcpu"):
        store = Store(tmp_path / device)
        one, two, three = (folder_of(node, store, device) for node in (attack, made, audit))
        tensors = [folder / name for folder, name in zip((one, two, three), TENSORS, strict=True)]
        found.append([path.read_bytes() for path in tensors])
        found[-1].append(placeless(json.loads((three / "audit.json").read_text())))
    assert found[0] == found[1]


def test_each_of_a_batch_is_taken_once_and_the_mean_is_that_of_the_batch() -> None:
    for size in (1, 2, 3):
        for count in (2, 5, 6, 7, 100):
            losses, means, seen = torch.rand(count, dtype=torch.float64), [], []
            for rank in range(size):
                mine = own_rows(count, Crew(rank, size))
                seen += range(count)[mine]
                means.append(own_mean(losses[mine], count, Crew(rank, size), {}))
            assert math.isclose(sum(means) / size, losses.mean())
            assert sorted(seen) == (list(range(count)) if count >= 2 * size else sorted([*range(count)] * size))
    assert own_mean(torch.ones(2), 2, Crew(0, 1), {"centres": torch.ones(1)}) == 1


def test_what_goes_wrong_in_one_of_them_is_one_line(tmp_path: Path) -> None:
    goal = Atda((Linf(0.1),), INNER)
    with pytest.raises(BrittleError, match="train it on one device"):
        folder_of(Train(SOURCE, "mlp", goal, STEPS), Store(tmp_path), "2xcpu")
    with pytest.raises(BrittleError, match="one of its processes ended"):
        folder_of(Killed("killed"), Store(tmp_path), "2xcpu")


def test_several_devices_are_named_by_their_number() -> None:
    assert [device_count(name) for name in ("8xcuda", "2xcpu", "cpu", "cuda:1", "auto", "xla")] == [8, 2, 1, 1, 1, 1]
    assert pick_device("2xcpu") == torch.device("cpu")
    with pytest.raises(BrittleError, match="'nothing' cannot be used here"):
        pick_device("2xnothing")
