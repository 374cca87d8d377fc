"""How many small changes of the code the tests notice: mutmut on a random draw of its mutants, one after the other.

    python scripts/mutants.py [--sample 600] [--seed 0] [--jobs 2]

Says the share that was caught, with its 95 % interval, and shows every mutant that was not. All mutants (some 6,700)
take hours; mutmut keeps its state in mutants/, so that `mutmut browse` goes on from there.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

from brittle.audits import Proportion

MUTMUT = [sys.executable, "-m", "mutmut"]
NOT_CAUGHT = (0, 5, 33)  # mutmut's exit codes: survived, and no test asks for it


def verdicts() -> dict[str, int | None]:
    """The exit code of each mutant, None before it has run."""
    found: dict[str, int | None] = {}
    for file in sorted(Path("mutants").rglob("*.meta")):
        found |= json.loads(file.read_text())["exit_code_by_key"]
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sample", type=int, default=600)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--jobs", type=int, default=2)
    options = arguments.parse_args()
    subprocess.run([*MUTMUT, "run", "no mutant has this name"], stdout=subprocess.DEVNULL, check=False)
    names = sorted(verdicts())
    drawn = random.Random(options.seed).sample(names, min(options.sample, len(names)))
    subprocess.run([*MUTMUT, "run", "--max-children", str(options.jobs), *drawn], check=True)
    ended = verdicts()
    survivors = [name for name in drawn if ended[name] in NOT_CAUGHT]
    for name in survivors:
        print(subprocess.run([*MUTMUT, "show", name], capture_output=True, text=True).stdout)
    print(f"caught: {Proportion(len(drawn) - len(survivors), len(drawn))} of {len(names)} mutants")


if __name__ == "__main__":
    main()
