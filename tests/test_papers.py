"""Papers: every node runs at the smallest scale, asked twice nothing runs, the page shows ours beside the printed
figures."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from brittle import cli
from brittle.ground import BrittleError
from brittle.papers import li2019
from brittle.papers.li2019.printed import DEFENCES, NORMS, ROWS, TABLE_1
from brittle.studies import Store, hash_of, plan, run_graph

Home = Path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["brittle", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A folder with the smoke run of the paper in `li`, and its store."""
    home = tmp_path_factory.mktemp("papers")
    words = ("-m", "brittle", "paper", "li2019", "--scale", "smoke", "--out", str(home / "li"), "--device", "cpu")
    subprocess.run([sys.executable, *words], check=True, env=os.environ | {"BRITTLE_STORE": str(home / "store")})
    return home


def test_the_smoke_scale_measures_every_figure(home: Home) -> None:
    record = json.loads((home / "li" / "paper.json").read_text())
    first = [figure for figure in record["figures"] if figure["table"] == "Table 1"]
    assert len(first) == len(ROWS) * len(DEFENCES) * len(NORMS) == 60
    printed = {(figure["row"], figure["column"]): figure["printed"] for figure in first}
    assert printed["S-O L2", "TRADES Linf"] == 3.2
    assert printed["PGD Linf", "Madry Linf"] == 92.5
    assert printed["Natural", "ATDA Mix"] == 99.0
    for figure in record["figures"]:
        low, high = figure["measured"]["interval"]
        assert 0 <= low <= figure["measured"]["accuracy"] <= high <= 1
        assert figure["verdict"] == "open"  # this scale carries no verdict
    assert len(record["claims"]) == 12
    assert all("cannot carry" in one["evidence"] for one in record["claims"])
    shown = {one["kind"]: one["data"] for one in record["exhibits"]}
    assert set(shown) == {"walks", "curves", "curvature", "turned", "audits"}
    assert len(shown["curves"]) == 4 + 5
    assert len(shown["audits"]) == 13 + 5
    assert not (set(json.dumps(record).split()) & {str(home)})
    left = {
        (one["row"], one["column"]): one["measured"]["correct"]
        for one in record["figures"]
        if one["table"] == "What is left"
    }
    for row in dict.fromkeys(row for row, _ in left):  # the fewer threats, the more is left
        three = [left[row, threat] for threat in ("Linf:0.15", "L2:0.6", "L1:2")]
        assert left[row, "union"] <= left[row, "Linf:0.15 + L2:0.6 + L1:2"] <= min(three)
    natural = {figure["column"]: figure["measured"]["accuracy"] for figure in first if figure["row"] == "Natural"}
    for row in ROWS[1:]:  # an attack never helps
        mine = [figure for figure in first if figure["row"] == row and row.startswith("PGD")]
        assert all(figure["measured"]["accuracy"] <= natural[figure["column"]] for figure in mine)


def test_tables_come_as_csv_and_latex(home: Home) -> None:
    rows = list(csv.DictReader((home / "li" / "table-1.csv").read_text().splitlines()))
    assert len(rows) == 60
    assert float(rows[0]["printed"]) == TABLE_1["Natural"][0][0]
    latex = (home / "li" / "table-1.tex").read_text()
    assert latex.count(r"\\") == 6
    assert "(98.2)" in latex


