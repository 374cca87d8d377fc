"""The tables of the paper, and those beside them: which node measures which printed figure."""

from collections.abc import Iterator

from brittle.studies import Node

from ..paper import Figure
from ..results import AND
from . import printed
from .lab import ROW_ATTACKS, Li2019Lab
from .mechanism import variants, variants_on_the_way


def all_figures(lab: Li2019Lab) -> list[Figure]:
    """All tables."""
    rows = [*table_1(lab), *reduced_size(lab), *on_the_way(lab), *what_is_left(lab), *several_norms_at_once(lab)]
    return [*rows, *cifar_10(lab)] if lab.trial_data else rows


def table_1(lab: Li2019Lab) -> Iterator[Figure]:
    """Every defence in every norm under every attack; natural accuracy is read from PGD in Linf."""
    for row in printed.ROWS:
        attack, read = (row, "robust") if row in ROW_ATTACKS else ("PGD Linf", "clean")
        for name, values in zip(printed.DEFENCES, printed.TABLE_1[row], strict=True):
            for norm, value in zip(printed.NORMS, values, strict=True):
                nodes = (lab.attack_in_row(lab.defences[name, norm], attack),)
                yield Figure(
                    table="Table 1",
                    row=row,
                    column=f"{name} {norm}",
                    printed=value,
                    certainty=printed.TABLE_1_CERTAINTY,
                    nodes=nodes,
                    read=read,
                    slack=lab.scale.slack,
                    floors=(lab.floor(name, norm),) if read == "robust" else (),
                )


def reduced_size(lab: Li2019Lab) -> Iterator[Figure]:
    """The reduced size, and which part of the second-order attack carries its effect there."""
    certainty = "size (first commit of the authors' code) inferred; accuracy not found"
    for name in ("TRADES", "Madry"):
        for row, attack in variants(lab, lab.defences[name, "Linf"]).items():
            yield Figure("Reduced size", row, f"{name} Linf", None, certainty, (attack,), "robust", None)


def on_the_way(lab: Li2019Lab) -> Iterator[Figure]:
    """The same parts on Madry's net in Linf after some epochs of its one training."""
    for epoch, net in lab.on_its_way.items():
        for row, (attack, read) in variants_on_the_way(lab, net).items():
            yield Figure("Training", row, f"epoch {epoch:g}", None, "not in the paper", (attack,), read, None)


def what_is_left(lab: Li2019Lab) -> Iterator[Figure]:
    """What the strongest attacks leave of each defence, in each threat, in the three of later work at once, and in all;
    nothing of it was printed."""
    nets = {("natural", "net"): lab.natural_madry, **lab.defences}
    three = AND.join(map(str, (lab.linf, lab.small_l2, lab.l1)))
    reads = ("clean", *map(str, (lab.linf, lab.small_l2, lab.l2, lab.l1)), three, "union")
    for (name, norm), model in nets.items():
        for read in reads:
            nodes = (lab.audit_of(model),)
            yield Figure("What is left", f"{name} {norm}", read, None, "not in the paper", nodes, read, None)


def several_norms_at_once(lab: Li2019Lab) -> Iterator[Figure]:
    """Training for several norms at once, beside the figures of later work."""
    reads = ("clean", str(lab.linf), str(lab.small_l2), str(lab.l1), "union")
    for name, model in lab.several_norms.items():
        known = name in printed.LATER
        values = printed.LATER[name] if known else (None,) * len(reads)
        certainty = printed.LATER_CERTAINTY if known else "no figure for MNIST at these sizes is known"
        for read, value in zip(reads, values, strict=True):
            nodes: tuple[Node, ...] = (lab.audit_of_three(model),)
            yield Figure("Several norms at once", name, read, value, certainty, nodes, read, lab.scale.later_slack)
        certainty = "not in the paper: what training itself reports of its last epoch, in the worst of the three norms"
        column, nodes = "validation images, PGD-10", (model,)
        yield Figure("Several norms at once", name, column, None, certainty, nodes, "held_out_robust", None)


def cifar_10(lab: Li2019Lab) -> Iterator[Figure]:
    """The remark on CIFAR-10: nothing of it was printed but that nothing similar is seen."""
    attacks = {row: (lab.trial_attack(row), "robust") for row in ROW_ATTACKS}
    attacks["S-O L2, less noise"] = lab.trial_attack("S-O L2", scaled=True), "robust"
    for column, (attack, read) in ({"Natural": (attacks["PGD Linf"][0], "clean")} | attacks).items():
        yield Figure("CIFAR-10", "TRADES Linf", column, None, "no figure printed", (attack,), read, None)
