"""The report: every number of the record is on the page, and nothing in a record can act."""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from audit_records import NASTY, THREATS, audited, bare, put, said, shown
from brittle.ground import BrittleError
from brittle.report import Audited, drawing, page, pictures, read_run, standing, write_page
from brittle.report.words import allowed


@pytest.fixture(scope="module")
def two() -> list[Audited]:
    return [audited("robust net", 0.8), audited("standard net", 0.1, channels=1, size=28, seed=1)]


@pytest.fixture(scope="module")
def html(two: list[Audited]) -> str:
    return page(two)


def test_every_number_of_the_record_is_on_the_page(two: list[Audited], html: str) -> None:
    text = said(html)
    for record in (one.record for one in two):
        shares = [record["clean"], record["union"], record["union_8bit"]]
        for threat in record["threats"]:
            shares += [threat["robust"], threat["robust_8bit"], *(attack["left"] for attack in threat["attacks"])]
            for attack in threat["attacks"]:
                refuted = attack["claimed"] - attack["verified"]
                verified = f"{attack['verified']} −{refuted}" if refuted else attack["verified"]
                counts = f"{attack['tried']}{attack['claimed']}{verified}{attack['broke']}"
                assert f"{attack['name']}{counts}{shown(attack['left'])}12.3 s" in text
        assert all(shown(p) in text for p in shares)
        assert record["verdict"]["sentence"] in text
        assert record["verdict"]["next"] in text
        assert record["run"]["command"] in text
        assert record["model"]["digest"] in text
        assert record["data"]["digest"] in text
        for shown_image in record["wall"]:
            title = f"{shown_image['attack']} within {shown_image['threat']}, size {shown_image['size']:.4g}"
            assert html.count(f'title="Image {shown_image["index"]}: {title}"') == 3 * len(two)
    for phrase in (
        "3,274,634 parameters",
        "1 min 3 s",
        "torch 2.13.0",
        "2-core test machine",
        "2026-11-21T09:12:33+00:00",
    ):
        assert phrase in text
    assert "L1:12 1.7 %" in text  # zero gradients
    assert "class 2 → class 3" in text
    assert "its size1.25" in text
    assert "drawn× " in text


def test_the_worst_check_stands_first_and_each_has_its_sign_word_and_hint(html: str) -> None:
    text = said(html)
    assert "2 checks: 1 bad, 1 fine." in text
    assert text.index("✕ badrestarts agree") < text.index("✓ finemore steps help")
    assert "They do not.Add restarts." in text


def test_a_verdict_is_about_the_figures(two: list[Audited], html: str) -> None:
    assert said(html).count("figures: ✓ trust") == 2 * len(two)  # on the card and in the comparison


def test_a_long_path_in_a_command_may_be_broken_after_each_slash(two: list[Audited]) -> None:
    long = copy.deepcopy(two[0])
    long.record["verdict"]["next"] = "brittle audit /a/<b>/c.safetensors --effort thorough -n all"
    spans = "/<wbr>a/<wbr>&lt;b&gt;/<wbr>c.safetensors</span> <span>--effort thorough</span> <span>-n all</span>"
    assert f"<span>brittle</span> <span>audit</span> <span>{spans}" in page([long])


def test_the_matrix_lists_the_first_200_examples_and_counts_the_rest(html: str) -> None:
    text = said(html)
    assert "The first 200 of 240 images; the other 40 are in audit.json." in text
    assert "wrong when clean" in text
    assert "✓ held" in text


def test_the_more_robust_model_is_named_for_each_norm(html: str) -> None:
    text = said(html)
    for column in (*THREATS, "union"):
        may = allowed(column) or "choose among these"
        assert f"If an attacker may {may} ({column}), robust net is more robust" in text
    assert html.count("★</span>") == 4  # not for clean: there both are equal
    assert html.count("≈</span>") == 2


def test_overlapping_intervals_have_no_winner(two: list[Audited]) -> None:
    text = said(page([two[0], audited("its twin", 0.8)]))
    assert "net is more robust" not in text
    assert "(L2:0.5), there is no clear winner: the intervals of robust net and its twin overlap." in text


def test_a_comparison_says_when_the_models_saw_different_examples_or_threats(two: list[Audited]) -> None:
    other = copy.deepcopy(two[1])
    other.record["data"] |= {"digest": "ef" * 32, "n": 7}
    other.record["threats"].pop()
    text = said(page([two[0], other]))
    assert "different examples" in text
    assert "robust net is more robust" in text
    assert "different threats, so that their unions cannot be compared" in text
    assert "choose among these" in said(page(two))
    assert "If an attacker may choose among these" not in text
    assert "not measured" in text
    assert "Which of 2 models is more robust?" in text
    assert "2 audits of robust net" in said(page([two[0], two[0]]))


