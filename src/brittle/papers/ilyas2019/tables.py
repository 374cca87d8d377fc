"""The tables of the paper and of its discussion: which node measures which printed figure."""

from collections.abc import Iterator
from dataclasses import replace

from brittle.attacks import AttackSpec
from brittle.studies import Make, Node, Train

from ..paper import Figure
from . import printed
from .lab import D_DET, D_RAND, Lab

CONTROL = "standard on as much of D"
QUOTED_CELLS = {
    "standard on D": 1,
    "adversarial on D": 1,
    "D_R from noise": 2,
    "D_NR from images": 2,
}  # of D.1: the first ones


def figures(lab: Lab) -> list[Figure]:
    """All tables. On other data than the paper's nothing is printed beside them but Table 1 of Restricted ImageNet."""
    rows = [*figure_2(lab), *table_1(lab), *sets(lab), *noise(lab), *attacked(lab), *robustified(lab), *relabelled(lab)]
    rows += [*new_tests(lab), *transfers(lab), *leakage(lab), *bugs(lab), *mislabelled(lab)]
    if not lab.scale.compared:
        kept = ("Table 1",) if _restricted(lab) else ()
        rows = [
            row if row.table in kept else replace(row, printed=None, certainty=printed.NOT_PRINTED, slack=None)
            for row in rows
        ]
    if lab.scale.beside:
        beside = Lab(lab.scale.beside, lab.folder, lab.seed)
        rows += [
            *figure_2(beside, "Figure 2 on MNIST"),
            *table_1(beside, "Table 1 on MNIST"),
            *sets(beside, "Made sets on MNIST"),
        ]
    return rows


def four(lab: Lab) -> dict[str, Train]:
    """The four trainings of Figure 2, and a control where D_R and D_NR are made of a part of D."""
    return {
        "standard on D": lab.standard,
        **({CONTROL: lab.control} if lab.control != lab.standard else {}),
        "adversarial on D": lab.robust,
        "standard on D_R": lab.learned(lab.matched("D_R")),
        "standard on D_NR": lab.learned(lab.matched("D_NR")),
    }


def three(lab: Lab) -> dict[str, Train]:
    """The three trainings of Table 1."""
    made = {"D_rand": lab.learned(lab.targeted(D_RAND)), "D_det": lab.learned(lab.targeted(D_DET))}
    return {"D": lab.standard, **made}


def figure_2(lab: Lab, table: str = "Figure 2") -> Iterator[Figure]:
    """Clean and robust accuracy of the four trainings; under another `table` nothing stands beside them."""
    nothing = (None, None), (printed.NOT_PRINTED,) * 2
    for name, model in four(lab).items():
        said = table == "Figure 2" and name in printed.FIGURE_2
        values, certainties = (printed.FIGURE_2[name], printed.FIGURE_2_SAID[name]) if said else nothing
        for k, (column, read) in enumerate((("standard accuracy", "clean"), (f"accuracy in {lab.tested}", "robust"))):
            value, certainty = values[k], certainties[k]
            yield Figure(table, name, column, value, certainty, (lab.judged(model),), read, lab.scale.slack)


def table_1(lab: Lab, table: str = "Table 1") -> Iterator[Figure]:
    """Test accuracy of the three trainings; under another `table` nothing is printed, and the share of y + 1 stands
    beside it."""
    ours, values = table == "Table 1", printed.TABLE_1_RESTRICTED if _restricted(lab) else printed.TABLE_1
    for name, model in three(lab).items():
        value, certainty = (values[name], printed.QUOTED) if ours else (None, printed.NOT_PRINTED)
        yield Figure(table, name, "test accuracy", value, certainty, (lab.answered(model),), "clean", lab.scale.slack)
        if not ours:
            yield Figure(table, name, "test labels y + 1", None, certainty, (lab.answered(model),), "shifted", None)


def _restricted(lab: Lab) -> bool:
    return lab.scale.data.startswith("restricted:")


