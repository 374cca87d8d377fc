"""A node on two devices (two processes on the CPU): the figures of one; what a training loses is rounding."""

import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from brittle.attacks import L2, AttackSpec, Linf
from brittle.ground import BrittleError, World, counted_from, device_count, pick_device
from brittle.learning import Adversarial, Atda, Goal, InnerAttack, Recipe, Trades, build_net, load_tensors, save_net
from brittle.learning.sharing import own_mean, own_rows
from brittle.science import Targeted
from brittle.studies import (
    Audit,
    DataSource,
    File,
    Make,
    Node,
    RunAttack,
    Store,
    Train,
    run_graph,
    run_node,
)
from brittle.studies.nodes import NodeProgress
from brittle.studies.nodes.common import parts_of
from test_cluster import placeless
from test_nodes import Note, rows

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
    with counted_from(time.monotonic() - 1000):  # as the command that is run began long ago
        cut = json.loads(
            (folder_of(replace(audit, budget=500.0), Store(tmp_path / "late"), "2xcpu") / "audit.json").read_text()
        )
    assert len(cut["skipped"]) > 5
    assert cut["union"]["correct"] == cut["clean"]["correct"]


def test_each_of_a_batch_is_taken_once_and_the_mean_is_that_of_the_batch() -> None:
    for size in (1, 2, 3):
        for count in (2, 5, 6, 7, 100):
            losses, means, seen = torch.rand(count, dtype=torch.float64), [], []
            for rank in range(size):
                mine = own_rows(count, World(rank, size))
                seen += range(count)[mine]
                means.append(own_mean(losses[mine], count, World(rank, size), {}))
            assert math.isclose(sum(means) / size, losses.mean())
            assert sorted(seen) == (list(range(count)) if count >= 2 * size else sorted([*range(count)] * size))
    assert own_mean(torch.ones(2), 2, World(0, 1), {"centres": torch.ones(1)}) == 1


def test_what_goes_wrong_in_one_of_them_is_one_line(tmp_path: Path) -> None:
    goal = Atda((Linf(0.1),), INNER)
    with pytest.raises(BrittleError, match="train it on one device"):
        folder_of(Train(SOURCE, "mlp", goal, STEPS), Store(tmp_path), "2xcpu")
    with pytest.raises(BrittleError, match="one of its processes ended"):
        folder_of(Killed("killed"), Store(tmp_path), "2xcpu")


def test_several_devices_are_named_by_their_number() -> None:
    assert [device_count(name) for name in ("8xcuda", "2xcpu", "cpu", "cuda:1", "auto", "xla")] == [8, 2, 1, 1, 1, 1]
    assert pick_device("2xcpu") == torch.device("cpu")
    for name in ("2xnothing", "0xcpu", "2xcuda:1", "2xauto"):
        with pytest.raises(BrittleError, match=f"several devices are written 8xcuda, not '{name}'"):
            pick_device(name)


UNEQUAL = """
import os, torch
from brittle.learning import load

class Unequal(torch.nn.Module):
    \"\"\"A net whose logits are a little different in the second process, as on another device.\"\"\"

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
        part = load("digits").train
        sums = torch.stack([part.images[part.labels == k].long().sum(0).flatten() for k in range(10)]).double()
        means = sums / sums.norm(dim=1, keepdim=True)
        with torch.no_grad():
            self.layer.weight.copy_(10 * (means - means.mean(0)))
            self.layer.bias.zero_()

    def forward(self, x):
        logits = self.layer(x.flatten(1))
        other = os.environ.get("BRITTLE_WORLD", "").startswith("1/")
        return logits * (1 + 1e-3 * other * torch.rand(logits.shape, generator=torch.Generator().manual_seed(1)))
"""
SCRIPT = """
from brittle.attacks import Linf
from brittle.studies import Audit, DataSource, File, Store, run_node

def main():
    data = DataSource.of("digits")
    audit = Audit(File.of("own:Unequal"), data, (Linf(0.1),), "{effort}", n=200, batch=10)
    for event in run_node(audit, Store("store"), device="2xcpu"):
        print(event.text, flush=True)

{call}
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str, str], subprocess.Popen[str]]:
    (tmp_path / "own.py").write_text(UNEQUAL)

    def begin(effort: str, call: str) -> subprocess.Popen[str]:
        (tmp_path / "script.py").write_text(SCRIPT.format(effort=effort, call=call))
        words = [sys.executable, "script.py"]
        both = subprocess.PIPE
        return subprocess.Popen(words, cwd=tmp_path, stdout=both, stderr=both, text=True, start_new_session=True)

    return begin


GUARDED = "if __name__ == '__main__': main()"


def test_processes_whose_answers_differ_a_little_deal_the_same_examples(
    script: Callable[[str, str], subprocess.Popen[str]],
) -> None:
    out, err = script("smoke", GUARDED).communicate(timeout=120)
    assert out.splitlines()[-1] == "done", err


def test_a_script_that_begins_itself_again_ends(script: Callable[[str, str], subprocess.Popen[str]]) -> None:
    process = script("smoke", "main()")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "belongs under if __name__ == '__main__'" in err.splitlines()[-1]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_none_outlives_the_one_that_began_it(
    sign: signal.Signals, script: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    process = script("thorough", GUARDED)
    assert process.stdout is not None
    while "examples" not in process.stdout.readline():
        assert process.poll() is None, process.communicate()
    process.send_signal(sign)
    process.communicate(timeout=60)  # ends once none of them holds the pipes


def test_a_node_that_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Local(Note):
        """A class that another process cannot find."""

    with pytest.raises(BrittleError, match="cannot be sent to another process"):
        folder_of(Local("a"), Store(tmp_path), "2xcpu")
    planned = rows(Local("a"), Note("b"), store=Store(tmp_path))
    with pytest.raises(BrittleError, match=r"cannot be sent to another process.*done and stored: 1"):
        list(run_graph(planned, Store(tmp_path), jobs=2))


def test_a_model_that_was_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = build_net("linear", (1, 8, 8), 10)
        header = {"net": "linear", "shape": [1, 8, 8], "classes": list("0123456789"), "mean": (), "std": ()}
        save_net(tmp_path / f"{seed}.safetensors", net, header)
    there = tmp_path / "net.safetensors"
    shutil.copy(tmp_path / "0.safetensors", there)
    sent = pickle.dumps(File.of(str(there)))
    assert pickle.loads(sent).load().name
    shutil.copy(tmp_path / "1.safetensors", there)
    with pytest.raises(BrittleError, match="another than the one asked for"):
        pickle.loads(sent).load()


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    work = {"a": lambda: {"x": torch.ones(2)}}
    list(parts_of(tmp_path, work))
    (tmp_path / "parts/a.safetensors").write_bytes(b"")
    assert [part["x"].tolist() for part in parts_of(tmp_path, work)] == [[1, 1]]