def test_the_page_can_be_written_again_from_its_folder(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert command(monkeypatch, "report", str(home / "li"), "--out", str(tmp_path)) == 0
    assert (tmp_path / "paper.html").read_bytes() == (home / "li" / "paper.html").read_bytes()
    (tmp_path / "images.safetensors").write_bytes(b"nothing")
    assert command(monkeypatch, "report", str(tmp_path)) == 2


def test_asked_again_nothing_runs_and_a_killed_graph_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRITTLE_STORE", str(home / "store"))
    paper, store = li2019("smoke"), Store()
    rows = plan(paper.nodes, store, "cpu")
    assert all(row.stored for row in rows)
    assert [move.nodes for move in run_graph(rows, store, device="cpu")] == [len(rows)]
    positions = {row.key: k for k, row in enumerate(rows)}
    assert all(positions[hash_of(need)] < positions[row.key] for row in rows for need in row.node.needs)
    store.forget(rows[-1].key)
    again = plan(paper.nodes, store, "cpu")
    assert [row.key for row in again if not row.stored] == [rows[-1].key]
    assert again[-1].seconds > 0


def test_a_figure_comes_back_when_its_node_is_computed_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRITTLE_STORE", str(home / "store"))
    figures = json.loads((home / "li" / "paper.json").read_text())["figures"]
    asked = [
        next(figure["node"] for figure in figures if figure["table"] == table) for table in ("Table 1", "What is left")
    ]
    for key in asked:
        assert command(monkeypatch, "paper", "li2019", "--scale", "smoke", "--again", key, "--device", "cpu") == 0
    assert command(monkeypatch, "paper", "li2019", "--scale", "smoke", "--again", "zzz", "--device", "cpu") == 2


def test_nodes_side_by_side_give_what_one_after_another_gives(home: Home, tmp_path: Path) -> None:
    *_, walk = li2019("smoke").exhibits[0].nodes
    alone = Store(home / "store").read(hash_of(walk))[0]
    store = Store(tmp_path / "side")
    last = list(run_graph(plan([walk], store, "cpu"), store, device="cpu", jobs=2))[-1]
    other = store.read(hash_of(walk))[0]
    assert last.nodes == last.of_nodes == 2
    assert alone is not None
    assert other is not None
    first, second = (json.loads((folder / "walk.json").read_text()) for folder in (alone, other))
    for kind in ("plain", "averaged"):
        assert first[kind] == second[kind]
        assert first[f"{kind}_of_images"] == second[f"{kind}_of_images"]


def test_the_plan_runs_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRITTLE_STORE", str(tmp_path / "empty"))
    assert command(monkeypatch, "paper", "li2019", "--scale", "smoke", "--plan", "--json", "--device", "cpu") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 80
    assert not any(row["stored"] for row in rows)
    assert command(monkeypatch, "paper", "li2019", "--scale", "smoke", "--plan", "--device", "cpu") == 0
    assert "nodes left" in capsys.readouterr().out
    assert command(monkeypatch, "paper", "nobody1999") == 2
    assert "no paper is called" in capsys.readouterr().err
    assert command(monkeypatch, "paper", "li2019", "--scale", "gigantic") == 2


def test_a_part_runs_its_own_nodes_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = li2019("smoke")
    assert whole.parts == (
        "table-1",
        "reduced-size",
        "training",
        "what-is-left",
        "several-norms-at-once",
        "cifar-10",
        "figure-1",
        "curvature",
        "figure-2",
    )
    part = whole.only(["figure-1"])
    assert not part.figures
    assert [one.name for one in part.claims] == ["flat along PGD's path", "longer along S-O's path"]
    assert len(part.nodes) < 10 < len(whole.nodes)
    assert whole.only([]) is whole
    with pytest.raises(BrittleError, match="no part 'figure-9'"):
        whole.only(["figure-9"])
    monkeypatch.setenv("BRITTLE_STORE", str(tmp_path / "store"))
    words = ("paper", "li2019", "cifar-10", "--scale", "smoke", "--out", str(tmp_path / "one"), "--device", "cpu")
    assert command(monkeypatch, *words) == 0
    record = json.loads((tmp_path / "one" / "paper.json").read_text())
    assert {figure["table"] for figure in record["figures"]} == {"CIFAR-10"}
    assert [one["name"] for one in record["claims"]] == ["not on CIFAR-10"]


def test_without_its_data_the_remark_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["brittle.papers.li2019.lab"], "find_data", lambda name, folder: None)
    paper = li2019("smoke")
    assert "cifar-10" not in paper.parts
    assert any("remark is left out" in one for one in paper.deviations)


def test_scales_are_those_three() -> None:
    with pytest.raises(BrittleError, match="no scale"):
        li2019("huge")


def test_a_browser_shows_the_papers_page(home: Home, browser: webdriver.Chrome) -> None:
    for width in (1200, 390):
        browser.set_window_size(width, 900)
        browser.get((home / "li" / "paper.html").as_uri())
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    cells = browser.find_elements(By.CSS_SELECTOR, "#table-1 tbody td")
    assert len(cells) == 60
    assert all("%" in cell.text for cell in cells)
    assert browser.find_elements(By.CSS_SELECTOR, "#figure-1-gradient-along-the-attack svg path")
    assert "arXiv" in browser.find_element(By.CSS_SELECTOR, "#run pre").text
