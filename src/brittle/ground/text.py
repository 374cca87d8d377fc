"""Words as names of files and addresses, and errors in one line."""

import re


def plain_name(text: str) -> str:
    """`text` with a dash for whatever is neither letter, digit, dot nor underscore: a name for a file or an address."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def first_line(error: BaseException) -> str:
    """What an error of another library says, in its first line; its kind, where it says nothing. What cannot be printed
    (half a surrogate, what colours a terminal) is spelt out."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = lines[-1 if "TorchScript interpreter" in lines[0] else 0]  # which says last what is wrong
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in said)