def test_no_model_is_more_robust_than_one_that_saw_other_data(two: list[Audited]) -> None:
    other = copy.deepcopy(two[1])
    other.record["data"] |= {"digest": "ef" * 32, "name": "mnist/test"}
    html = page([two[0], other])
    assert "on purpose: 240 images of cifar10/test, mnist/test." in said(html)
    assert "audited on different data, so that none can be called more robust" in said(html)
    assert "robust net is more robust" not in said(html)
    assert "★</span>" not in html


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"skipped": ["APGD-8 in L2:0.5 on 20 examples"]}, "its budget was spent before everything was tried"),
        ({"verdict": {"level": "broken", "sentence": "", "next": ""}}, "its figures are broken"),
        ({"verdict": {"level": "suspicious", "sentence": "", "next": ""}}, "its figures are suspicious"),
        ({"asked": {"effort": "quick"}}, "it was attacked with less effort (quick)"),
    ],
)
def test_a_figure_that_may_be_too_high_wins_nothing_and_may_lose(
    two: list[Audited], change: dict[str, Any], reason: str
) -> None:
    best, worse = copy.deepcopy(two)
    for audit in (best, worse):
        audit.record["verdict"]["level"], audit.record["asked"] = "trust", {"effort": "standard"}
    doubtful = [Audited(audit.record | change, audit.clean, audit.adversarial) for audit in (best, worse)]
    html = page([doubtful[0], worse])
    assert re.search(f"no winner is named: robust net shows the most, [0-9.]+ %, but {re.escape(reason)}", said(html))
    assert "net is more robust" not in said(html)
    assert "★</span>" not in html
    assert "robust net is more robust" in said(page([best, doubtful[1]]))


def test_models_of_one_name_are_told_apart_by_their_folders(two: list[Audited]) -> None:
    record = two[0].record
    folders = ("before", "after", "after", "")
    named = [Audited(record, two[0].clean, two[0].adversarial, folder) for folder in folders]
    html = said(page([*named, two[1]]))
    for name in ("robust net (before)", "robust net (2)", "robust net (3)", "robust net (4)"):
        assert name in html
    assert f"{two[1].record['model']['name']} (" not in html


def test_one_model_alone_has_no_comparison(two: list[Audited]) -> None:
    assert "Which model is more robust" not in page(two[:1])


def test_an_audit_with_everything_optional_left_out_still_makes_a_page(two: list[Audited]) -> None:
    least = bare(two[0])
    for threat in least.record["threats"]:
        threat["curve"] = None
    assert "A sentence about robust net." in said(page([least]))
    least.record["threats"].clear()
    assert "<svg" not in page([least])


def test_what_was_left_out_or_seen_in_part_is_said(two: list[Audited]) -> None:
    part = copy.deepcopy(two[0])
    part.record["skipped"] = ["Square-1000 in L1:12 on 17 examples"]
    part.record["verdict"]["next"] = "give a larger budget"
    for threat in part.record["threats"]:
        threat["curve"]["n"] = 100
    html = page([part])
    assert "upper bounds: 1 piece of work was left out." in said(html)
    assert "<li>Square-1000 in L1:12 on 17 examples</li>" in html
    assert "on 100 of the images" in said(html)
    assert "give a larger budget" in said(html)
    assert "<code>give" not in html


def test_inputs_that_are_no_images_are_not_drawn(two: list[Audited]) -> None:
    flat = Audited(two[0].record, two[0].clean.reshape(4, -1), two[0].adversarial.reshape(4, -1))
    assert "<img" not in page([flat])


def test_nothing_in_a_record_is_markup() -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: v if k in ("format", "level", "date") else poison(v) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return value + NASTY if isinstance(value, str) else value

    clean = audited("net", 0.5)
    bad = Audited(poison(clean.record), clean.clean, clean.adversarial)
    for example in bad.record["examples"]:  # keys too
        example["broken_by"] = {f"{k}{NASTY}": v for k, v in example["broken_by"].items()}
    html = page([bad, bad], title=f"title {NASTY}")
    assert html.count("<script") == 1  # the page's own
    assert "&lt;script&gt;alert(" in html


def test_letters_that_xml_or_a_font_lacks_do_no_harm(two: list[Audited]) -> None:
    odd = copy.deepcopy(two[0])
    odd.record["threats"][0]["attacks"][0]["name"] = "\x00 $\\frac$ 攻击 \ud800"
    odd.record["model"]["name"] = "模型 $x_1$"
    assert "$\\frac$ 攻击" in page([odd])


