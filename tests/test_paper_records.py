"""From figures to a paper's record and its files, on small made-up papers; records of before are still shown."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import t

from brittle.audits import Proportion
from brittle.cli.terminal import paper_tables
from brittle.ground import BrittleError, write_out
from brittle.learning import NOT_ORIGINAL, save_tensors
from brittle.papers import (
    Claim,
    Exhibit,
    Figure,
    Paper,
    Repetition,
    Results,
    Ruling,
    Share,
    accuracies,
    compare_with_stored,
    measure_paper,
    table_files,
)
from brittle.papers.exhibits import bars, curves, features, robust_curves, scatter
from brittle.papers.ilyas2019.deviations import all_deviations
from brittle.papers.ilyas2019.lab import Ilyas2019Lab
from brittle.papers.ilyas2019.scales import SCALES
from brittle.papers.ilyas2019.tables import all_figures
from brittle.papers.measure import WIDE, agreement, claim_record, exhibit_records, figure_record, figure_verdict
from brittle.papers.paper import Floor, across_seeds, find_data, pixels_in_words, seeds_in_words
from brittle.papers.results import Reading, held_out_of, pool, shares_of
from brittle.report import read_paper
from brittle.studies import DataSource, Node, Store, declaration_of, hash_of
from brittle.studies.nodes import Computation
from conftest import Run
from made_up import E, MadeUp, between

LAB = Ilyas2019Lab(SCALES["smoke"], None, 0)
RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Done:
    """A node whose result is written by hand."""

    name: str
    results: tuple[str, ...] = ("figures.json", "images.safetensors")
    needs: tuple[Node, ...] = ()
    gradients: float = 0.0

    @property
    def title(self) -> str:
        return f"node {self.name}"

    def compute(self, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
        yield from ()
        return True


A, B = Done("a"), Done("b")
FIGURE = Figure("Table 1", "one", "left", 50.0, "sure", (A,), "clean", 3.0)


def figure(table: str, row: str, column: str, *nodes: Node, printed: float | None = None) -> Figure:
    return Figure(table, row, column, printed, "sure", nodes or (A,), "clean", None)


def record(row: str, column: str, printed: float | None, share: Share, table: str = "Table 1") -> dict[str, Any]:
    return {
        "table": table,
        "row": row,
        "column": column,
        "printed": printed,
        "certainty": "quoted",
        "measured": share.record(),
        "verdict": "agrees",
        "read": "clean",
        "node": "abc",
    }


def test_a_share_has_the_exact_interval_and_stands_in_json_as_it_was() -> None:
    share = Share.of(30, 200)
    assert share.record() == Proportion(30, 200).record()
    assert Share.from_record(share.record()) == share
    assert share.accuracy == 0.15
    assert str(Share(150, 1000, 0.1, 0.2)) == "15.0 [10.0, 20.0] %"
    assert Share.of(0, 0).accuracy == 0


def test_seeds_are_pooled_with_the_interval_of_their_mean() -> None:
    first, second, third = Share.of(100, 1000), Share.of(300, 1000), Share.of(200, 1000)
    assert pool([first]) == first
    assert pool([]) == Share.of(0, 0)
    assert "seeds" not in pool([first]).record()
    found = pool([first, second, third])
    assert (found.correct, found.n, found.seeds) == (600, 3000, (0.1, 0.3, 0.2))
    low, high = t.interval(0.95, 2, loc=0.2, scale=0.1 / 3**0.5)  # scipy.stats' own, around a mean of three
    assert (low, found.high) == (pytest.approx(-0.0484, abs=1e-4), pytest.approx(high))
    assert found.low == 0
    wide = pool([first, second])  # two trainings tell little of a third
    assert (wide.low, wide.high) == (0, 1)
    assert found.record() == {
        "correct": 600,
        "n": 3000,
        "accuracy": 0.2,
        "interval": [0.0, found.high],
        "seeds": [0.1, 0.3, 0.2],
    }


def test_seeds_that_agree_are_no_surer_than_the_test_sample() -> None:
    share = Share.of(200, 1000)
    assert pool([share] * 3) == Share(600, 3000, share.low, share.high, (0.2,) * 3)
    close = pool([Share.of(200, 1000), Share.of(201, 1000), Share.of(202, 1000)])
    assert (close.low, close.high) == (Share.of(201, 1000).low, Share.of(201, 1000).high)


@pytest.mark.parametrize(
    ("printed", "said"),
    [(37.0, "agrees"), (37 - E, "differs"), (50.0, "agrees"), (63.0, "agrees"), (63 + E, "differs"), (None, "open")],
)
def test_a_printed_figure_agrees_within_interval_and_slack(printed: float | None, said: str) -> None:
    share = between(0.4, 0.6)
    assert figure_verdict(replace(FIGURE, printed=printed), share, MadeUp()) == said
    assert figure_verdict(replace(FIGURE, printed=printed, slack=None), share, MadeUp()) == "open"


@pytest.mark.parametrize(("kept", "said"), [(200, "agrees"), (199, "not trained")])
def test_an_untrained_net_is_not_judged(kept: int, said: str) -> None:
    results = MadeUp({A: {"robust": Share.of(kept, 1000).record()}, B: {"robust": Share.of(100, 1000).record()}})
    floors = (Floor((Reading(B, "robust"), Reading(A, "robust")), 0.2),)  # one of its figures is enough
    assert figure_verdict(replace(FIGURE, floors=floors), between(0.4, 0.6), results) == said
    unprinted = figure_verdict(replace(FIGURE, printed=None, floors=floors), between(0.4, 0.6), results)
    assert unprinted == ("not trained" if said == "not trained" else "open")
    assert Floor((), 1.0).reached(results)


def test_a_figure_is_measured_of_the_nets_that_are_trained() -> None:
    shares = {A: Share.of(400, 1000), B: Share.of(600, 1000)}
    results = MadeUp({node: {"clean": share.record(), "robust": share.record()} for node, share in shares.items()})
    least = tuple(Floor((Reading(node, "robust"),), 0.5) for node in (A, B))
    both = replace(FIGURE, nodes=(A, B), floors=least)
    found = figure_record(both, results, carries=True)
    assert (found["measured"], found["untrained"]) == (shares[B].record(), 1)
    assert found["node"] == f"{hash_of(A)[:16]} {hash_of(B)[:16]}"
    none = figure_record(replace(both, floors=(Floor((Reading(A, "robust"),), 0.5),) * 2), results, carries=True)
    assert (none["measured"], none["untrained"]) == (pool(list(shares.values())).record(), 2)
    assert none["verdict"] == "not trained"
    whole = replace(PAPER, figures=(both,), claims=(), exhibits=())
    assert whole.nodes == [A, B]
    assert across_seeds([[both], [both]])[0].floors == (*least, *least)


def test_agreement_is_counted_over_robust_figures_beside_a_net_that_keeps_nothing() -> None:
    def one(read: str, verdict: str, of_zero: str, printed: float | None = 1.0) -> dict[str, Any]:
        return {"table": "T", "read": read, "verdict": verdict, "of_zero": of_zero, "printed": printed}

    some = [
        one("clean", "agrees", "differs"),
        one("robust", "agrees", "agrees"),
        one("robust", "differs", "agrees"),
        one("robust", "agrees", "differs"),
        one("robust", "not trained", "not trained"),
        one("robust", "open", "open", None),
    ]
    assert agreement(some) == {
        "T": "2 of 3 robust figures agree with the printed ones (a net that keeps nothing would agree with 2); 1 more "
        "are of nets that are not trained, and not judged"
    }
    assert agreement([one("robust", "open", "open")]) == {}


def test_where_interval_and_slack_are_wide_nothing_is_said() -> None:
    assert WIDE == 20
    share = between(0.25, 0.5)  # 12.5 points to each side
    assert figure_verdict(replace(FIGURE, printed=40.0, slack=7.5), share, MadeUp()) == "agrees"
    assert figure_verdict(replace(FIGURE, printed=90.0, slack=7.5), share, MadeUp()) == "differs"
    assert figure_verdict(replace(FIGURE, printed=40.0, slack=7.5 + E), share, MadeUp()) == "open"
    assert figure_verdict(replace(FIGURE, printed=90.0, slack=7.5 + E), share, MadeUp()) == "open"


def test_a_figure_is_measured_over_its_seeds() -> None:
    results = MadeUp({A: {"clean": Share.of(495, 1000).record()}, B: {"clean": Share.of(505, 1000).record()}})
    both = replace(FIGURE, nodes=(A, B))
    found = figure_record(both, results, carries=True)
    assert found == {
        "table": "Table 1",
        "row": "one",
        "column": "left",
        "printed": 50.0,
        "certainty": "sure",
        "measured": pool([Share.of(495, 1000), Share.of(505, 1000)]).record(),
        "slack": 3.0,
        "verdict": "agrees",
        "of_zero": "differs",
        "read": "clean",
        "node": f"{hash_of(A)[:16]} {hash_of(B)[:16]}",
        "what": "node a",
    }
    assert figure_record(both, results, carries=False) == found | {"verdict": "open", "of_zero": "open"}


@dataclass(frozen=True)
class Counted:
    """Evidence that always agrees."""

    count: int

    def ruling(self) -> Ruling:
        return Ruling("agrees", f"{self.count} nodes")


CLAIM = Claim("Table 1", "name", "what is said", "section 1", "what counts", (A,), lambda results: Counted(2))


def test_a_claim_is_open_where_the_scale_cannot_carry_it() -> None:
    words = {"part": "Table 1", "name": "name", "claim": "what is said", "where": "section 1", "rule": "what counts"}
    assert claim_record(CLAIM, MadeUp(), carries=True) == words | {"verdict": "agrees", "evidence": "2 nodes"}
    assert claim_record(CLAIM, MadeUp(), carries=False) == words | {
        "verdict": "open",
        "evidence": "2 nodes (this scale cannot carry the claim)",
    }


def test_images_are_named_after_the_exhibits_place() -> None:
    one = Exhibit("bars", "Figure 1", "title", "note", (), lambda results: ([1], {}))
    two = replace(one, kind="sets", show=lambda results: ([2], {"clean": torch.zeros(1)}))
    records, images = exhibit_records((one, two), MadeUp())
    assert records[1] == {"kind": "sets", "part": "Figure 1", "title": "title", "note": "note", "data": [2]}
    assert set(images) == {"1.clean"}


PAPER = Paper(
    name="made1999",
    title="Made up",
    link="https://example.org",
    about=("What it is about.",),
    scale="smoke",
    seeds=(0,),
    carries=True,
    bibtex="",
    figures=(figure("Table 1", "one", "left", A), figure("D.2", "one", "left", B), figure("D.1", "one", "left", A)),
    claims=(replace(CLAIM, nodes=(B, A)), replace(CLAIM, part="D.2"), replace(CLAIM, part="D.10")),
    exhibits=(Exhibit("bars", "Figure 3", "title", "note", (Done("c"),), lambda results: ([], {})),),
    slack="",
    deviations=(),
)


def test_a_paper_is_cut_down_to_its_parts() -> None:
    assert PAPER.parts == ("table-1", "d.2", "d.1", "d.10", "figure-3")
    assert PAPER.nodes == [A, B, Done("c")]
    first = PAPER.only(["table-1"])
    assert (first.figures, first.claims, first.exhibits) == (PAPER.figures[:1], PAPER.claims[:1], ())
    both = PAPER.only(["figure-3", "d.2"])
    assert (both.figures, both.claims, both.exhibits) == (PAPER.figures[1:2], PAPER.claims[1:2], PAPER.exhibits)
    assert both.nodes == [B, A, Done("c")]
    assert PAPER.only([]) is PAPER
    with pytest.raises(
        BrittleError, match=r"^made1999 has no part 'table-2'; it has table-1, d.2, d.1, d.10, figure-3$"
    ):
        PAPER.only(["table-1", "table-2"])


def test_tables_of_several_seeds_hold_the_nodes_of_all() -> None:
    of_a, of_b = ([figure("Table 1", row, "left", node) for row in ("one", "two")] for node in (A, B))
    assert across_seeds([of_a, of_b]) == (
        figure("Table 1", "one", "left", A, B),
        figure("Table 1", "two", "left", A, B),
    )
    with pytest.raises(ValueError, match="shorter"):
        across_seeds([of_a, of_b[:1]])
    assert seeds_in_words(1).startswith("One training")
    assert seeds_in_words(3).startswith("3 trainings of each net: an interval is that of the mean over trainings")


def test_a_paper_says_where_pixels_are_not_the_original_ones() -> None:
    assert pixels_in_words(DataSource("cifar10", "abc")) == ()
    (said,) = pixels_in_words(DataSource(f"cifar10 ({NOT_ORIGINAL})", "abc", given="cifar10"))
    assert said.startswith("The files of cifar10 that were at hand do not hold the original pixels.")
    assert "--data-dir FOLDER" in said


def test_deviations_say_which_tables_rest_on_several_trainings() -> None:
    def said(learner_seeds: int, seeds: int) -> str:
        lab = Ilyas2019Lab(replace(SCALES["smoke"], learner_seeds=learner_seeds), None, 0)
        return "\n".join(one for one in all_deviations(lab, seeds) if "training" in one.lower() and "interval" in one)

    assert said(1, 1) == seeds_in_words(1)
    assert said(1, 3) == seeds_in_words(3)
    assert said(3, 1).startswith("In Figure 2, Table 1, D.1 (but from noise) and D.7 3 trainings of each net")
    assert said(3, 1).endswith(f"Elsewhere: {seeds_in_words(1)}")
    assert said(3, 2).startswith("In Figure 2, Table 1, D.1 (but from noise) and D.7 6 trainings of each net")
    lab = replace(SCALES["smoke"], learner_seeds=3)
    several = {one.table for one in all_figures(Ilyas2019Lab(lab, None, 0)) if len(one.nodes) == 3}
    assert several == {"Figure 2", "Table 1", "D.1"}  # D.7 needs data that are not at hand


def test_data_are_found_without_a_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_data("digits", None) == DataSource.of("digits")
    monkeypatch.setenv("BRITTLE_DATA", str(tmp_path))
    assert find_data("cifar10.1", tmp_path) is None


def test_tables_are_csv_and_latex() -> None:
    figures = [
        record("net_a", "L2 5 %", 98.25, Share(150, 1000, 0.125, 0.175)),
        record("net_a", "Linf", None, Share(1, 3, 0.0, 1.0)) | {"untrained": 2},
        record("net, b", "Linf", 3.0, Share(1, 2, 0.0125, 0.9875)),
        record("other", "x", None, Share(0, 5, 0.0, 0.5), table="Figure 2"),
    ]
    claim = {"part": "D.2", "name": "n", "claim": "c", "where": "w", "rule": "r", "verdict": "open", "evidence": "e, f"}
    files = table_files({"figures": figures, "claims": [claim]})
    assert set(files) == {"table-1.csv", "table-1.tex", "figure-2.csv", "figure-2.tex", "claims.csv"}
    assert files["table-1.csv"] == (
        "row,column,printed,measured,low,high,n,untrained,verdict,certainty,node\n"
        "net_a,L2 5 %,98.25,15.00,12.50,17.50,1000,0,agrees,quoted,abc\n"
        "net_a,Linf,,33.33,0.00,100.00,3,2,agrees,quoted,abc\n"
        '"net, b",Linf,3.0,50.00,1.25,98.75,2,0,agrees,quoted,abc\n'
    )
    assert files["table-1.tex"] == (
        "% ours (printed), per cent\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        " & L2 5 \\% & Linf \\\\\n"
        "\\midrule\n"
        "net\\_a & 15.0 (98.25) & 33.3 \\\\\n"
        "net, b & -- & 50.0 (3) \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )
    assert "other & 0.0 \\\\" in files["figure-2.tex"]
    assert files["claims.csv"] == 'name,verdict,evidence,claim,where,rule\nn,open,"e, f",c,w,r\n'


def test_the_terminal_shows_tables_and_claims() -> None:
    claim = {"name": "n", "verdict": "open", "evidence": "e"}
    figures = [record("one", "left", 50.0, Share.of(1, 2)), record("one", "right", None, Share.of(0, 2))]
    table, claims = paper_tables({"figures": figures, "claims": [claim]})
    assert (table.title, claims.title) == ("Table 1: ours (printed)", "claims")
    assert [list(map(str, column.cells)) for column in table.columns] == [
        ["left", "right"],
        ["50.0 (50) =", "0.0 ="],
    ]
    assert [list(map(str, column.cells)) for column in claims.columns] == [["n"], ["  open"], ["e"]]
    assert len(paper_tables({"figures": figures, "claims": []})) == 1


def finished(store: Store, node: Done, record: dict[str, Any]) -> None:
    folder = store.work(hash_of(node))
    write_out(folder / "figures.json", json.dumps(record))
    save_tensors(folder / "images.safetensors", {"broken": torch.tensor([True, False])}, {"net": node.name})
    store.finish(hash_of(node), declaration_of(node), node.results)


def test_results_are_read_from_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(LookupError, match="node a is not in the store"):
        Results(store).share(A, "clean")
    names = ("clean", "robust", "union", "shifted", "fooled", "reached", "reached_8bit", "held_out", "held_out_robust")
    shares = {name: Share.of(k, 10) for k, name in enumerate(names)}
    threats = [{"threat": "L2:1", "robust": Share.of(2, 4).record()}]
    held = {name: share.record() for name, share in shares.items()}
    finished(store, A, held | {"threats": threats, "other": 1})
    results = Results(store)
    assert results.shares(A) == shares | {"L2:1": Share.of(2, 4)}
    assert results.survivors(A).tolist() == [False, True]
    net = Done("net", results=("images.safetensors",))
    finished(store, net, {})
    assert results.record_of(net) == {"net": "net"}
    header = {"tried": 40, "history": [{"clean": 0.9, "robust": 0.8}, {"clean": 0.5, "robust": 0.25}]}
    reached = {"held_out": Share.of(20, 40), "held_out_robust": Share.of(10, 40)}
    assert held_out_of(header) == reached  # at the end
    assert held_out_of({"history": [{"clean": 0.5, "robust": None}]}) == {"held_out": Share.of(250, 500)}
    assert held_out_of({}) == {}
    assert shares_of({"threats": ["L2:1"], "held_out": Share.of(1, 4).record()}) == {"held_out": Share.of(1, 4)}
    walk = MadeUp({A: {"plain_of_images": [2.0, 5.0], "averaged_of_images": [3.0, 4.0]}})
    assert walk.path_lengths(A).tolist() == [2.0, 5.0]
    assert walk.path_lengths(A, "averaged").tolist() == [3.0, 4.0]


def test_what_withstands_in_several_threats_withstands_in_each() -> None:
    audit, images = LAB.audit_of(LAB.standard_net), torch.arange(1000)
    results = MadeUp(withstands={audit: torch.stack([images < 600, images >= 250])})
    assert results.withstood(audit, ["L2:0.6"]).equal(images >= 250)
    assert results.share(audit, "L2:0.3 + L2:0.6") == Share.of(350, 1000)
    assert results.pooled([audit, audit], "L2:0.6 + L2:0.3").correct == 700
    assert results.share(audit, "L2:0.6") == results.shares(audit)["L2:0.6"]


def test_a_paper_is_measured_from_its_store(tmp_path: Path) -> None:
    store, c = Store(tmp_path), Done("c")
    runs = [
        {"seconds": 1.5, "hardware": "two cores", "precision": "float32", "commit": "abc"},
        {"seconds": 2.0, "hardware": "a GPU", "precision": "bfloat16", "commit": None},
        {"seconds": 4.0, "hardware": "two cores", "precision": "float32", "commit": "abc"},
    ]
    for node, run in zip((A, B, c), runs, strict=True):
        finished(store, node, {"clean": Share.of(500, 1000).record(), "run": run})
    shown = replace(PAPER.exhibits[0], show=lambda results: ([1], {"clean": torch.zeros(1)}))
    paper = replace(PAPER, seeds=(3, 4), exhibits=(shown,), deviations=("one",), slack="why")
    record, images = measure_paper(paper, store, "cpu", "brittle paper made1999")
    run = record.pop("run")
    results = Results(store)
    assert set(images) == {"0.clean"}
    assert record == {
        "format": "brittle-paper/3",
        "name": "made1999",
        "title": "Made up",
        "link": "https://example.org",
        "about": ["What it is about."],
        "scale": "smoke",
        "seeds": [3, 4],
        "bibtex": "",
        "figures": [figure_record(one, results, carries=True) for one in paper.figures],
        "slack": "why",
        "claims": [claim_record(one, results, carries=True) for one in paper.claims],
        "exhibits": exhibit_records(paper.exhibits, results)[0],
        "deviations": ["one"],
        "agreement": agreement(record["figures"]),
    }
    assert (run["seconds"], run["seed"], run["command"]) == (7.5, 3, "brittle paper made1999")
    joined = ("a GPU; two cores", "bfloat16; float32", "abc; not recorded")
    assert (run["hardware"], run["precision"], run["commit"]) == joined
    assert {one["verdict"] for one in record["claims"]} == {"agrees"}
    quiet, _ = measure_paper(replace(paper, carries=False), store, "cpu", "")
    assert {one["verdict"] for one in (*quiet["claims"], *quiet["figures"])} == {"open"}


def test_a_stored_node_is_compared_with_what_was_computed_again(tmp_path: Path) -> None:
    store, again = Store(tmp_path / "store"), tmp_path / "again"
    finished(store, A, {"clean": Share.of(50, 100).record(), "robust": Share.of(10, 100).record()})
    moved = {"clean": Share.of(51, 100).record(), "robust": Share.of(90, 100).record()}
    write_out(again / "figures.json", json.dumps(moved))
    clean, robust = compare_with_stored(A, store, again)
    assert clean == Repetition("clean", Share.of(50, 100), Share.of(51, 100))
    assert clean.comes_back
    assert robust == Repetition("robust", Share.of(10, 100), Share.of(90, 100))
    assert not robust.comes_back
    finished(store, B, {"history": []})
    with pytest.raises(BrittleError, match="node b holds no accuracy to compare"):
        accuracies(B, store)


@pytest.mark.parametrize(("again", "said"), [(39, False), (40, True), (50, True), (60, True), (61, False)])
def test_a_figure_comes_back_inside_its_interval(again: int, said: bool) -> None:
    assert Repetition("clean", between(0.4, 0.6), Share.of(again, 100)).comes_back is said


def test_a_scatter_has_its_line_and_a_learning_curve_prefers_real_images() -> None:
    results = MadeUp()
    nodes = {name: (Reading(Done(f"{name} x"), "clean"), Reading(Done(f"{name} y"), "fooled")) for name in "pqr"}
    shown, images = scatter(results, nodes, x="across", y="up")
    assert (shown["x"], shown["y"], images) == ("across", "up", {})
    assert [point["x"] for point in shown["points"]] == [
        results.share(x.node, "clean").record() for x, _ in nodes.values()
    ]
    assert [point["y"] for point in shown["points"]] == [
        results.share(y.node, "fooled").record() for _, y in nodes.values()
    ]
    assert shown["line"]["slope"] == pytest.approx(1.0)
    two = {name: nodes[name] for name in "pq"}
    assert scatter(results, two, x="across", y="up")[0]["line"] is None
    rows = [{"epoch": 1, "clean": 0.5, "real": None}, {"epoch": 2, "clean": 0.6, "real": 0.4}]
    net = LAB.standard_net
    assert curves(MadeUp({net: {"history": rows}}), {"net": net})[0] == {"net": [[1, 0.5], [2, 0.4]]}
    robust = MadeUp({net: {"history": [row | {"robust": 0.1 * row["epoch"]} for row in rows]}})
    assert robust_curves(robust, {"net": net})[0] == {"net": [[1, 0.1], [2, 0.2]]}


def test_bars_hold_clean_and_robust_accuracy_beside_the_print() -> None:
    results, attack, other = MadeUp(), LAB.attack_on(LAB.standard_net), LAB.attack_on(LAB.robust_net)
    rows, images = bars(results, {"net": attack, "other": other}, {"net": (95.25, 4.49)})
    clean, robust = (results.share(attack, read).record() for read in ("clean", "robust"))
    assert rows[0] == {"name": "net", "clean": clean, "robust": robust, "printed": (95.25, 4.49)}
    assert (rows[1]["clean"], rows[1]["printed"]) == (results.share(other, "clean").record(), None)
    assert images == {}


def test_features_are_counted_by_verdict_and_shown_where_they_were_attacked() -> None:
    useless = {"rho": 0.0, "gamma": None, "verdict": "useless", "name": "a"}
    robust = {"rho": 0.5, "gamma": 0.3, "verdict": "robustly useful", "name": "b"}
    score = LAB.features_of(LAB.standard_net)
    results = MadeUp({score: {"threat": "L2:1", "features": [useless, robust, useless]}})
    assert features(results, {"net": score})[0] == {
        "net": {
            "threat": "L2:1",
            "counts": {"robustly useful": 1, "useful but not robust": 0, "undecided": 0, "useless": 2},
            "features": [{"rho": 0.5, "gamma": 0.3, "verdict": "robustly useful"}],
        }
    }


@pytest.mark.parametrize("paper", ["ilyas2019-laptop", "li2019-laptop"])
def test_records_of_before_are_still_shown(paper: str, run: Run, tmp_path: Path) -> None:
    status, _, err = run("report", str(RESULTS / paper), "--out", str(tmp_path / "page"))
    assert (status, err) == (0, "")
    held, _ = read_paper(RESULTS / paper)
    page = html.unescape((tmp_path / "page" / "paper.html").read_text())
    assert held["claims"]
    assert page.count("<dt>Agrees if</dt>") == page.count("<dt>Would have failed</dt>") == len(held["claims"])
    for one in held["claims"]:  # rule, what fails it, verdict and evidence stand in one place, and nothing is lost
        (shown,) = re.findall(rf"<h3>{re.escape(one['name'])} <.*?</article>", page, re.DOTALL)
        assert all(word in shown.lower() for word in {*re.findall(r"\w+", one["rule"].lower())} - {"it", "fails"})
        assert one["evidence"] in shown
        assert ("<dd>where " in shown) == ("; it fails where" in one["rule"])
    assert all(one["name"] in page for one in held["claims"])
    assert read_paper(RESULTS / paper)[0]["format"] == "brittle-paper/3"
