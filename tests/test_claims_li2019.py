"""The claims of the norm-agnostic paper on made-up figures: each agrees, differs and stays open where it should."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from brittle.attacks import AttackSpec, Linf
from brittle.audits import Interval, mean_interval
from brittle.papers import Claim, Evidence, Ruling, Share, li2019
from brittle.papers.li2019 import claims, evidence
from brittle.papers.li2019.lab import Li2019Lab
from brittle.papers.li2019.scales import SCALES, Sizes
from made_up import E, MadeUp, above, below, between, interval

LAB = Li2019Lab(SCALES["smoke"], None, 0)
N = SCALES["smoke"].averaged_n


def verdict(of: Evidence, **changes: Any) -> str:
    return replace(of, **changes).ruling().verdict  # type: ignore[type-var]


FLAT = evidence.FlatNearTheData(
    trades=interval(0.1, 0.2),
    natural_trades=interval(0.5, 0.7),
    madry=interval(0.05, 0.15),
    natural_madry=interval(0.6, 0.8),
)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        *(({"trades": interval(*ends)}, said) for ends, said in below(0.5, 0.7)),
        *(({"natural_trades": interval(*ends)}, said) for ends, said in above(0.1, 0.2)),
        *(({"madry": interval(*ends)}, said) for ends, said in below(0.6, 0.8)),
        *(({"natural_madry": interval(*ends)}, said) for ends, said in above(0.05, 0.15)),
    ],
)
def test_flat_is_below_the_same_net_trained_naturally(changed: dict[str, Any], said: str) -> None:
    assert verdict(FLAT, **changed) == said
    assert FLAT.ruling().evidence == (
        "mean gradient length at the data 0.15 (TRADES) against 0.6 (the same net, natural); 0.1 (Madry) against 0.7"
    )


@pytest.mark.parametrize(("longer", "said"), [(4, "agrees"), (3, "agrees"), (2, "differs"), (0, "differs")])
def test_longer_along_the_path_is_at_more_than_half_of_the_steps(longer: int, said: str) -> None:
    pgd = (interval(0.1, 0.3),) * 4
    above_it, touching = interval(0.3 + E, 0.5), interval(0.3, 0.9)
    found = evidence.LongerAlongThePath(pgd, (above_it,) * longer + (touching,) * (4 - longer))
    assert found.ruling().verdict == said


def test_longer_along_the_path_says_at_how_many_steps_and_the_means() -> None:
    found = evidence.LongerAlongThePath((interval(0.1, 0.3), interval(0.3, 0.5)), (interval(0.4, 0.6),) * 2)
    assert found.ruling() == Ruling("differs", "S-O lies above PGD at 1 of 2 steps; mean over steps 0.5 against 0.3")


@pytest.mark.parametrize(("ends", "said"), above(0.0))
def test_pgd_overstates_where_the_difference_is_above_zero(ends: tuple[float, float], said: str) -> None:
    assert evidence.PgdOverstates(interval(*ends), 100).ruling().verdict == said
    assert evidence.PgdOverstates(Interval(0.18, 0.11, 0.26), 100).ruling().evidence == (
        "on the same 100 images PGD - S-O is 18.0 [11.0, 26.0] points"
    )


@pytest.mark.parametrize("where", ["one", "other"])
@pytest.mark.parametrize(("ends", "said"), below(0.35))
def test_a_net_falls_below_35_per_cent(where: str, ends: tuple[float, float], said: str) -> None:
    robust = {"one": between(0.1, 0.3), "other": between(0.0, 0.2)}
    assert verdict(evidence.OneNormIsNotAnother(robust)) == "agrees"
    assert verdict(evidence.OneNormIsNotAnother(robust | {where: between(*ends)})) == said
    assert evidence.OneNormIsNotAnother(robust).ruling().evidence == (
        "one 20.0 [10.0, 30.0] %; other 10.0 [0.0, 20.0] %"
    )


@pytest.mark.parametrize("name", ["madry", "trades"])
@pytest.mark.parametrize(("ends", "said"), below(0.5))
def test_mixing_fails_where_fewer_than_half_withstand_all(name: str, ends: tuple[float, float], said: str) -> None:
    few = evidence.AllAttacks(mix=between(0.1, 0.3), better_single=between(0.6, 0.8))
    found = evidence.MixingBarelyHelps(madry=few, trades=replace(few, mix=between(0.0, 0.1)))
    assert verdict(found) == "agrees"
    assert verdict(found, **{name: replace(few, mix=between(*ends))}) == said
    assert found.ruling().evidence == (
        "Madry: 20.0 [10.0, 30.0] % of the Mix net's images withstand all four attacks, 70.0 % of the better "
        "single-norm net's; TRADES: 5.0 [0.0, 10.0] % of the Mix net's images withstand all four attacks, 70.0 % of "
        "the better single-norm net's"
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
    assert verdict(evidence.EnsemblesHideNothing(differences)) == "agrees"
    assert verdict(evidence.EnsemblesHideNothing(differences | {where: interval(*ends)})) == said
    assert evidence.EnsemblesHideNothing(differences).ruling().evidence == (
        "PGD - S-O in points: one 0.0 [-2.0, 2.0]; other 1.0 [0.0, 2.0]"
    )


@pytest.mark.parametrize(("ends", "said"), below(0.1))
def test_nothing_similar_is_less_than_ten_points(ends: tuple[float, float], said: str) -> None:
    assert evidence.NotOnCifar(interval(*ends), 100).ruling().verdict == said
    assert evidence.NotOnCifar(interval(-0.02, 0.04), 100).ruling().evidence == (
        "on the same 100 images PGD - S-O in L2 is 1.0 [-2.0, 4.0] points"
    )


def test_the_difference_counts_images_that_only_one_attack_leaves() -> None:
    pgd, second_order = torch.arange(50) < 40, (torch.arange(50) < 30) | (torch.arange(50) == 45)
    found = evidence.paired_difference(pgd, second_order, seed=4)
    assert found.mean == pytest.approx(9 / 50)
    assert found == mean_interval((pgd.double() - second_order.double()).numpy(), 4)


def test_what_withstands_all_attacks_withstands_each() -> None:
    images = torch.arange(10)
    assert evidence.share_of_all([images < 7, images > 2, images != 5]) == Share.of(3, 10)


def test_evidence_along_paths_is_read_from_the_nets_that_it_names() -> None:
    results, trades = MadeUp(), LAB.defences["TRADES", "Linf"]
    natural, pgd = LAB.walk(LAB.natural_trades, "pgd"), LAB.walk(trades, "pgd")
    second_order = LAB.walk(trades, "second_order")
    assert claims.flat_near_the_data(LAB).evidence(results) == evidence.FlatNearTheData(
        trades=results.path_lengths(pgd)[0],
        natural_trades=results.path_lengths(natural)[0],
        madry=results.length_at_the_data(LAB.curvature_of(LAB.defences["Madry", "Linf"])),
        natural_madry=results.length_at_the_data(LAB.curvature_of(LAB.natural_madry)),
    )
    assert claims.longer_along_the_path(LAB).evidence(results) == evidence.LongerAlongThePath(
        results.path_lengths(pgd), results.path_lengths(second_order)
    )


def test_pgd_is_compared_on_the_images_that_both_attacks_see() -> None:
    trades = LAB.defences["TRADES", "Linf"]
    pgd, second_order = (LAB.attack_in_row(trades, row) for row in ("PGD L2", "S-O L2"))
    broken = {pgd: torch.arange(60) >= 20, second_order: torch.arange(30) >= 5}
    found = claims.pgd_overstates(LAB).evidence(MadeUp(broken=broken))
    expected = evidence.paired_difference(torch.arange(30) < 20, torch.arange(30) < 5, LAB.seed)
    assert found == evidence.PgdOverstates(expected, 30)
    assert expected.mean == pytest.approx(0.5)


def test_falling_is_asked_of_nets_in_the_other_norm() -> None:
    results = MadeUp()
    found = claims.one_norm_is_not_another(LAB).evidence(results)
    assert isinstance(found, evidence.OneNormIsNotAnother)
    asked = {
        "Madry L2 under PGD Linf": ("Madry", "L2", "PGD Linf"),
        "TRADES L2 under PGD Linf": ("TRADES", "L2", "PGD Linf"),
        "Ensemble L2 under PGD Linf": ("Ensemble", "L2", "PGD Linf"),
        "ATDA L2 under PGD Linf": ("ATDA", "L2", "PGD Linf"),
        "Madry Linf under S-O L2": ("Madry", "Linf", "S-O L2"),
        "TRADES Linf under S-O L2": ("TRADES", "Linf", "S-O L2"),
    }
    assert found.robust == {
        where: results.share(LAB.attack_in_row(LAB.defences[name, norm], row), "robust")
        for where, (name, norm, row) in asked.items()
    }


def test_mixing_is_compared_with_the_better_net_on_the_first_images() -> None:
    left = {("Madry", "L2"): 4, ("Madry", "Linf"): 9, ("Madry", "Mix"): 6}
    left |= {("TRADES", "L2"): 12, ("TRADES", "Linf"): 2, ("TRADES", "Mix"): 3}
    broken = {}
    for (name, norm), count in left.items():
        for k, row in enumerate(("PGD L2", "PGD Linf", "S-O L2", "S-O Linf")):
            seen, kept = (60, 40) if row.startswith("PGD") else (N, 20)
            images = torch.arange(seen)
            attack = LAB.attack_in_row(LAB.defences[name, norm], row)
            broken[attack] = images >= (count if k == 3 else kept)
    assert claims.mixing_barely_helps(LAB).evidence(MadeUp(broken=broken)) == evidence.MixingBarelyHelps(
        madry=evidence.AllAttacks(mix=Share.of(6, N), better_single=Share.of(9, N)),
        trades=evidence.AllAttacks(mix=Share.of(3, N), better_single=Share.of(12, N)),
    )


def test_ensembles_are_compared_in_every_norm() -> None:
    kept = {}
    for k, norm in enumerate(("L2", "Linf", "Mix")):
        for j, row in enumerate(("PGD L2", "S-O L2", "PGD Linf", "S-O Linf")):
            kept[norm, row] = 20 + k - 3 * j + (k * j) % 5
    broken = {
        LAB.attack_in_row(LAB.defences["Ensemble", norm], row): torch.arange(60 if row[0] == "P" else N) >= count
        for (norm, row), count in kept.items()
    }
    found = claims.ensembles_hide_nothing(LAB).evidence(MadeUp(broken=broken))
    assert isinstance(found, evidence.EnsemblesHideNothing)
    assert {where: round(N * one.mean) for where, one in found.differences.items()} == {
        f"{norm} net in {end}": kept[norm, f"PGD {end}"] - kept[norm, f"S-O {end}"]
        for norm in ("L2", "Linf", "Mix")
        for end in ("L2", "Linf")
    }


def test_the_cifar_remark_is_about_l2() -> None:
    pgd, second_order = LAB.trial_attack("PGD L2"), LAB.trial_attack("S-O L2")
    broken = {pgd: torch.arange(30) >= 20, second_order: torch.arange(30) >= 17}
    expected = evidence.paired_difference(torch.arange(30) < 20, torch.arange(30) < 17, LAB.seed)
    assert claims.not_on_cifar(LAB).evidence(MadeUp(broken=broken)) == evidence.NotOnCifar(expected, 30)
    assert expected.mean == pytest.approx(0.1)


@pytest.mark.parametrize("claim", li2019("smoke").claims, ids=lambda claim: claim.name)
def test_a_claim_names_the_nodes_that_it_reads(claim: Claim) -> None:
    results = MadeUp()
    claim.evidence(results)
    assert set(results.read) == set(claim.nodes)


def test_claims_stand_where_the_paper_makes_them() -> None:
    found = {claim.name: (claim.part, claim.where) for claim in li2019("smoke").claims}
    assert found == {
        "flat near the data": ("Figure 1", "section 3 and Figure 1"),
        "Figure 1 comes back": ("Figure 1", "Figure 1"),
        "PGD overstates": ("Table 1", "Table 1, TRADES"),
        "one norm is not another": ("Table 1", "Table 1"),
        "mixing barely helps": ("Table 1", "Table 1, Mix"),
        "ensembles have no hidden weakness": ("Table 1", "Table 1, Ensemble"),
        "not on CIFAR-10": ("CIFAR-10", "remark in the experiments"),
    }


def test_rules_in_words_tell_the_thresholds() -> None:
    words = {claim.name: claim.rule for claim in li2019("smoke").claims}
    assert "more than 50 % of the steps" in words["Figure 1 comes back"]
    assert f"a mean of {SCALES['smoke'].draws} draws" in words["Figure 1 comes back"]
    assert "below 35 %" in words["one norm is not another"]
    assert "fewer than 50 %" in words["mixing barely helps"]
    assert "inside +-5 points" in words["ensembles have no hidden weakness"]
    assert "below 10 points" in words["not on CIFAR-10"]


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