def sets(lab: Lab, table: str = "Made sets") -> Iterator[Figure]:
    """To how many images of a made set its source gives the new label: how far the construction came."""
    made = (lab.matched("D_R"), lab.matched("D_NR"), lab.targeted(D_RAND), lab.targeted(D_DET))
    for one in made:
        for column, read in (("new label, as floats", "reached"), ("new label, in 8 bits", "reached_8bit")):
            yield Figure(table, one.label, column, None, printed.NOT_PRINTED, (one,), read, None)


def noise(lab: Lab) -> Iterator[Figure]:
    """Appendix D.1; the control of Figure 2 stands here too."""
    on_d = {name: model for name, model in four(lab).items() if name.endswith("D")}
    models = on_d | {
        "D_R from images": lab.learned(lab.matched("D_R")),
        "D_R from noise": lab.learned(lab.matched("D_R", "noise", n=lab.scale.noised)),
        "D_NR from images": lab.learned(lab.matched("D_NR")),
        "D_NR from noise": lab.learned(lab.matched("D_NR", "noise", n=lab.scale.noised)),
    }
    reads = (
        ("accuracy", lab.tested, "clean"),
        (f"in {lab.tested}", lab.tested, "robust"),
        (f"in {lab.larger}", lab.larger, "robust"),
    )
    for name, model in models.items():
        values = printed.NOISE.get(name, (None,) * len(reads))
        for k, (column, threat, read) in enumerate(reads):
            said = printed.QUOTED if k < QUOTED_CELLS.get(name, 0) else printed.appendix("Table 7", 80)
            said = printed.NOT_PRINTED if values[k] is None else said
            yield Figure("D.1", name, column, values[k], said, (lab.judged(model, threat),), read, lab.scale.slack)


def strongest(lab: Lab) -> dict[str, AttackSpec]:
    """The attacks of appendix D.2."""
    steps, long = lab.scale.steps, lab.scale.long
    return {
        f"PGD-{steps}": AttackSpec("pgd", steps),
        f"PGD-{long}": AttackSpec("pgd", long),
        f"PGD-{long} on the margin (CW)": AttackSpec("pgd", long, loss="margin"),
        f"APGD-{long}": AttackSpec("apgd", long),
    }


def attacked(lab: Lab) -> Iterator[Figure]:
    """Appendix D.2: no stronger attack takes the robustness of the net that learned D_R."""
    model, said = lab.learned(lab.matched("D_R")), "accuracy at which more steps level off; 85 % certain"
    for name, attack in strongest(lab).items():
        of_paper = attack.steps == lab.scale.long and attack.name == "pgd"  # long PGD on either loss
        value, certainty = (48.27, said) if of_paper else (None, printed.NOT_PRINTED)
        nodes = (lab.judged(model, attack=attack),)
        yield Figure(
            "D.2", name, f"standard on D_R in {lab.tested}", value, certainty, nodes, "robust", lab.scale.slack
        )


def robustified(lab: Lab) -> Iterator[Figure]:
    """Appendix D.3: robust accuracy on images that hold robust features only."""
    train = lab.matched("D_R")
    model, test = lab.learned(train), lab.matched("D_R", part="test", n=lab.scale.n)
    on: dict[str, Make | None] = {"test set": None, "robust test set": test, "robust training set": train}
    for name, data in on.items():
        node, said = lab.judged(model, data=data), printed.appendix("Table 8", 80)
        yield Figure("D.3", name, "accuracy", None, printed.NOT_PRINTED, (node,), "clean", None)
        value = printed.ROBUSTIFIED[name]
        yield Figure("D.3", name, f"accuracy in {lab.tested}", value, said, (node,), "robust", lab.scale.slack)


