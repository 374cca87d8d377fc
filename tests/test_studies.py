"""Declarations, store and runner; and that a kill at any moment changes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from brittle.attacks import L2, AttackSpec, Linf
from brittle.learning import Adversarial, InnerAttack, Recipe, Standard, load_net, load_tensors
from brittle.studies import Audit, DataSource, File, RunAttack, Store, Train, declaration_of, hash_of, run_node
from killing import command, finished, killed_and_resumed
from test_audits import timeless

QUICK = Recipe(epochs=1, batch=64)


def small(**changes: object) -> Train:
    return replace(Train(DataSource.of("digits"), "mlp", Standard(), QUICK), **changes)  # type: ignore[arg-type]


def test_a_declaration_has_one_hash_and_any_change_another() -> None:
    assert hash_of(small()) == hash_of(small())
    others = [
        small(seed=1),
        small(net="small"),
        small(goal=Adversarial((Linf(0.1),))),
        small(goal=Adversarial((L2(0.1),))),
        small(goal=Adversarial((Linf(0.1),), InnerAttack(steps=3))),
        small(recipe=Recipe(epochs=2, batch=64)),
        small(data=replace(DataSource.of("digits"), digest="0")),
    ]
    assert len({hash_of(node) for node in [small(), *others]}) == 8
    assert hash_of(replace(small(), data=replace(small().data, folder="/elsewhere"))) == hash_of(small())


def test_the_hash_is_the_same_on_every_machine() -> None:
    node = Train(DataSource.of("digits"), "mlp", Adversarial((Linf("8/255"), L2(0.5))), Recipe())
    assert declaration_of(RunAttack(node, node.data, Linf(0.1)))["kind"] == "Attack"  # as it was called at first
    assert hash_of(node) == "ab9f0b48a3e1f108e66e67dd98027a7f38b691b6c7a19cee5071f34c62edd6d7"


def last(node: object, store: Store, **options: object):  # type: ignore[no-untyped-def]
    *_, event = run_node(node, store, device="cpu", **options)  # type: ignore[arg-type]
    return event


def test_the_second_time_the_answer_is_stored_and_fresh_computes_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = last(small(), store)
    assert not first.stored
    written = (first.folder / "entry.json").stat().st_mtime_ns
    assert last(small(), store).stored
    again = last(small(), store, fresh=True)
    assert not again.stored
    assert (again.folder / "entry.json").stat().st_mtime_ns > written


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "entry"])
def test_a_damaged_entry_is_reported_and_computed_again(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    folder = last(small(), store).folder
    before = load_net(folder / "model.safetensors")[0].state_dict()
    file = folder / ("entry.json" if harm == "entry" else "model.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"flip": bytes(content), "cut": bytes(content[:-9]), "remove": b"", "entry": b"{"}[harm])
    if harm == "remove":
        file.unlink()
    events = list(run_node(small(), store, device="cpu"))
    assert [event.warning for event in events if event.warning and "damaged" in event.warning]
    after = load_net(events[-1].folder / "model.safetensors")[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_a_node_needs_is_computed_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    attack = RunAttack(small(), DataSource.of("digits"), Linf(0.1), AttackSpec.of("pgd", steps=5), n=40)
    folder = last(attack, store).folder
    record = json.loads((folder / "attack.json").read_text())
    tensors, _ = load_tensors(folder / "attack.safetensors")
    assert record["robust"]["correct"] == int((~tensors["broken"]).sum())
    assert last(small(), store).stored
    audit = last(Audit(small(), DataSource.of("digits"), (Linf(0.1),), "smoke", n=40), store).folder
    report = json.loads((audit / "audit.json").read_text())
    assert report["union"]["correct"] <= record["robust"]["correct"]
    assert not list(tmp_path.glob("*/*.work"))


def test_a_budget_cuts_short_and_more_time_goes_on(tmp_path: Path) -> None:
    store, source = Store(tmp_path), DataSource.of("digits")
    short = last(Audit(small(), source, (Linf(0.1),), "smoke", n=40, budget=1e-9), store)
    assert json.loads((short.folder / "audit.json").read_text())["skipped"]
    whole = last(Audit(small(), source, (Linf(0.1),), "smoke", n=40), store)
    assert not whole.stored
    assert not json.loads((whole.folder / "audit.json").read_text())["skipped"]
    assert last(Audit(small(), source, (Linf(0.1),), "smoke", n=40, budget=9.0), store).stored
    assert {path.name for path in whole.folder.iterdir()} == {"entry.json", "audit.json", "audit.safetensors"}


def test_a_model_file_is_known_by_its_content(tmp_path: Path) -> None:
    model = last(small(), Store(tmp_path)).folder / "model.safetensors"
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(model.read_bytes())
    assert File.of(str(model)).digest == File.of(str(copy)).digest


TRAIN = [
    "train",
    "--data",
    "digits",
    "--net",
    "small",
    "--goal",
    "adversarial",
    "--threat",
    "Linf:0.1",
    "--epochs",
    "6",
    "--steps",
    "3",
]


def test_training_killed_three_times_gives_the_same_bits(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    finished(command(tmp_path / "a", *TRAIN, "--out", str(whole)))
    hits = killed_and_resumed(tmp_path / "b", "*/*.work/training-*.safetensors", [*TRAIN, "--out", str(broken)])
    assert hits >= 2
    (one, header), (two, other) = load_tensors(whole), load_tensors(broken)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert header["history"] == other["history"]


def test_an_audit_killed_three_times_gives_the_same_record(tmp_path: Path) -> None:
    model = last(small(), Store(tmp_path / "c")).folder / "model.safetensors"
    words = ["audit", str(model), "--effort", "quick", "-n", "300"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(command(tmp_path / "a", *words, "--out", str(whole)))
    hits = killed_and_resumed(tmp_path / "b", "*/*.work/pieces/*", [*words, "--out", str(broken)])
    assert hits >= 2
    assert timeless(whole) == timeless(broken)
    assert (whole / "report.html").exists()


def test_who_waits_for_the_result_of_another_process_says_so(tmp_path: Path) -> None:
    node = Train(DataSource.of("digits"), "linear", Standard(), Recipe(epochs=0.1))
    events = run_node(node, Store(tmp_path), device="cpu")
    with Store(tmp_path).lock(hash_of(node)):  # a lock of another object keeps this one out, as another process does
        assert "waits for the result" in next(events).text
    assert not any("waits" in event.text for event in events)
