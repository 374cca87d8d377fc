"""The features paper: every node runs at the smallest scale, tables hold what is printed, claims rest on figures."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from selenium import webdriver
from selenium.webdriver.common.by import By

from brittle.papers import ilyas2019
from brittle.papers.ilyas2019.lab import Ilyas2019Lab
from brittle.papers.ilyas2019.scales import SCALES
from brittle.papers.ilyas2019.tables import budgets
from brittle.science import Unchanged
from brittle.studies import Make, Store, Train, all_nodes, hash_of, plan
from made_up import MadeUp


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smoke run of the paper in `il`, and its store."""
    home = tmp_path_factory.mktemp("ilyas")
    words = (
        "-m",
        "brittle",
        "paper",
        "ilyas2019",
        "--scale",
        "smoke",
        "--out",
        str(home / "il"),
        "--device",
        "cpu",
    )
    subprocess.run([sys.executable, *words], check=True, env=os.environ | {"BRITTLE_STORE": str(home / "store")})
    return home


def record_of(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "il" / "paper.json").read_text()))


def test_the_smoke_scale_measures_every_table_beside_what_is_printed(home: Path) -> None:
    record = record_of(home)
    printed = {(one["table"], one["row"], one["column"]): one["printed"] for one in record["figures"]}
    assert printed["Table 1", "D_rand", "test accuracy"] == 63.3
    assert printed["Table 1", "D_det", "test accuracy"] == 43.7
    assert printed["Figure 2", "standard on D_NR", "accuracy in L2:0.3"] == 0.82
    assert printed["D.6", "robust model", "test labels y + 1"] == 40.8
    assert printed["Leakage", "D_det", "through robust linear features"] == 6.81
    assert printed["Just bugs", "without transfer", "targeted transfer"] == 1.7
    assert printed["Mislabelled", "learned from its mistakes alone", "test accuracy"] == 49.7
    assert printed["Leakage", "D_rand", "in all"] == 63.3
    tables = {
        "Figure 2",
        "Other nets",
        "Table 1",
        "Budgets",
        "Made sets",
        "D.1",
        "D.2",
        "D.3",
        "D.6",
        "Figure 3",
        "Leakage",
        "Just bugs",
        "Mislabelled",
    }
    assert {one["table"] for one in record["figures"]} == tables
    for one in record["figures"]:
        low, high = one["measured"]["interval"]
        assert 0 <= low <= one["measured"]["accuracy"] <= high <= 1
        assert one["verdict"] == "open"
        assert one["certainty"]
    assert {one["kind"] for one in record["exhibits"]} == {
        "bars",
        "sets",
        "curves",
        "scatter",
        "features",
        "correlations",
        "directions",
        "gaussians",
    }
    assert all("cannot carry" in one["evidence"] for one in record["claims"])


def test_what_needs_no_training_holds_at_any_scale(home: Path) -> None:
    found = {one["name"]: one["evidence"] for one in record_of(home)["claims"]}
    assert "robust weights (15, 0): clean 100.0%, robust 100.0%" in found["robust and accurate at once"]
    assert "worst cosine (0.4, 0.69, 0.9)" in found["theorems 1 to 3"]


def test_files_for_papers_and_talks_are_there(home: Path) -> None:
    names = {path.name for path in (home / "il").iterdir()}
    assert {
        "table-1.csv",
        "table-1.tex",
        "figure-2.csv",
        "figure-3.tex",
        "claims.csv",
        "images.safetensors",
    } <= names
    assert {"figure-2-four-trainings.svg", "figure-3-transfer-against-what-is-learned.svg"} <= names
    assert {
        "gaussian-model-robust-likelihood-of-two-gaussians.svg",
        "features-useful-and-robustly-useful-features.svg",
    } <= names
    for name in names:
        if name.endswith(".svg"):
            assert (home / "il" / name).read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_asked_again_nothing_is_left_to_do(home: Path) -> None:
    rows = plan(ilyas2019("smoke").nodes, Store(home / "store"), "cpu")
    assert all(row.stored for row in rows)
    assert len(rows) > 60


