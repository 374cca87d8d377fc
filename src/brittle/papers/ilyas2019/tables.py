"""The tables of the paper and of its discussion: which node measures which printed figure."""

from collections.abc import Iterator
from dataclasses import replace

from brittle.attacks import L2, AttackSpec
from brittle.studies import Make, Node, Train

from ..paper import Figure, Floor
from . import printed
from .lab import Ilyas2019Lab
from .learners import Nets

CONTROL = "standard on as much of D"
QUOTED_CELLS = {
    "standard on D": 1,
    "adversarial on D": 1,
    "D_R from noise": 2,
    "D_NR from images": 2,
}  # of D.1: the first ones


def all_figures(lab: Ilyas2019Lab) -> list[Figure]:
    """All tables. On other data than the paper's nothing is printed beside them but Table 1 of Restricted ImageNet."""
    appendix = [*appendix_d1(lab), *appendix_d2(lab), *appendix_d3(lab), *appendix_d6(lab), *appendix_d7(lab)]
    discussion = [*leakage(lab), *just_bugs(lab), *mistakes(lab)]
    main = [*figure_2(lab), *other_nets(lab), *table_1(lab), *budgets(lab), *made_sets(lab)]
    rows = [*main, *appendix, *figure_3(lab), *discussion]
    if not lab.scale.compared:
        kept = ("Table 1",) if _is_restricted(lab) else ()
        rows = [
            row if row.table in kept else replace(row, printed=None, certainty=printed.NOT_PRINTED, slack=None)
            for row in rows
        ]
    return rows


def four_nets(lab: Ilyas2019Lab) -> dict[str, Nets]:
    """The four nets of Figure 2, and the control of D_R and D_NR: as much of D, learned as they are."""
    return {
        "standard on D": (lab.standard_net,),
        CONTROL: lab.control_nets,
        "adversarial on D": (lab.robust_net,),
        "standard on D_R": lab.nets_trained_on(lab.matched_set("D_R")),
        "standard on D_NR": lab.nets_trained_on(lab.matched_set("D_NR")),
    }


def three_nets(lab: Ilyas2019Lab) -> dict[str, Nets]:
    """The three nets of Table 1."""
    return {
        "D": (lab.standard_net,),
        "D_rand": lab.nets_trained_on(lab.random_set()),
        "D_det": lab.nets_trained_on(lab.shifted_set()),
    }


