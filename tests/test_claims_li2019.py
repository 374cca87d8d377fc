"""The claims of the norm-agnostic paper on made-up figures: each agrees, differs and stays open where it should."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from brittle.attacks import AttackSpec, Linf
from brittle.audits import Interval, mean_interval, paired_interval
from brittle.papers import Claim, Evidence, Share, li2019
from brittle.papers.li2019 import claims, evidence, mechanism, norms
from brittle.papers.li2019.lab import Li2019Lab
from brittle.papers.li2019.mechanism import AUTHORS, EXACT, ONE_DRAW, PGD, variants
from brittle.papers.li2019.scales import SCALES, Sizes
from brittle.papers.results import paired_difference
from made_up import E, MadeUp, above, below, between, interval

LAB = Li2019Lab(SCALES["smoke"], None, 0)
N = SCALES["smoke"].n


def verdict(of: Evidence, **changes: Any) -> str:
    return replace(of, **changes).ruling().verdict  # type: ignore[type-var]


FLAT = evidence.FlatAlongThePath(
    defences={"TRADES": interval(0.1, 0.2), "Madry": interval(0.05, 0.15)},
    natural={"TRADES": interval(0.5, 0.7), "Madry": interval(0.6, 0.8)},
)


@pytest.mark.parametrize("name", ["TRADES", "Madry"])
def test_flat_is_less_than_half_of_the_same_net_trained_naturally(name: str) -> None:
    assert verdict(FLAT) == "agrees"
    own, natural = FLAT.defences[name], FLAT.natural[name]
    for ends, said in below(natural.low / 2, natural.high / 2):
        assert verdict(FLAT, defences={**FLAT.defences, name: interval(*ends)}) == said
    for ends, said in above(2 * own.low, 2 * own.high):
        assert verdict(FLAT, natural={**FLAT.natural, name: interval(*ends)}) == said


@pytest.mark.parametrize(("ends", "said"), above(0.0))
def test_longer_along_the_path_is_judged_by_the_plain_gradient(ends: tuple[float, float], said: str) -> None:
    found = evidence.LongerAlongThePath(interval(*ends), averaged=interval(-1, 1), of_pgd=interval(0.2, 0.3))
    assert found.ruling().verdict == said
    less = evidence.LongerAlongThePath(Interval(-0.25, -0.5, 0.125), Interval(0.5, 0.25, 0.75), Interval(0.2, 0.1, 0.3))
    assert less.ruling().evidence == (
        "over S-O's path the plain gradient is shorter by 0.25 [-0.125, 0.5] than over PGD's, where it is "
        "0.2 [0.1, 0.3]; the mean over noise, beside it, is longer by 0.5 [0.25, 0.75]"
    )


@pytest.mark.parametrize("where", ["one", "other"])
@pytest.mark.parametrize(("ends", "said"), above(0.5))
def test_pgd_overstates_where_most_that_it_leaves_breaks(where: str, ends: tuple[float, float], said: str) -> None:
    broken = {"one": between(0.9, 1.0), "other": between(0.8, 0.9)}
    differences = {"one": interval(0.01, 0.02), "other": interval(0.2, 0.3)}
    assert evidence.PgdOverstates(differences, broken | {where: between(*ends)}, 100).ruling().verdict == said
    assert evidence.PgdOverstates({"one": Interval(0.18, 0.11, 0.26)}, {"one": between(0.8, 0.9)}, 100).ruling() == (
        "agrees",
        "on the same 100 images PGD - S-O in points: one 18.0 [11.0, 26.0]; of those that PGD leaves S-O breaks: one "
        "85.0 [80.0, 90.0] %",
    )


@pytest.mark.parametrize("where", ["one", "other"])
@pytest.mark.parametrize(("ends", "said"), below(0.35))
def test_a_net_falls_below_35_per_cent(where: str, ends: tuple[float, float], said: str) -> None:
    robust = {"one": between(0.1, 0.3), "other": between(0.0, 0.2)}
    assert verdict(evidence.OneNormIsNotAnother(robust, ())) == "agrees"
    assert verdict(evidence.OneNormIsNotAnother(robust | {where: between(*ends)}, ())) == said
    assert evidence.OneNormIsNotAnother(robust, ("third",)).ruling().evidence == (
        "one 20.0 [10.0, 30.0] %; other 10.0 [0.0, 20.0] %; not trained, and not asked: third"
    )


GAINS = {"Madry": interval(0.05, 0.15), "TRADES": interval(-0.1, 0.0)}
MIXING = evidence.MixingBarelyHelps(
    GAINS, mix=dict.fromkeys(GAINS, between(0.1, 0.3)), reach=between(0.5, 0.6), untrained=()
)


@pytest.mark.parametrize("name", ["Madry", "TRADES"])
@pytest.mark.parametrize(("ends", "said"), below(0.2))
def test_mixing_helps_where_many_more_withstand_all(name: str, ends: tuple[float, float], said: str) -> None:
    assert verdict(MIXING) == "agrees"
    assert verdict(MIXING, gains=GAINS | {name: interval(*ends)}) == said


@pytest.mark.parametrize(("low", "said"), [(0.2 + E, "agrees"), (0.2, "open"), (0.1, "open")])
def test_mixing_is_asked_where_it_could_help(low: float, said: str) -> None:
    assert verdict(MIXING, reach=between(low, 0.3)) == said
    assert verdict(MIXING, reach=between(low, 0.3), gains={"Madry": interval(0.3, 0.4)}) == "differs"
    assert replace(MIXING, gains={"Madry": GAINS["Madry"]}).ruling().evidence == (
        "Madry: 20.0 [10.0, 30.0] % of the Mix net's images withstand both, 10.0 [5.0, 15.0] points more than of the "
        "better single-norm net's; the best single-norm net keeps 55.0 [50.0, 60.0] % in its own norm"
    )


@pytest.mark.parametrize("where", ["one", "other"])
@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((E - 0.05, 0.05 - E), "agrees"),
        ((-0.05, 0.0), "open"),
        ((0.0, 0.05), "open"),
        ((-0.06, 0.0), "open"),
        ((0.0, 0.06), "open"),
        ((-0.2, 0.2), "open"),
        ((0.05, 0.2), "open"),
        ((0.05 + E, 0.2), "differs"),
        ((-0.2, -0.05), "open"),
        ((-0.2, -0.05 - E), "differs"),
    ],
)
def test_attacks_agree_within_five_points(where: str, ends: tuple[float, float], said: str) -> None:
    differences = {"one": interval(-0.02, 0.02), "other": interval(0.0, 0.02)}
    assert verdict(evidence.NothingHidden(differences, ())) == "agrees"
    assert verdict(evidence.NothingHidden(differences | {where: interval(*ends)}, ())) == said


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.4 + E, 0.5), "agrees"),
        ((0.4, 0.5), "open"),
        ((0.0, 0.1), "open"),
        ((0.0, 0.1 - E), "differs"),
    ],
)
def test_helping_in_part_is_above_the_better_of_the_others(ends: tuple[float, float], said: str) -> None:
    found = evidence.PartlyFixed({"one": between(0.8, 0.9)}, between(0.2, 0.4), ())
    assert verdict(found) == "agrees"
    assert verdict(found, asked=found.asked | {"two": between(*ends)}) == said


@pytest.mark.parametrize(
    "of_none",
    [
        evidence.OneNormIsNotAnother({}, ("Madry L2",)),
        evidence.MixingBarelyHelps({}, {}, between(0.5, 0.6), ("Madry L2",)),
        evidence.NothingHidden({}, ("Madry L2",)),
        evidence.PartlyFixed({}, between(0.1, 0.2), ("Madry L2",)),
    ],
)
def test_nothing_is_said_of_nets_that_are_not_trained(of_none: Evidence) -> None:
    assert of_none.ruling() == ("open", "no net is trained: Madry L2")


@pytest.mark.parametrize("where", ["one", "other"])
@pytest.mark.parametrize(("ends", "said"), below(0.1))
def test_nothing_similar_is_less_than_ten_points(where: str, ends: tuple[float, float], said: str) -> None:
    differences = {"one": interval(-0.02, 0.04), "other": interval(0.0, 0.02)}
    found = evidence.NotOnCifar(differences | {where: interval(*ends)}, between(0.3, 0.4), 100)
    assert found.ruling().verdict == said


@pytest.mark.parametrize(("ends", "said"), below(0.05))
def test_one_draw_suffices_within_five_points(ends: tuple[float, float], said: str) -> None:
    found = evidence.OneDrawSuffices({"one": interval(-0.4, -0.1), "other": interval(*ends)})
    assert found.ruling().verdict == said


@pytest.mark.parametrize(("ends", "said"), above(0.0))
def test_curvature_must_close_half_of_a_gap_that_is_there(ends: tuple[float, float], said: str) -> None:
    gap, exact = {"one": interval(0.4, 0.6)}, {"one": interval(0.3, 0.5)}
    found = evidence.Explains("exact products", {"one": interval(*ends)}, exact, gap)
    assert found.ruling().verdict == said
    assert verdict(found, second_order={"one": interval(-0.1, 0.1)}) == "open"
    assert "one: exact products break 40.0 [30.0, 50.0] points beyond PGD, S-O 50.0" in found.ruling().evidence


def test_the_difference_counts_images_that_only_one_attack_leaves() -> None:
    pgd, second_order = torch.arange(50) < 40, (torch.arange(50) < 30) | (torch.arange(50) == 45)
    found = paired_difference(pgd, second_order)
    assert found.mean == pytest.approx(9 / 50)
    assert found == paired_interval(10, 1, 50)


def test_what_withstands_all_attacks_withstands_each() -> None:
    images = torch.arange(10)
    assert evidence.share_of_all([images < 7, images > 2, images != 5]) == Share.of(3, 10)


def test_evidence_along_paths_is_read_from_the_nets_that_it_names() -> None:
    trades = LAB.defences["TRADES", "Linf"]
    natural, madry = LAB.walk(LAB.natural_trades, "pgd"), LAB.walk(LAB.defences["Madry", "Linf"], "pgd")
    pgd, second_order = LAB.walk(trades, "pgd"), LAB.walk(trades, "second_order")
    plain = {natural: [5.0, 7.0], pgd: [1.0, 2.0], second_order: [4.0, 3.0], madry: [0.5, 0.6]}
    results = MadeUp(
        {
            walk: {"plain_of_images": lengths, "averaged_of_images": [10 * one for one in lengths]}
            for walk, lengths in plain.items()
        }
    )
    found = claims.flat_along_the_path(LAB).evidence(results)
    assert isinstance(found, evidence.FlatAlongThePath)
    assert {name: one.mean for name, one in found.defences.items()} == {"TRADES": 1.5, "Madry": pytest.approx(0.55)}
    assert {name: one.mean for name, one in found.natural.items()} == {"TRADES": 6.0, "Madry": 6.0}
    assert claims.longer_along_the_path(LAB).evidence(results) == evidence.LongerAlongThePath(
        mean_interval(np.array([3.0, 1.0]), LAB.seed),
        mean_interval(np.array([30.0, 10.0]), LAB.seed),
        mean_interval(np.array([1.0, 2.0]), LAB.seed),
    )


def test_pgd_and_second_order_are_laid_side_by_side_image_by_image() -> None:
    broken = {}
    for name, gap in (("TRADES", 15), ("Madry", 30)):
        net = LAB.defences[name, "Linf"]
        broken[LAB.attack_in_row(net, "PGD L2")] = torch.arange(N) >= 40
        broken[LAB.attack_in_row(net, "S-O L2")] = (torch.arange(N) >= 40 - gap) & (torch.arange(N) != 50)
    found = claims.pgd_overstates(LAB).evidence(MadeUp(broken=broken))
    assert isinstance(found, evidence.PgdOverstates)
    assert {name: round(N * one.mean) for name, one in found.differences.items()} == {"TRADES": 14, "Madry": 29}
    assert found.broken == {"TRADES": Share.of(15, 40), "Madry": Share.of(30, 40)}


ASKED_TO_FALL = {
    ("Madry", "L2"): "Linf",
    ("TRADES", "L2"): "Linf",
    ("Ensemble", "L2"): "Linf",
    ("ATDA", "L2"): "Linf",
    ("Madry", "Linf"): "L2",
    ("TRADES", "Linf"): "L2",
}


def under_second_order(*untrained: tuple[str, str]) -> dict[Any, Any]:
    """Records in which every defence keeps a tenth of its own norms, but for some that keep less."""
    records = {}
    for (name, norm), net in LAB.defences.items():
        for own in LAB.own_threats(norm):
            kept = Share.of(99 if (name, norm) in untrained else 100, 1000)
            records[LAB.attack_in_row(net, f"S-O {own}")] = {"robust": kept.record()}
    return records


def test_falling_is_asked_of_trained_nets_under_both_attacks_in_the_other_norm() -> None:
    broken = {}
    for k, (net, other) in enumerate(ASKED_TO_FALL.items()):
        pgd, second = (LAB.attack_in_row(LAB.defences[net], f"{kind} {other}") for kind in ("PGD", "S-O"))
        broken |= {pgd: torch.arange(N) >= 20, second: torch.arange(N) < 20 - k}  # k images withstand both
    found = norms.one_norm_is_not_another(LAB).evidence(MadeUp(under_second_order(("ATDA", "L2")), broken))
    assert isinstance(found, evidence.OneNormIsNotAnother)
    assert found.untrained == ("ATDA L2",)
    assert found.robust == {
        f"{' '.join(net)} in {other}": Share.of(k, N)
        for k, (net, other) in enumerate(ASKED_TO_FALL.items())
        if net != ("ATDA", "L2")
    }


def test_a_net_is_trained_that_keeps_a_tenth_of_its_own_norm_and_a_mix_of_one_of_its_norms() -> None:
    records = under_second_order(("TRADES", "L2"))
    assert LAB.floor("Madry", "L2").reached(MadeUp(records))
    assert not LAB.floor("TRADES", "L2").reached(MadeUp(records))
    mix = LAB.defences["Madry", "Mix"]
    records[LAB.attack_in_row(mix, "S-O L2")] = {"robust": Share.of(0, 1000).record()}
    assert LAB.floor("Madry", "Mix").reached(MadeUp(records))
    records[LAB.attack_in_row(mix, "S-O Linf")] = {"robust": Share.of(99, 1000).record()}
    assert not LAB.floor("Madry", "Mix").reached(MadeUp(records))


LEFT = {("Madry", "L2"): 4, ("Madry", "Linf"): 9, ("Madry", "Mix"): 6}
LEFT |= {("TRADES", "L2"): 12, ("TRADES", "Linf"): 2, ("TRADES", "Mix"): 30}
LEFT |= {(name, norm): 1 for name in ("Ensemble", "ATDA") for norm in ("L2", "Linf", "Mix")}
WHOLE = {"Madry": -3, "Ensemble": 0, "ATDA": 0}


def test_mixing_is_compared_with_the_better_net_image_by_image() -> None:
    broken = {
        LAB.attack_in_row(LAB.defences[net], row): torch.arange(N) >= (count if row == "S-O Linf" else 40)
        for net, count in LEFT.items()
        for row in ("PGD L2", "S-O L2", "PGD Linf", "S-O Linf")
    }
    found = norms.mixing_barely_helps(LAB).evidence(MadeUp(under_second_order(("TRADES", "Mix")), broken))
    assert isinstance(found, evidence.MixingBarelyHelps)
    assert found.untrained == ("TRADES Mix",)
    assert {name: round(N * one.mean) for name, one in found.gains.items()} == WHOLE
    assert found.mix == {name: Share.of(LEFT[name, "Mix"], N) for name in WHOLE}
    assert found.reach == Share.of(9, N)  # of Madry's Linf net under both attacks in Linf; in L2 the best keep 40


def test_at_the_reduced_size_mixing_is_compared_by_what_audits_leave() -> None:
    withstands = {}
    for net, count in LEFT.items():
        audit = LAB.audit_of(LAB.defences[net])
        assert audit.threats == (LAB.linf, LAB.small_l2, LAB.l2, LAB.l1)
        rows = [torch.arange(N) < 40, torch.arange(N) >= 40 - count, torch.arange(N) < 0, torch.arange(N) < 0]
        withstands[audit] = torch.stack(rows)
    results = MadeUp(under_second_order(("TRADES", "Mix")), withstands=withstands)
    found = norms.mixing_barely_helps_at_the_reduced_size(LAB).evidence(results)
    assert isinstance(found, evidence.MixingBarelyHelps)
    assert {name: round(N * one.mean) for name, one in found.gains.items()} == WHOLE
    assert found.mix == {name: Share.of(LEFT[name, "Mix"], N) for name in WHOLE}
    assert found.reach == Share.of(20 + 12, N)  # of TRADES' L2 net in L2 of the reduced size


def test_ensemble_and_atda_are_compared_in_every_norm() -> None:
    nets = [(name, norm) for name in ("Ensemble", "ATDA") for norm in ("L2", "Linf", "Mix")]
    kept = {
        (net, row): 20 + k - 3 * j + (k * j) % 5
        for k, net in enumerate(nets)
        for j, row in enumerate(("PGD L2", "S-O L2", "PGD Linf", "S-O Linf"))
    }
    broken = {LAB.attack_in_row(LAB.defences[net], row): torch.arange(N) >= count for (net, row), count in kept.items()}
    found = norms.nothing_hidden(LAB).evidence(MadeUp(under_second_order(("ATDA", "Mix")), broken))
    assert isinstance(found, evidence.NothingHidden)
    assert found.untrained == ("ATDA Mix",)
    assert {where: round(N * one.mean) for where, one in found.differences.items()} == {
        f"{' '.join(net)} net in {end}": kept[net, f"PGD {end}"] - kept[net, f"S-O {end}"]
        for net in nets[:-1]
        for end in ("L2", "Linf")
    }


def test_help_in_part_is_beside_the_better_of_madry_and_trades() -> None:
    records = under_second_order(("Ensemble", "Linf"))
    for k, name in enumerate(("Madry", "TRADES", "ATDA", "Ensemble")):
        records[LAB.attack_in_row(LAB.defences[name, "Linf"], "S-O L2")] = {"robust": Share.of(10 + k, 1000).record()}
    assert norms.partly_fixed(LAB).evidence(MadeUp(records)) == evidence.PartlyFixed(
        {"ATDA Linf": Share.of(12, 1000)}, Share.of(11, 1000), ("Ensemble Linf",)
    )


def test_the_mechanism_is_read_from_its_parts() -> None:
    broken, finite = {}, mechanism.over(4.2)
    for name, counts in (("TRADES", (50, 10, 30, 12, 20)), ("Madry", (40, 20, 38, 15, 20))):
        attacks = variants(LAB, LAB.defences[name, "Linf"])
        for what, count in zip((PGD, AUTHORS, EXACT, ONE_DRAW, finite), counts, strict=True):
            broken[attacks[what]] = torch.arange(N) >= count
    curved = mechanism.curvature_explains(LAB).evidence(MadeUp(broken=broken))
    assert isinstance(curved, evidence.Explains)
    assert curved.part["TRADES"].mean == pytest.approx(20 / N)
    assert curved.second_order["Madry"].mean == pytest.approx(20 / N)
    assert curved.beyond_half["Madry"].mean == pytest.approx((2 - 10) / N)
    differing = mechanism.differences_explain(LAB).evidence(MadeUp(broken=broken))
    assert isinstance(differing, evidence.Explains)
    assert differing.beyond_half["TRADES"].mean == pytest.approx((30 - 20) / N)
    one_draw = mechanism.one_draw_suffices(LAB).evidence(MadeUp(broken=broken))
    assert isinstance(one_draw, evidence.OneDrawSuffices)
    assert {name: round(N * one.mean) for name, one in one_draw.differences.items()} == {"TRADES": 2, "Madry": -5}


def test_parts_of_the_mechanism_differ_in_what_they_are_called_after() -> None:
    attacks = variants(LAB, LAB.defences["Madry", "Linf"])
    assert len(set(attacks.values())) == len(attacks)
    draws, scale = LAB.scale.draws, LAB.scale
    assert attacks[f"PGD, {draws} random starts"].restarts == draws
    assert attacks[ONE_DRAW].attack == AttackSpec.of(
        "second_order_apgd", steps=scale.attack_steps, start="random", draws=1, sigma=0.15
    )
    assert attacks["PGD on the margin"].attack.loss == "margin"
    assert {one.threat for one in attacks.values()} == {LAB.small_l2}


def test_the_cifar_remark_is_about_l2_with_two_scales_of_noise() -> None:
    pgd, own = LAB.trial_attack("PGD L2"), LAB.trial_attack("PGD Linf")
    authors, scaled = LAB.trial_attack("S-O L2"), LAB.trial_attack("S-O L2", scaled=True)
    assert scaled.attack.settings["sigma"] == pytest.approx(0.15 * 0.6 / 1.2)
    broken = {pgd: torch.arange(30) >= 20, authors: torch.arange(30) >= 17, scaled: torch.arange(30) >= 14}
    results = MadeUp({own: {"robust": Share.of(7, 30).record()}}, broken)
    found = claims.not_on_cifar(LAB).evidence(results)
    assert isinstance(found, evidence.NotOnCifar)
    assert {name: one.mean for name, one in found.differences.items()} == {
        "noise of 0.15": pytest.approx(0.1),
        "noise of 0.075": pytest.approx(0.2),
    }
    assert found.own == Share.of(7, 30)


@pytest.mark.parametrize("claim", li2019("smoke").claims, ids=lambda claim: claim.name)
def test_a_claim_names_the_nodes_that_it_reads(claim: Claim) -> None:
    results = MadeUp()
    claim.evidence(results)
    assert set(results.read) == set(claim.nodes)


def test_claims_stand_where_the_paper_makes_them() -> None:
    found = {claim.name: (claim.part, claim.where) for claim in li2019("smoke").claims}
    assert found == {
        "flat along PGD's path": ("Figure 1", "section 3 and Figure 1"),
        "longer along S-O's path": ("Figure 1", "Figure 1"),
        "PGD overstates": ("Table 1", "Table 1, Madry and TRADES"),
        "one norm is not another": ("Table 1", "Table 1"),
        "mixing barely helps": ("Table 1", "Table 1, Mix"),
        "mixing barely helps at the reduced size": (
            "What is left",
            "Table 1, Mix, asked where a net can be robust in both norms",
        ),
        "Ensemble and ATDA hide nothing": ("Table 1", "Table 1, Ensemble and ATDA"),
        "Ensemble and ATDA help in part": ("Table 1", "Table 1"),
        "curvature at the point explains it": ("Reduced size", "equation 3, for an infinitely small step"),
        "a difference of two gradients explains it": ("Reduced size", "equation 3, over a finite step"),
        "one draw suffices": ("Reduced size", "not in the paper: a finding on a public net"),
        "not on CIFAR-10": ("CIFAR-10", "remark in the experiments"),
    }


def test_rules_in_words_tell_the_thresholds() -> None:
    words = {claim.name: claim.rule for claim in li2019("smoke").claims}
    assert "below 50 % of that of the same net" in words["flat along PGD's path"]
    assert "more than 50 % of the images" in words["PGD overstates"]
    assert "below 35 %" in words["one norm is not another"]
    assert "fewer than 20 of 100" in words["mixing barely helps"]
    assert "in Linf:0.15 and in L2:0.6" in words["mixing barely helps at the reduced size"]
    assert "inside +-5 points" in words["Ensemble and ATDA hide nothing"]
    assert "more than 50 % of what S-O breaks" in words["curvature at the point explains it"]
    assert "what differences of gradients over 4.2 break" in words["a difference of two gradients explains it"]
    assert "below 5 points" in words["one draw suffices"]
    assert "below 10 points" in words["not on CIFAR-10"]
    assert "lies below 10 %" in words["Ensemble and ATDA help in part"]
    assert "keep 10 % under S-O in their own norm" in words["Ensemble and ATDA help in part"]
    assert all("it fails where" in rule for rule in words.values())


def test_attacks_have_the_authors_settings() -> None:
    scale = replace(SCALES["smoke"], sizes=Sizes(linf="0.3", l2="4", small_l2="2", l1="10"), attack_steps=40, draws=20)
    lab = Li2019Lab(scale, None, 0)
    in_linf, in_l2 = (lab.authors_attack("second_order", threat) for threat in (lab.linf, lab.l2))
    assert in_linf.settings["step"] == pytest.approx(0.01)
    assert in_l2.settings["step"] == pytest.approx(2.5 * 4 / 40)
    plain = AttackSpec.of("second_order", steps=40, start="clean", draws=20)
    steps = {"linf": in_linf.settings["step"], "l2": in_l2.settings["step"]}
    assert in_linf == plain.changed(step=steps["linf"], sigma=0.1, clamp="each")
    assert in_l2 == plain.changed(step=steps["l2"], sigma=0.15, clamp="end")
    assert lab.authors_attack("second_order", lab.small_l2).settings["step"] == pytest.approx(2.5 * 2 / 40)
    assert lab.authors_attack("pgd", lab.linf) == AttackSpec.of("pgd", steps=40, step=steps["linf"], start="clean")
    assert lab.authors_attack("hessian", lab.l2) == AttackSpec.of("hessian", steps=40, step=steps["l2"], start="clean")
    free = AttackSpec.of("second_order_apgd", steps=40, start="random", draws=20, sigma=0.15)
    assert lab.authors_attack("second_order_apgd", lab.small_l2) == free
    short = Li2019Lab(replace(scale, attack_steps=10), None, 0)
    assert short.authors_attack("pgd", short.linf).settings["step"] == pytest.approx(0.04)
    trial = lab.trial_attack("S-O Linf")
    assert trial.threat == Linf("0.15")
    assert trial.attack.settings["sigma"] == 0.1
    assert trial.attack.settings["step"] == pytest.approx(0.15 / 30)
    assert lab.trial_attack("S-O L2").attack.settings["sigma"] == 0.15
