"""What a look at a model finds."""

from typing import Literal, NamedTuple

Level = Literal["fine", "note", "warn", "bad", "skipped"]  # a note misleads no audit, though it may single attacks


class Finding(NamedTuple):
    """What was looked at, how it stands, what was seen, what to do; the option of the command line that does it."""

    name: str
    level: Level
    text: str
    hint: str = ""
    option: str = ""