def test_the_same_record_gives_the_same_bytes_whatever_the_settings(two: list[Audited], html: str) -> None:
    with matplotlib.rc_context({"font.size": 40, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert page(two) == html
        assert dict(matplotlib.rcParams) == before


def test_ids_are_unique_and_every_reference_finds_its_own(html: str) -> None:
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:url\(#|href="#|for="|aria-controls="|aria-labelledby=")([^")]+)', html)
    assert set(used) <= set(ids)
    assert html.count("<svg") == html.count("</svg>") == 8  # four figures for each model


def test_the_page_names_no_address_outside_itself(html: str) -> None:
    assert "://" not in html
    assert set(re.findall(r'src="([^:"]*:)', html)) == {"data:"}
    assert "default-src 'none'" in html


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20), (3, 224, 224)])
def test_a_picture_holds_the_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for image in (pixels, (pixels / 255).astype(np.float32)):
        kind, _, code = pictures.picture(image).partition(",")
        assert kind == "data:image/png;base64"
        back = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
        assert np.array_equal(
            back if shape[0] == 1 else np.moveaxis(back, -1, 0), pixels.squeeze(0) if shape[0] == 1 else pixels
        )


def test_a_difference_is_grey_where_nothing_changed_and_fills_the_range() -> None:
    clean = np.full((1, 4, 4), 51, np.uint8)
    adversarial = np.full((1, 4, 4), 0.2, np.float64)
    adversarial[0, 0, 0] += 0.1
    between, factor = pictures.difference(clean, adversarial)
    assert factor == pytest.approx(5)
    assert between[0, 0, 0] == pytest.approx(1)
    assert between[0, 1, 1] == pytest.approx(0.5)
    same, factor = pictures.difference(clean, clean / 255)
    assert factor == 1
    assert np.all(same == 0.5)


def test_names_at_line_ends_keep_their_distance_and_stay_inside() -> None:
    for wanted in ([0.0, 0.0, 0.0], [10.0, 95.0, 99.0], [0.0, 50.0, 100.0]):
        on_device = np.array(drawing.apart(wanted, 15, 100))
        assert np.all(np.diff(on_device) >= 15)
        assert on_device.min() >= 0
        assert on_device.max() <= 100


def test_a_run_is_read_as_it_was_written(two: list[Audited], tmp_path: Path) -> None:
    for whole in (*two, bare(two[0])):
        back = read_run(put(tmp_path / "run", whole))
        assert json.loads(json.dumps(back.record)) == whole.record
        assert np.array_equal(back.clean, whole.clean)
        assert np.array_equal(back.adversarial, whole.adversarial)


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda run: shutil.rmtree(run), "no finished audit here"),
        (lambda run: (run / "audit.json").unlink(), "audit.json is missing"),
        (lambda run: (run / "audit.json").write_text('{"format": "brittle-au'), "not JSON"),
        (lambda run: (run / "audit.json").write_bytes(b"\xff\xfe\x00"), "not JSON"),
        (lambda run: (run / "audit.json").write_text("{}"), "its format is None"),
        (lambda run: (run / "audit.json").write_text("[]"), "damaged: Expected `object`"),
        (lambda run: edit(run, lambda r: r.update(format="brittle-audit/9")), "its format is 'brittle-audit/9'"),
        (lambda run: edit(run, lambda r: r.pop("union")), "missing required field `union`"),
        (
            lambda run: edit(run, lambda r: r["threats"][1]["attacks"][0].pop("left")),
            r"missing required field `left` - at `\$.threats\[1\].attacks\[0\]`",
        ),
        (
            lambda run: edit(run, lambda r: r["threats"][0]["attacks"][1].pop("verified")),
            r"missing required field `verified` - at `\$.threats\[0\].attacks\[1\]`",
        ),
        (lambda run: edit(run, lambda r: r["clean"].update(accuracy="1")), r"at `\$.clean.accuracy`"),
        (lambda run: edit(run, lambda r: r["verdict"].update(level="nice")), "'nice' - at `\\$.verdict.level`"),
        (lambda run: edit(run, lambda r: r.update(checks={})), "Expected `array`, got `object` - at `\\$.checks`"),
        (lambda run: edit(run, lambda r: r["wall"].pop()), "for 3 entries of the wall"),
        (lambda run: (run / "audit.safetensors").write_bytes(b"x" * 40), "audit.safetensors: damaged"),
        (lambda run: save_file({"wall_clean": np.zeros(3)}, run / "audit.safetensors"), "audit.safetensors: damaged"),
    ],
)
def test_a_missing_or_damaged_run_is_one_clear_line(two: list[Audited], tmp_path: Path, harm: Any, line: str) -> None:
    run = put(tmp_path / "run", two[0])
    harm(run)
    with pytest.raises(BrittleError, match=line) as caught:
        read_run(run)
    assert "\n" not in str(caught.value)
    assert str(run) in str(caught.value)