def figure_2(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Clean and robust accuracy of the four nets."""
    nothing = (None, None), (printed.NOT_PRINTED,) * 2
    columns = (("standard accuracy", "clean"), (f"accuracy in {lab.threat}", "robust"))
    for name, models in four_nets(lab).items():
        known = name in printed.FIGURE_2
        values, certainties = (printed.FIGURE_2[name], printed.FIGURE_2_CERTAINTY[name]) if known else nothing
        nodes = tuple(map(lab.attack_on, models))
        for (column, read), value, certainty in zip(columns, values, certainties, strict=True):
            slack, floors = lab.scale.slack, tuple(map(lab.floor, models))
            yield Figure("Figure 2", name, column, value, certainty, nodes, read, slack, floors)


def other_nets(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Section 3.1: what other nets than that which made D_R learn of it, beside as much of D."""
    sets = {"D_R": lab.matched_set("D_R"), "as much of D": lab.unchanged_set()}
    for net in lab.scale.architectures:
        for name, made in sets.items():
            learner = lab.net_trained_on(made, net)
            attack, floors = (lab.attack_on(learner),), (lab.floor(learner),)
            for column, read in (("accuracy", "clean"), (f"in {lab.threat}", "robust")):
                yield Figure(
                    "Other nets", net, f"{name}: {column}", None, printed.NOT_PRINTED, attack, read, None, floors
                )


def table_1(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Test accuracy of the three nets, and beside it the share of y + 1."""
    values = printed.TABLE_1_RESTRICTED if _is_restricted(lab) else printed.TABLE_1
    for name, models in three_nets(lab).items():
        nodes, slack, floors = tuple(map(lab.answers_of, models)), lab.scale.slack, tuple(map(lab.floor, models))
        yield Figure("Table 1", name, "test accuracy", values[name], printed.QUOTED, nodes, "clean", slack, floors)
        yield Figure("Table 1", name, "test labels y + 1", None, printed.NOT_PRINTED, nodes, "shifted", None, floors)


def budgets(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """D_rand and D_det in L2 of other sizes and learned at other rates: how far the targets were reached, what is
    learned of the set itself and of the data, and what leaks through robust features."""
    usual = lab.scale.perturbing.eps
    sets = {f"L2 {usual}": (lab.random_set(), lab.shifted_set())}
    sets |= {f"L2 {eps}": (lab.random_set(eps), lab.shifted_set(eps=eps)) for eps in lab.scale.budgets}

    def figure(row: str, made: Make, column: str, node: Node, read: str) -> Figure:
        return Figure("Budgets", row, f"{made.label}: {column}", None, printed.NOT_PRINTED, (node,), read, None)

    def learned(row: str, made: Make, net: Train) -> Iterator[Figure]:
        yield figure(row, made, "own images held out", net, "held_out")
        yield figure(row, made, "test accuracy", lab.answers_of(net), "clean")

    for row, both in sets.items():
        for made in both:
            yield figure(row, made, "reached", made, "reached_8bit")
            yield from learned(row, made, lab.net_trained_on(made))
            yield figure(row, made, "leaks", lab.robust_leakage_of(made), "clean")
    for made in sets[f"L2 {usual}"]:
        for rate in lab.other_rates(made):
            yield from learned(f"L2 {usual}, lr {rate:g}", made, lab.net_trained_on(made, lr=rate))


def _is_restricted(lab: Ilyas2019Lab) -> bool:
    return lab.scale.data.startswith("restricted:")


def made_sets(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """To how many images of a made set its source gives the new label: how far the construction came."""
    for made in (lab.matched_set("D_R"), lab.matched_set("D_NR"), lab.random_set(), lab.shifted_set()):
        for column, read in (("new label, as floats", "reached"), ("new label, in 8 bits", "reached_8bit")):
            yield Figure("Made sets", made.label, column, None, printed.NOT_PRINTED, (made,), read, None)


def appendix_d1(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """D_R and D_NR from noise; the control of Figure 2 stands here too."""
    on_d = {name: model for name, model in four_nets(lab).items() if name.endswith("D")}
    models = on_d | {
        "D_R from images": lab.nets_trained_on(lab.matched_set("D_R")),
        "D_R from noise": (lab.net_trained_on(lab.matched_set_from_noise("D_R")),),
        "D_NR from images": lab.nets_trained_on(lab.matched_set("D_NR")),
        "D_NR from noise": (lab.net_trained_on(lab.matched_set_from_noise("D_NR")),),
    }
    columns = (
        ("accuracy", lab.threat, "clean"),
        (f"in {lab.threat}", lab.threat, "robust"),
        (f"in {lab.larger_threat}", lab.larger_threat, "robust"),
    )
    for name, nets in models.items():
        values = printed.NOISE.get(name, (None,) * len(columns))
        for k, ((column, threat, read), value) in enumerate(zip(columns, values, strict=True)):
            certainty = printed.QUOTED if k < QUOTED_CELLS.get(name, 0) else printed.appendix("Table 7", 80)
            certainty = printed.NOT_PRINTED if value is None else certainty
            nodes, floors = tuple(lab.attack_on(net, threat) for net in nets), tuple(map(lab.floor, nets))
            yield Figure("D.1", name, column, value, certainty, nodes, read, lab.scale.slack, floors)


def strong_attacks(lab: Ilyas2019Lab) -> dict[str, AttackSpec]:
    """The attacks of appendix D.2, beginning with the one of all tables."""
    steps, long = lab.scale.testing.steps, lab.scale.testing.long_steps
    return {
        f"PGD-{steps}": AttackSpec.of("pgd", steps=steps),
        f"PGD-{long}": AttackSpec.of("pgd", steps=long),
        f"PGD-{long} on the margin (CW)": AttackSpec.of("pgd", steps=long, loss="margin"),
        f"APGD-{long}": AttackSpec.of("apgd", steps=long),
    }


def longest_attacks(lab: Ilyas2019Lab) -> dict[str, AttackSpec]:
    """The longest attacks of appendix D.2, whose length of a step is searched; for a few images."""
    steps, radius = lab.scale.testing.longest_steps, L2(lab.scale.testing.eps).radius
    return {
        f"PGD-{steps}, steps of {share:g} eps": AttackSpec.of("pgd", steps=steps, step=share * radius)
        for share in (2.5 / steps, 0.01, 0.1, 0.5)
    }


def appendix_d2(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """What stronger attacks, the longest, and an audit leave of the net that was trained on D_R, and of its control."""
    columns = {"standard on D_R": lab.net_trained_on(lab.matched_set("D_R")), CONTROL: lab.control_nets[0]}
    testing = lab.scale.testing
    for column, model in columns.items():
        attacks = {name: (attack, testing.long_n) for name, attack in strong_attacks(lab).items()}
        if column != CONTROL:
            attacks |= {name: (attack, testing.longest_n) for name, attack in longest_attacks(lab).items()}
        for name, (attack, n) in attacks.items():
            known = attack.name == "pgd" and attack.settings["steps"] >= testing.long_steps and column != CONTROL
            value, certainty = (printed.LONG_PGD, printed.LONG_PGD_CERTAINTY) if known else (None, printed.NOT_PRINTED)
            nodes: tuple[Node, ...] = (lab.attack_on(model, attack=attack, n=n),)
            row, slack = f"{name} in {lab.threat}", lab.scale.slack
            yield Figure("D.2", row, column, value, certainty, nodes, "robust", slack, (lab.floor(model),))
        for threat in (lab.threat, lab.larger_threat):
            nodes = (lab.audit_of(model),)
            yield Figure("D.2", f"audit in {threat}", column, None, printed.NOT_PRINTED, nodes, str(threat), None)


def appendix_d3(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Robust accuracy on images that hold robust features only."""
    train = lab.matched_set("D_R")
    model, test = lab.net_trained_on(train), lab.matched_set("D_R", part="test", n=lab.scale.matching.aside)
    on: dict[str, Make | None] = {"test set": None, "robust test set": test, "robust training set": train}
    for name, data in on.items():
        nodes, value = (lab.attack_on(model, data=data),), printed.ROBUST_TEST_SETS[name]
        yield Figure("D.3", name, "accuracy", None, printed.NOT_PRINTED, nodes, "clean", None)
        certainty = printed.appendix("Table 8", 80) + (printed.OF_NOISE if value == printed.LONG_PGD else "")
        column, slack = f"accuracy in {lab.threat}", lab.scale.slack
        yield Figure("D.3", name, column, value, certainty, nodes, "robust", slack, (lab.floor(model),))


def appendix_d6(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """D_det made with either net, tested on true labels and on labels y + 1."""
    columns, certainty = (("test labels y", "clean"), ("test labels y + 1", "shifted")), printed.appendix("Table 9", 85)
    for name, source in (("standard model", lab.standard_net), ("robust model", lab.robust_net)):
        net = lab.net_trained_on(lab.shifted_set(source))
        nodes, slack, floors = (lab.answers_of(net),), lab.scale.slack, (lab.floor(net),)
        for (column, read), value in zip(columns, printed.RELABELLED[name], strict=True):
            yield Figure("D.6", name, column, value, certainty, nodes, read, slack, floors)


def appendix_d7(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """CIFAR-10.1, where it is at hand."""
    for name, models in three_nets(lab).items() if lab.new_test_set else ():
        nodes = tuple(lab.answers_of(model, lab.new_test_set) for model in models)
        slack, floors = lab.scale.slack, tuple(map(lab.floor, models))
        value = printed.NEW_TESTS.get(name)
        certainty = printed.NOT_PRINTED if value is None else printed.NEW_TESTS_CERTAINTY
        yield Figure("D.7", name, "accuracy on CIFAR-10.1", value, certainty, nodes, "clean", slack, floors)


def figure_3(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """What transfers against what is learned, and appendix D.9; no single point is printed."""
    tests = lab.shifted_test_images()
    for net in lab.scale.architectures:
        rows: tuple[tuple[str, Node, str], ...] = (
            ("test accuracy from D_det", lab.answers_of(lab.net_trained_on(lab.shifted_set(), net)), "clean"),
            ("transfer, untargeted", lab.transfer_to(net), "fooled"),
            ("transfer, targeted (D.9)", lab.answers_of(lab.receiving_net(net), tests), "clean"),
        )
        for column, node, read in rows:
            yield Figure("Figure 3", net, column, None, printed.NOT_PRINTED, (node,), read, None)


def leakage(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Goh's test: what robust linear features alone tell about the labels of D_rand and D_det, beside what all features
    tell."""
    slack = lab.scale.slack
    for name, made in (("D_rand", lab.random_set()), ("D_det", lab.shifted_set())):
        net, (linear, whole) = lab.net_trained_on(made), printed.LEAKAGE[name]
        leak, answers = (lab.leakage_of(made),), (lab.answers_of(net),)
        yield Figure("Leakage", name, "through robust linear features", linear, printed.DISTILL, leak, "clean", slack)
        yield Figure("Leakage", name, "in all", whole, printed.DISTILL, answers, "clean", slack, (lab.floor(net),))
        through = (lab.robust_leakage_of(made),)
        yield Figure("Leakage", name, "through a robust net's units", None, printed.NOT_PRINTED, through, "clean", None)
    for column, read in (("test accuracy", "clean"), (f"accuracy in {lab.threat}", "robust")):
        attack = lab.attack_on(lab.linear_net)
        yield Figure("Leakage", "the robust linear net", column, None, printed.NOT_PRINTED, (attack,), read, None)


def just_bugs(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Nakkiran's perturbations that work for one net alone."""
    receiver = lab.receiving_net(lab.scale.net)
    for name, made in (("PGD", lab.bug_set(transfers=True)), ("without transfer", lab.bug_set(transfers=False))):
        net = lab.net_trained_on(made)
        answers, free, floors = lab.answers_of(net), (), (lab.floor(net),)
        rows: tuple[tuple[str, Node, str, tuple[Floor, ...]], ...] = (
            ("attack success", made, "reached", free),
            ("targeted transfer", lab.answers_of(receiver, made), "clean", free),
            ("learned from it, on (X, Y)", answers, "clean", floors),
            ("learned from it, on (X, Y + 1)", answers, "shifted", floors),
        )
        for (column, node, read, least), value in zip(rows, printed.BUGS[name], strict=True):
            yield Figure("Just bugs", name, column, value, printed.DISTILL, (node,), read, lab.scale.slack, least)


def mistakes(lab: Ilyas2019Lab) -> Iterator[Figure]:
    """Wallace: learning from a net's mistakes alone."""
    nets = {"the first net": lab.weak_net, "learned from its mistakes alone": lab.net_trained_on(lab.mistakes())}
    for name, model in nets.items():
        nodes, value, slack = (lab.answers_of(model),), printed.MISLABELLED[name], lab.scale.slack
        floors = (lab.floor(model),)
        yield Figure("Mislabelled", name, "test accuracy", value, printed.DISTILL, nodes, "clean", slack, floors)
