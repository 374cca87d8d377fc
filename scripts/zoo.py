"""Make the zoo: train its nets, audit them, and write checkpoints and docs/zoo.md.

    python scripts/zoo.py

Nets of the norm-agnostic paper's laptop scale are taken from the store where they are. About an hour on two cores from
nothing.
"""

import json
from pathlib import Path
from typing import Any

from brittle.attacks import L1, L2, Linf, Threat
from brittle.learning import Adversarial, InnerAttack, Recipe, Standard, load_net, save_net
from brittle.papers.li2019.lab import Li2019Lab
from brittle.papers.li2019.scales import LAPTOP
from brittle.studies import Audit, DataSource, Store, Train, run_node

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "src/brittle/learning/zoo"
LAB = Li2019Lab(LAPTOP, None, 0)
MNIST = (Linf("0.3"), L2("2"), L1("10"))
DIGITS = (Linf("0.1"), L2("0.5"), L1("1.5"))
TABLE = """# The zoo

Small nets that come with the package: `brittle audit zoo:mnist-linf` needs no training. `python scripts/zoo.py` trains
and audits them. `fast` is the MNIST net of Wong et al. 2020 (166,406 parameters), `mlp` has two hidden layers of 256.
Robust accuracy is what an audit of effort `standard` leaves of the first 1,000 test images (digits: of all {digits}),
in per cent with 95 % intervals; seed 0.

{rows}
"""


def nets() -> dict[str, tuple[Train, str, tuple[Threat, ...]]]:
    """Each net's training, what it is, and in which threats it is audited."""
    madry = LAB.defences["Madry", "Linf"]
    digits, recipe = DataSource.of("digits"), Recipe(epochs=40)
    walk = InnerAttack(steps=7)
    return {
        "mnist-standard": (LAB.natural_madry, "standard training", MNIST),
        "mnist-linf": (madry, "PGD training in Linf 0.3", MNIST),
        "mnist-l2": (
            Train(LAB.data, "fast", Adversarial((L2("2"),), walk), madry.recipe),
            "PGD training in L2 2",
            MNIST,
        ),
        "mnist-trades": (LAB.defences["TRADES", "Linf"], "TRADES in Linf 0.3", MNIST),
        "mnist-msd": (LAB.several_norms["MSD"], "MSD in Linf 0.3, L2 2 and L1 10", MNIST),
        "digits-standard": (Train(digits, "mlp", Standard(), recipe), "standard training", DIGITS),
        "digits-linf": (
            Train(digits, "mlp", Adversarial((Linf("0.1"),), walk), recipe),
            "PGD training in Linf 0.1",
            DIGITS,
        ),
    }


def computed(node: Any, store: Store) -> Path:
    """The folder of a node's result."""
    folder = None
    for event in run_node(node, store):
        folder = event.folder
    assert folder is not None
    return folder


def cell(share: dict[str, Any]) -> str:
    """A share as it stands in the table."""
    low, high = share["interval"]
    return f"{100 * share['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    """Write the checkpoints, each with the figures of its audit, and the table."""
    store, rows = Store(), []
    for name, (training, what, threats) in nets().items():
        net, header = load_net(computed(training, store) / "model.safetensors")
        audit = Audit(training, training.data, threats, "standard", 1000, 0)
        record = json.loads((computed(audit, store) / "audit.json").read_text())
        shares = {"clean": record["clean"]} | {one["threat"]: one["robust"] for one in record["threats"]}
        figures = {where: cell(share) for where, share in (shares | {"all": record["union"]}).items()}
        kept = {key: value for key, value in header.items() if key not in ("history", "run", "format")}
        save_net(ZOO / f"{name}.safetensors", net, kept | {"name": name, "what": what, "figures": figures})
        rows.append((name, header["net"], what, figures))
        print(name, figures)
    write_table(rows)


def write_table(rows: list[tuple[str, str, str, dict[str, str]]]) -> None:
    """docs/zoo.md, a table for each data set."""
    parts = []
    for data in ("mnist", "digits"):
        some = [row for row in rows if row[0].startswith(data)]
        heads = ["net", "architecture", "training", *some[0][3]]
        lines = [
            heads,
            ["---"] * len(heads),
            *([f"`zoo:{name}`", net, what, *of.values()] for name, net, what, of in some),
        ]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    digits = len(DataSource.of("digits").load().test)
    (ROOT / "docs/zoo.md").write_text(TABLE.format(digits=digits, rows="\n\n".join(parts)))


if __name__ == "__main__":
    main()
