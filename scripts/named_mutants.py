"""Twelve broken algorithms that an earlier set of tests let pass: each must be caught now.

    python scripts/named_mutants.py

Breaks one line after the other in a copy of the package, runs the tests that should see it, and says which did not.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APGD, TRACES = "attacks/named/apgd.py", "test_traces_apgd.py"
BREAKS = {  # file, a line of it, what it becomes, the tests
    "APGD: rho": (APGD, "RISE_SHARE * checkpoints[at.t]", "0.5 * checkpoints[at.t]", TRACES),
    "APGD: no halving": (APGD, "torch.where(halved, step / 2, step)", "step", TRACES),
    "APGD: checkpoints": (APGD, "gap = max(gap - shrink, least)", "gap = max(gap, least)", TRACES),
    "APGD: no return to the best point": (
        APGD,
        "x, direction = select(halved, best_x, x), select(halved, best_direction, direction)",
        "x, direction = x, direction",
        TRACES,
    ),
    "TRADES: regulariser times 0": (
        "learning/goals/trades.py",
        "+ self.beta * divergence(clean, learner.forward(x_adv))",
        "+ 0 * divergence(clean, learner.forward(x_adv))",
        "test_goal_formulas.py",
    ),
    "ATDA: without its terms": (
        "learning/goals/atda.py",
        "plain + self.weight * adapted",
        "plain + 0 * adapted",
        "test_goal_formulas.py",
    ),
    "DLR: wrong denominator": (
        "attacks/losses.py",
        "(top[:, 0] - top[:, 2])",
        "(top[:, 0] - top[:, 1])",
        "test_traces.py",
    ),
    "APGD-T: always one class": (
        "attacks/named/apgd_targeted.py",
        "k=k: run(k, x, y, rows)",
        "k=k: run(0, x, y, rows)",
        "test_traces.py",
    ),
    "training: momentum 0": ("learning/recipe.py", "momentum=0.9", "momentum=0.0", "test_recipe.py"),
    "training: no weight decay": (
        "learning/recipe.py",
        "momentum=0.9, weight_decay=self.weight_decay",
        "momentum=0.9, weight_decay=0.0",
        "test_recipe.py",
    ),
    "a 50 % interval called 95 %": (
        "audits/statistics.py",
        "proportion_ci(0.95",
        "proportion_ci(0.5",
        "test_audit_parts.py::test_the_interval_of_a_share_leaves_a_fortieth_on_each_side",
    ),
    "verification: 90 times the tolerance": (
        "attacks/threats/lp.py",
        "TOLERANCE = 1e-5",
        "TOLERANCE = 9e-4",
        "test_threats.py",
    ),
}


def fails(file: str, line: str, broken: str, tests: str) -> bool:
    """Whether some of the tests fail where the line reads otherwise."""
    with tempfile.TemporaryDirectory() as place:
        package = Path(place) / "brittle"
        shutil.copytree(ROOT / "src" / "brittle", package)
        text = (package / file).read_text()
        assert text.count(line) == 1, f"{file} has {text.count(line)} lines {line!r}"
        (package / file).write_text(text.replace(line, broken))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(ROOT / "tests" / tests)]
        where = os.environ | {"PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=ROOT, env=where, capture_output=True).returncode == 1


def main() -> None:
    passed = []
    for file, line, _, tests in BREAKS.values():
        assert not fails(file, line, line, tests), f"{tests} fails before anything is broken"
    for name, entry in BREAKS.items():
        found = fails(*entry)
        print(f"{name}: {'caught' if found else 'NOT CAUGHT'}", flush=True)
        passed += [] if found else [name]
    sys.exit(f"not caught: {', '.join(passed)}" if passed else 0)


if __name__ == "__main__":
    main()
