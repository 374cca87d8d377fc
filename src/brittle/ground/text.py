"""Words as names of files and addresses."""

import re


def plain_name(text: str) -> str:
    """`text` with a dash for whatever is neither letter, digit, dot nor underscore: a name for a file or an address."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")
