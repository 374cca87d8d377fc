"""A folder of runs: every audit below it is compared, everything else is left out with a line that says so."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from audit_records import NASTY, audited, put, said, shown
from brittle.ground import BrittleError
from brittle.report import write_index, write_page
from brittle.report.index import against
from conftest import Run


def fill(runs: Path) -> None:
    put(runs / "one", audited("weak net", 0.1))
    put(runs / "deep" / "er", audited("strong net", 0.9))
    other = audited("another data set's", 0.5)
    other.record["data"]["name"] = "mnist/test"
    other.record["threats"].pop()
    put(runs / "other", other)


def test_audits_are_compared_by_data_set_the_most_robust_first(tmp_path: Path) -> None:
    fill(tmp_path)
    path, left_out = write_index(tmp_path)
    assert (path, left_out) == (tmp_path / "index.html", [])
    text = said(path.read_text("utf-8"))
    assert text.index("cifar10/test") < text.index("strong net") < text.index("weak net") < text.index("mnist/test")
    assert "3 audits." in text
    assert text.index("another data set") > text.index("mnist/test")
    for strength in (0.1, 0.9):
        record = audited("", strength).record
        shares = [record["clean"], record["union"], *(threat["robust"] for threat in record["threats"])]
        assert all(shown(one) in text for one in shares)
    assert path.read_text("utf-8").count("<svg") == 1  # clean against union, where there are two to compare


def test_an_audit_that_may_have_missed_more_comes_last_with_the_reason(tmp_path: Path) -> None:
    fill(tmp_path)
    assert 'aria-sort="descending"' in write_index(tmp_path)[0].read_text("utf-8")
    doubted = audited("masked net", 0.95)
    doubted.record["verdict"]["level"] = "broken"
    put(tmp_path / "masked", doubted)
    html = write_index(tmp_path)[0].read_text("utf-8")
    first = html.partition("cifar10/test")[2].partition("mnist/test")[0]
    text = said(first)
    assert text.index("strong net") < text.index("weak net") < text.index("masked net")
    assert "masked: its figures are broken" in text
    assert "aria-sort" not in first


def test_unions_of_unlike_threats_are_not_put_in_order(tmp_path: Path) -> None:
    put(tmp_path / "all", audited("a net", 0.1))
    part = audited("a net", 0.9)
    part.record["threats"].pop()
    put(tmp_path / "part", part)
    html = write_index(tmp_path)[0].read_text("utf-8")
    assert "unions of unlike threats cannot be compared" in said(html)
    assert said(html).index("all") < said(html).index("part")
    assert "aria-sort" not in html.partition("<tbody>")[0].partition("<thead>")[2]
    assert "<svg" not in html
    put(tmp_path / "part", audited("a net", 0.9))
    html = write_index(tmp_path)[0].read_text("utf-8")
    assert "cannot be compared" not in said(html)
    assert "a net (part)" in html


def test_a_point_of_the_figure_is_read_off_where_it_is_drawn() -> None:
    root = ElementTree.fromstring(against([audited(f"net {k}", k / 4, seed=k).record for k in range(4)], "figure"))
    drawn = [[float(use.get(axis, "")) for axis in "xy"] for use in root.iter("use")]
    places = [[float(rect.get(key, "")) for key in ("x", "y", "width", "height")] for rect in root.iter("rect")]
    places = [place for place in places if place[2] == place[3] == 22]
    assert len(places) == 4
    for x, y, width, height in places:
        assert min(abs(x + width / 2 - at[0]) + abs(y + height / 2 - at[1]) for at in drawn) < 0.2


def test_what_is_no_audit_is_left_out_with_a_line(tmp_path: Path, run: Run) -> None:
    runs = tmp_path / "runs"
    fill(runs)
    (runs / "empty <b>").mkdir()
    (runs / "broken").mkdir()
    (runs / "broken" / "audit.json").write_text("{")
    (runs / "foreign").mkdir()
    (runs / "foreign" / "audit.json").write_text('{"format": "another/1"}')
    (runs / "a paper").mkdir()
    (runs / "a paper" / "paper.json").write_text("{}")
    (runs / "notes.txt").touch()
    (runs / ".hidden").mkdir()
    status, out, err = run("report", "runs")
    assert status == 0
    assert out == "The page: runs/index.html\n"
    lines = err.splitlines()
    assert len(lines) == 4
    for line, (name, why) in zip(
        lines,
        [("a paper", "a paper"), ("broken", "not JSON"), ("empty <b>", "no audit.json"), ("foreign", "'another/1'")],
        strict=True,
    ):
        assert line.startswith(f"left out: runs/{name}")
        assert why in line
    page = (runs / "index.html").read_text("utf-8")
    assert run("report", "runs", "--out", "pages")[1] == "The page: pages/index.html\n"
    assert "empty &lt;b&gt;" in page
    assert all(line.removeprefix("left out: ") in said(page) for line in lines)


def test_a_row_links_to_the_page_of_its_own_audit(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    odd = put(runs / "a #1 ?&'\"", audited("linked", 0.5))
    write_page([audited("linked", 0.5)], odd / "report.html")
    put(runs / "none", audited("not linked", 0.4))
    page = write_index(runs)[0].read_text("utf-8")
    assert page.count("<a ") == 1
    assert 'href="./a%20%231%20%3F%26%27%22/report.html"' in page
    elsewhere = write_index(runs, tmp_path / "pages" / "all.html")[0].read_text("utf-8")
    assert "./../runs/a%20" in elsewhere


def test_no_name_in_an_index_is_markup(tmp_path: Path) -> None:
    bad = audited(f"net{NASTY}", 0.5)
    bad.record["data"]["name"] += NASTY
    for threat in bad.record["threats"]:
        threat["threat"] += NASTY
    for folder in ("javascript:alert(1)", "<img src=x onerror=alert(1)>"):
        put(tmp_path / folder, bad)
        write_page([bad], tmp_path / folder / "report.html")
    page = write_index(tmp_path)[0].read_text("utf-8")
    assert page.count("<script") == 1  # the page's own
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "&lt;script&gt;alert(" in page


def test_a_folder_without_any_audit_is_one_clear_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    status, _, err = run("report", "runs")
    assert status == 2
    assert err.count("\n") == 1
    assert "runs holds no audit that can be read" in err
    assert "runs/empty: no audit.json in it" in err
    with pytest.raises(BrittleError, match="cannot be read"):
        write_index(tmp_path / "nowhere")
