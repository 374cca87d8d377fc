"""A page's sentences: each follows from the record, and none says more than it does."""

from __future__ import annotations

from typing import Any

import pytest

from audit_records import audited, said, share
from brittle.report import Audited, page
from brittle.report.words import allowed, certainty, differences, headline


def record(
    right: int = 90, left: int = 60, n: int = 100, level: str = "trust", rounded: int | None = None, **robust: int
) -> dict[str, Any]:
    """A record with so many right, and left of them: in the union, rounded, and in each threat."""
    found: dict[str, Any] = audited("a net", 0.6).record
    found |= {"clean": share(right, n), "union": share(left, n), "union_8bit": share(rounded or left, n)}
    found["data"]["n"] = n
    found["threats"] = [
        {"threat": f"{name}:1", "robust": share(count, n), "robust_8bit": share(count, n), "attacks": [], "curve": None}
        for name, count in (robust or {"Linf": left}).items()
    ]
    found["verdict"]["level"] = level
    found["checks"] = [{"name": "one", "threat": None, "level": "fine", "text": "Seen.", "hint": None}]
    return found


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (record(), "Attacks made it wrong on 30 of the 90 images that it gets right."),
        (record(left=0), "Attacks made it wrong on all 90 images that it gets right."),
        (record(right=1, left=0), "Attacks made it wrong on the only image that it gets right."),
        (record(left=90), "No attack made it wrong on any of the 90 images that it gets right."),
        (record(right=0, left=0), "It is right on none of 100 images, even without an attack."),
        (
            record(level="broken"),
            "Attacks made it wrong on 30 of the 90 images that it gets right; but a check failed, so do not rely on "
            "these figures.",
        ),
        (record() | {"threats": []}, "No threat was tried; left alone it is right on 90 of 100 images."),
    ],
)
def test_the_headline_counts_what_attacks_turned(made: dict[str, Any], sentence: str) -> None:
    assert headline(made) == sentence


def test_a_threat_is_called_more_harmful_only_where_intervals_are_apart() -> None:
    assert differences(record(Linf=80, L2=10)) == "Of these threats, L2:1 clearly does more harm than Linf:1."
    assert differences(record(Linf=60, L2=55)).startswith("No threat does clearly more harm")
    assert differences(record(Linf=60)) == ""


def test_figures_are_called_upper_bounds_unless_all_that_withstands_is_proved() -> None:
    assert "They are upper bounds: a stronger attack could find more." in certainty(record())[0]
    assert "upper bounds" not in certainty(record(left=0))[0]
    proved = record()
    proved["threats"][0]["proved"] = proved["union_proved"] = share(60, 100)
    first, second, *_ = certainty(proved)
    assert "upper bounds" not in first
    assert second == "The 60.0 % are exact on these images: each one that withstands is proved to withstand."
    proved["union_proved"] = share(50, 100)
    assert (
        certainty(proved)[1]
        == "At least 50.0 % of these images withstand every attack there can be in these threats: that is proved."
    )


def test_a_proof_in_one_threat_is_not_said_of_all() -> None:
    part = record(left=10, Linf=60, L2=10)
    part["threats"][0]["proved"], part["union_proved"] = share(40, 100), None
    proofs = [sentence for sentence in certainty(part) if "proved" in sentence]
    assert proofs == ["In Linf:1 at least 40.0 % of these images withstand every attack there can be: that is proved."]
    part["threats"][0]["proved"] = share(0, 100)
    assert not [sentence for sentence in certainty(part) if "proved" in sentence]


@pytest.mark.parametrize(
    ("levels", "level", "sentence"),
    [
        (["fine"] * 3, "trust", "None of 3 checks casts doubt on these figures."),
        (["fine", "note"], "suspicious", "but not everything was tried."),
        (["fine", "warn"], "suspicious", "Of 2 checks 1 casts doubt on these figures."),
        (["bad", "warn", "skipped"], "broken", "Of 2 checks 2 cast doubt on these figures."),
        (["skipped"], "suspicious", "No check was made of whether these figures can be trusted."),
        ([], "trust", "No check was made of whether these figures can be trusted."),
    ],
)
def test_trust_rests_on_checks_that_were_made(levels: list[str], level: str, sentence: str) -> None:
    made = record(level=level)
    made["checks"] = [{**made["checks"][0], "level": one} for one in levels]
    assert sentence in certainty(made)[0]


def test_what_is_special_of_a_model_is_said_and_only_then() -> None:
    plain = record()
    assert not [one for one in certainty(plain) if "random" in one or "reject" in one or "8 bits" in one]
    plain["checks"].append(
        {"name": "draws", "threat": None, "level": "fine", "text": "answers by majority", "hint": ""}
    )
    plain["model"]["reject"] = 10
    plain["union_8bit"] = share(61, 100)
    told = certainty(plain)
    assert "Its answers are random: answers by majority." in told
    assert any(one.startswith("Class 10 rejects an image.") for one in told)
    assert "Rounded to 8 bits, as a file would store them, attacks do less: 1 more image withstands." in told


def test_what_a_threat_allows_is_said_where_it_is_known() -> None:
    assert allowed("Linf:8/255") == "change each pixel by up to 8/255"
    assert allowed("L2:0.5") == "change pixels by up to 0.5 in all, as a straight distance"
    assert allowed("L1:12") == "change pixels by up to 12 in all, added up"
    assert allowed("L0:10") == "change up to 10 pixels at will"
    assert allowed("Spatial:30,1") == "turn the image by up to 30° and move it by up to 1 pixel"
    for other in ("nothing:1", "clean", "Linf:x", ""):
        assert allowed(other) == ""


def test_doubts_are_told_before_the_fold_and_the_rest_folded() -> None:
    made = audited("a net", 0.6)
    html = page([made])
    first = html.index("<details")
    assert "They do not." in said(html[:first])
    assert "PGD-100 leaves less." not in said(html[:first])
    assert "PGD-100 leaves less." in said(html)


def test_a_page_of_each_verdict_says_it_in_words() -> None:
    for level in ("trust", "suspicious", "broken"):
        made = record(level=level)
        shown = page(
            [Audited(made | {"wall": [], "examples": []}, audited("x", 0.5).clean[:0], audited("x", 0.5).clean[:0])]
        )
        assert f"{level.capitalize()}: A sentence about a net." in said(shown)
        assert ("do not rely on these figures" in said(shown)) == (level == "broken")


def test_a_finding_of_several_threats_is_told_once_and_no_more_than_five_before_the_fold() -> None:
    made = record(level="broken")
    made |= {"wall": [], "examples": []}
    same = {"name": "gradients", "level": "bad", "text": "zero everywhere", "hint": "look"}
    made["checks"] = [{**same, "threat": threat} for threat in ("Linf:1", "L2:1")]
    made["checks"] += [{**same, "threat": "L1:1", "level": "warn", "text": f"finding {k}"} for k in range(7)]
    html = page([Audited(made, audited("x", 0.5).clean[:0], audited("x", 0.5).clean[:0])])
    shown = said(html[: html.index("<details")])
    assert "✕ bad Linf:1, L2:1: zero everywhere. look" in shown
    assert shown.count("! warning L1:1: finding") == 4
    assert "3 more such findings stand below, among the checks." in shown
    assert said(html).count("zero everywhere") == 3
