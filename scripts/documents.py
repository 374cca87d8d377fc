"""Pages as programs: their Python and their `brittle` commands are run, and what they show is what is printed.

`python scripts/documents.py docs/tutorials/*.md` writes what is printed now, and the pictures drawn, into these pages.
"""

import difflib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from contextlib import chdir, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

CODE = r"^```(?P<language>python|sh)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<code>.*?)^```\n"
BLOCK = re.compile(CODE + r"(?P<shown>\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PICTURE = re.compile(r"!\[[^\]]*\]\(([\w-]+\.png)\)")


def played(page: str, names: dict[str, Any] | None = None) -> str:
    """The page with all it prints as it is now: blocks run one after another, in this folder, on the same names.

    A block with a title is a file, and written; a block that is followed by one of `text` shows what it prints.
    """
    names = {} if names is None else names

    def run(block: re.Match[str]) -> str:
        printed = io.StringIO()
        if block["file"]:
            Path(block["file"]).write_text(block["code"])
        else:
            with redirect_stdout(printed):
                (_python if block["language"] == "python" else _commands)(block["code"], names)
        code = block[0].removesuffix(block["shown"] or "")
        shown = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
        return f"{code}\n```text\n{shown}```\n" if block["shown"] else code

    with patch.object(sys, "path", ["", *sys.path]):
        return BLOCK.sub(run, page)


def same(page: str, other: str) -> bool:
    """Whether two pages say the same words with nearly the same numbers: within a tenth or four units; where two places
    or more are shown, within a tenth or 0.05."""
    if NUMBER.sub("#", page) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(page), NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= 0.1 * max(float(a), float(b)) + _slack(a) for a, b in pairs)


def _slack(number: str) -> float:
    return 0.05 if len(number.partition(".")[2]) > 1 else 4


def _python(code: str, names: dict[str, Any]) -> None:
    exec(compile(code, "page", "exec"), names)


def _commands(code: str, names: dict[str, Any]) -> None:
    from brittle import cli

    for line in code.splitlines():
        with patch.object(sys, "argv", shlex.split(line, comments=True)), suppress(SystemExit):
            if sys.argv[:1] == ["brittle"]:
                cli.main()


def main(words: list[str]) -> None:
    """Each page played in an empty folder; with `--check` nothing is written, and a page that says other things ends
    it."""
    os.environ["COLUMNS"] = "100"
    check = words[0] == "--check"
    for page in [Path(word).resolve() for word in words if word != "--check"]:
        with tempfile.TemporaryDirectory() as place, chdir(place):
            shown = page.read_text()
            now = played(shown)
            if not check:
                page.write_text(now)
                for picture in PICTURE.findall(now):
                    shutil.copy(picture, page.parent)
            elif not same(shown, now):
                raise SystemExit("\n".join(difflib.unified_diff(shown.splitlines(), now.splitlines(), "shown", "now")))


if __name__ == "__main__":
    main(sys.argv[1:])
