"""What a look at a model finds."""

import re
from typing import Literal, NamedTuple

Level = Literal["fine", "note", "warn", "bad", "skipped"]  # a note misleads single attacks, not the audit


class Finding(NamedTuple):
    """What was looked at, how it stands, what was seen, what to do."""

    name: str
    level: Level
    text: str
    hint: str = ""


def option_in(hint: str) -> str:
    """The option of the command line that a hint gives, with its value; "" where it gives none."""
    found = re.search(r"give (--\S+ \S+), in Python ", hint)
    return found[1] if found else ""