OLD = Path(__file__).parents[1] / "results" / "mnist-madry-linf"


def test_a_record_of_version_1_is_still_read_and_shown(tmp_path: Path) -> None:
    written = json.loads((OLD / "audit.json").read_text())
    assert written["format"] == "brittle-audit/1"
    audited = read_run(OLD)
    assert audited.record["union"]["correct"] == written["union"]["correct"] == 12
    assert [threat["curve"]["radius"] for threat in audited.record["threats"]] == [0.3, 2.0, 10.0]
    text = said(page([audited]))
    for threat in written["threats"]:
        assert f"{threat['threat']}" in text
        assert all(shown(attack["left"]) in text for attack in threat["attacks"])
    assert "units of each threat’s own eps" in page([audited])
    assert "The images are not here" in text


def test_a_size_that_version_1_wrote_as_a_fraction_is_drawn_at_its_value(tmp_path: Path) -> None:
    old = json.loads((OLD / "audit.json").read_text())
    old["threats"] = old["threats"][:1]
    old["threats"][0] |= {"threat": "Linf:8/255", "eps": "8/255"}
    (tmp_path / "audit.json").write_text(json.dumps(old))
    audited = read_run(tmp_path)
    assert audited.record["threats"][0]["curve"]["radius"] == 8 / 255
    assert "eps 8/255" in page([audited])


def test_a_run_without_its_images_is_shown_without_them(two: list[Audited], tmp_path: Path) -> None:
    run = put(tmp_path, two[0])
    assert "<img" in page([read_run(run)])
    (run / "audit.safetensors").unlink()
    html = page([read_run(run)])
    assert "<img" not in html
    assert "The images are not here" in html
    assert "The images are not here" not in page([bare(two[0])])


def edit(run: Path, change: Any) -> None:
    record = json.loads((run / "audit.json").read_text("utf-8"))
    change(record)
    (run / "audit.json").write_text(json.dumps(record), "utf-8")


def test_a_page_is_written_whole_or_not_at_all(
    two: list[Audited], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "page.html"
    assert write_page([bare(two[0])], path, title="first") == path
    old = path.read_text("utf-8")
    assert "<title>first</title>" in old

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BrittleError, match="cannot be written"):
        write_page([bare(two[0])], path, title="second")
    assert path.read_text("utf-8") == old
    assert [child.name for child in path.parent.iterdir()] == ["page.html"]


def test_no_audit_or_a_place_that_is_a_file_is_one_clear_line(two: list[Audited], tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match="at least one audit"):
        page([])
    (tmp_path / "file").touch()
    with pytest.raises(BrittleError, match="cannot be written"):
        write_page([bare(two[0])], tmp_path / "file" / "page.html")


@pytest.mark.parametrize(
    "history",
    [
        [{}],
        [{"epoch": None, "loss": 1}],
        [{"epoch": "two", "clean": 0.5}, {"epoch": 1, "clean": "high", "loss": None}],
        [{"epoch": 0, "loss": 1}, {"epoch": -3, "loss": 2}, {"loss": 3}],
        [{"epoch": 10**400, "loss": 1}, {"epoch": 1e308, "loss": 1}],
        [{"epoch": 1, "loss": 1e308, "robust": -1e308}, {"epoch": 2, "loss": 10**400}],
        [{"epoch": 1, "other": 1}, {"epoch": 1, "other": 2}],
    ],
)
def test_odd_rows_of_a_training_history_are_left_out(
    two: list[Audited], tmp_path: Path, history: list[dict[str, Any]]
) -> None:
    odd = copy.deepcopy(two[0])
    odd.record["model"]["training"]["history"] = history
    assert "<b>Training</b>" not in page([odd])
    odd.record["model"]["training"]["history"] = [*history, {"epoch": 2, "clean": 0.75}]
    assert "epoch 2: clean 75.0 %" in page([odd])


def test_a_curve_whose_lists_differ_in_length_is_damage(two: list[Audited], tmp_path: Path) -> None:
    run = put(tmp_path / "run", two[0])
    edit(run, lambda r: r["threats"][0]["curve"]["low"].pop())
    with pytest.raises(BrittleError, match="damaged: a curve's lists differ in length"):
        read_run(run)


def test_colours_of_figures_are_the_page_s_and_their_own_in_a_file(two: list[Audited]) -> None:
    html = page(two)
    drawn = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert all("var(--soft, #5b6570)" in one for one in drawn)
    for one in drawn:
        style = " ".join(re.findall(r'style="([^"]*)"', one))
        assert re.findall(r"(?<!, )#[0-9a-f]{6}", style) == []  # each can be another in the dark
        alone = standing(one)
        assert "var(" not in alone
        assert "readings" not in alone
        assert "#5b6570" in alone