def test_useful_fragile_directions_are_made_of_others(home: Path) -> None:
    (shown,) = [one["data"] for one in record_of(home)["exhibits"] if one["kind"] == "directions"]
    robustness, usefulness = (sorted(values) for values in zip(*shown["points"], strict=True))
    for x, y in shown["made"].values():
        assert x < max(robustness) - 1
        assert y > usefulness[len(usefulness) // 2]


def test_a_paper_goes_to_another_data_set_and_net() -> None:
    paper = ilyas2019("smoke", data="digits", net="small")
    assert {node.net for node in all_nodes(paper.nodes) if isinstance(node, Train)} == {"small", "mlp", "linear"}
    assert any(figure.printed for figure in paper.figures)
    restricted = SCALES["full"].on("restricted:somewhere@64")
    sizes = (restricted.hardening.eps, restricted.perturbing.eps, restricted.bugs.eps, restricted.testing.larger_eps)
    assert sizes == ("3",) * 4
    assert restricted.testing.eps == "1.5"
    assert (restricted.matching.count, restricted.matching.steps, restricted.matching.step) == (0, 2000, 1.0)
    assert replace(restricted.perturbing, eps="0.5") == SCALES["full"].perturbing
    assert not restricted.compared
    other = SCALES["laptop"].on("digits")
    assert (other.data, other.compared) == ("digits", False)
    assert SCALES["laptop"].on("cifar10") == SCALES["laptop"]


def test_nothing_is_printed_beside_other_data(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (90, 1, 8, 8), dtype=torch.uint8)
    held = {
        "images": images,
        "labels": torch.arange(90) % 3,
        "test_images": images[:30].clone(),
        "test_labels": torch.arange(30) % 3,
    }
    save_file(held, tmp_path / "three.safetensors")
    paper = ilyas2019("smoke", data=f"tensors:{tmp_path / 'three.safetensors'}")
    assert not any(figure.printed for figure in paper.figures)
    assert "directions" not in paper.parts  # three classes have no number 9
    (bars,) = [one for one in paper.exhibits if one.kind == "bars"]
    assert {row["printed"] for row in bars.show(MadeUp())[0]} == {None}


def test_what_learns_a_made_set_needs_it_and_is_named_after_it() -> None:
    lab = Ilyas2019Lab(SCALES["smoke"], None, 0)
    learned = lab.net_trained_on(lab.shifted_set())
    order = [hash_of(node) for node in all_nodes([learned])]
    assert order == [hash_of(node) for node in (lab.standard_net, lab.shifted_set(), learned)]
    assert "D_det of digits" in learned.title
    assert hash_of(lab.net_trained_on(lab.shifted_set(lab.robust_net))) != hash_of(learned)
    assert learned.gradients > 0


def test_random_targets_are_learned_by_a_recipe_of_their_own() -> None:
    lab = Ilyas2019Lab(SCALES["night"], None, 0)
    lab.__dict__["data"] = Ilyas2019Lab(SCALES["smoke"], None, 0).data
    usual, own = lab.scale.recipes.made_sets, lab.scale.recipes.random_targets
    recipes = {made.label: {net.recipe for net in lab.nets_trained_on(made)} for made in made_sets_of(lab)}
    assert recipes == {"D_R": {usual}, "D_NR": {usual}, "D_rand": {own}, "D_det": {usual}}
    assert lab.net_trained_on(lab.random_set("2")).recipe == lab.net_trained_on(lab.random_set()).recipe
    assert lab.net_trained_on(lab.random_set(), lr=0.3).recipe.lr == 0.3
    for made in (lab.random_set(), lab.shifted_set()):  # the table of rates surrounds the one in use, without it
        rate, others = lab.net_trained_on(made).recipe.lr, lab.other_rates(made)
        assert min(others) < rate < max(others)
        assert rate not in others
        rows = {one.row for one in budgets(lab) if one.column == f"{made.label}: test accuracy" and "lr" in one.row}
        assert rows == {f"L2 0.5, lr {other:g}" for other in others}


def made_sets_of(lab: Ilyas2019Lab) -> tuple[Make, ...]:
    return lab.matched_set("D_R"), lab.matched_set("D_NR"), lab.random_set(), lab.shifted_set()


def test_the_four_trainings_differ_in_data_and_goal_alone() -> None:
    lab = Ilyas2019Lab(SCALES["full"], None, 0)
    lab.__dict__["data"] = Ilyas2019Lab(SCALES["smoke"], None, 0).data  # the full data set is not at hand in every test
    standard, robust = lab.standard_net, lab.robust_net
    assert isinstance(standard, Train)
    assert replace(robust, goal=standard.goal) == standard
    assert robust.goal.threats[0].eps == "0.5"
    assert lab.matched_set("D_R").model == robust
    assert lab.matched_set("D_NR").model == standard
    assert lab.matched_set("D_R").construction == lab.matched_set("D_NR").construction
    (control,) = lab.control_nets
    assert isinstance(control.data, Make)
    assert (control.data.construction, control.data.n) == (Unchanged(), 0)
    small = Ilyas2019Lab(SCALES["smoke"], None, 0)
    made = small.matched_set("D_R")
    assert tuple(replace(net, data=made) for net in small.control_nets) == small.nets_trained_on(made)
    assert len({net.seed for net in small.control_nets}) == len(small.control_nets) == 2


def test_a_browser_shows_the_papers_page(home: Path, browser: webdriver.Chrome) -> None:
    for width in (1200, 390):
        browser.set_window_size(width, 900)
        browser.get((home / "il" / "paper.html").as_uri())
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    images = browser.find_elements(By.CSS_SELECTOR, "#figure-2-the-made-sets img")
    assert len(images) == 8 * (3 + 3 + 2 + 2)
    assert all(browser.execute_script("return arguments[0].naturalWidth", image) == 8 for image in images)
    assert len(browser.find_elements(By.CSS_SELECTOR, "main figure svg")) == 7
    assert "Features" in browser.find_element(By.CSS_SELECTOR, "#run pre").text