def relabelled(lab: Lab) -> Iterator[Figure]:
    """Appendix D.6: D_det made with either net, tested on true labels and on labels y + 1."""
    for name, source in (("standard model", lab.standard), ("robust model", lab.robust)):
        node = lab.answered(lab.learned(lab.targeted(D_DET, source)))
        for k, (column, read) in enumerate((("test labels y", "clean"), ("test labels y + 1", "shifted"))):
            said = printed.appendix("Table 9", 85)
            yield Figure("D.6", name, column, printed.RELABELLED[name][k], said, (node,), read, lab.scale.slack)


def new_tests(lab: Lab) -> Iterator[Figure]:
    """Appendix D.7: CIFAR-10.1, where it is at hand."""
    for name, model in three(lab).items() if lab.new_tests else ():
        node = lab.answered(model, lab.new_tests)
        said = printed.NOT_PRINTED if name == "D" else "appendix D.7; 85 % certain, not verified against the print"
        yield Figure(
            "D.7", name, "accuracy on CIFAR-10.1", printed.NEW_TESTS.get(name), said, (node,), "clean", lab.scale.slack
        )


def transfers(lab: Lab) -> Iterator[Figure]:
    """Figure 3 and appendix D.9; no single point is printed."""
    tests = lab.shifted_tests()
    for net in lab.scale.nets:
        rows: tuple[tuple[str, str, Node, str], ...] = (
            ("Figure 3", "test accuracy from D_det", lab.answered(lab.learned(lab.targeted(D_DET), net)), "clean"),
            ("Figure 3", "transfer, untargeted", lab.transfer(net), "fooled"),
            ("Figure 3", "transfer, targeted (D.9)", lab.answered(lab.other(net, 30), tests), "clean"),
        )
        for table, column, node, read in rows:
            yield Figure(table, net, column, None, printed.NOT_PRINTED, (node,), read, None)


def leakage(lab: Lab) -> Iterator[Figure]:
    """Goh's test: what robust linear features alone tell about the labels of D_rand and D_det, beside what all features
    tell."""
    columns = ("through robust linear features", "in all")
    for name, wanted in (("D_rand", D_RAND), ("D_det", D_DET)):
        nodes: tuple[Node, ...] = (lab.leak(wanted), lab.answered(three(lab)[name]))
        for column, node, value in zip(columns, nodes, printed.LEAKAGE[name], strict=True):
            yield Figure("Leakage", name, column, value, printed.DISTILL, (node,), "clean", lab.scale.slack)
    for column, read in (("test accuracy", "clean"), (f"accuracy in {lab.tested}", "robust")):
        node = lab.judged(lab.linear)
        yield Figure("Leakage", "the robust linear net", column, None, printed.NOT_PRINTED, (node,), read, None)


def bugs(lab: Lab) -> Iterator[Figure]:
    """Nakkiran's perturbations that work for one net alone."""
    for name, transfers_ in (("PGD", True), ("without transfer", False)):
        made = lab.bugs(transfers_)
        judged = lab.answered(lab.learned(made))
        rows: tuple[tuple[str, Node, str], ...] = (
            ("attack success", made, "reached"),
            ("targeted transfer", lab.answered(lab.other(lab.scale.net, 30), made), "clean"),
            ("learned from it, on (X, Y)", judged, "clean"),
            ("learned from it, on (X, Y + 1)", judged, "shifted"),
        )
        for (column, node, read), value in zip(rows, printed.BUGS[name], strict=True):
            yield Figure("Just bugs", name, column, value, printed.DISTILL, (node,), read, lab.scale.slack)


def mislabelled(lab: Lab) -> Iterator[Figure]:
    """Wallace: learning from a net's mistakes alone."""
    made = lab.mislabelled()
    assert isinstance(made.model, Train)
    rows = {
        "the first net": (made.model, 63.1),
        "learned from its mistakes alone": (lab.learned(made), printed.MISLABELLED),
    }
    for name, (model, value) in rows.items():
        node = lab.answered(model)
        yield Figure("Mislabelled", name, "test accuracy", value, printed.DISTILL, (node,), "clean", lab.scale.slack)
