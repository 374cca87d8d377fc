"""Notebooks made of tutorials: the same words, code and output.

`python scripts/notebooks.py [NAME...]` writes them; with `--check` they are run, and must be what their pages are.
"""

import os
import posixpath
import re
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import chdir
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from documents import BLOCK, PICTURE, same

ROOT = Path(__file__).parents[1]
TUTORIALS = "docs/tutorials"
NAMES = ("first-audit", "disentangling", "gaussian-model")
LINK = re.compile(r"\]\(([^):#]+)((?:#[^)]*)?)\)")


def notebook(name: str) -> NotebookNode:
    """The notebook of a tutorial, not yet run."""
    page = (ROOT / TUTORIALS / f"{name}.md").read_text()
    made = new_notebook(cells=list(_cells(page)))
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"  # random otherwise
    return made


def _cells(page: str) -> Iterator[NotebookNode]:
    end = 0
    for block in BLOCK.finditer(page):
        yield from _words(page[end : block.start()])
        yield new_code_cell(block["code"].rstrip())
        end = block.end()
    yield from _words(page[end:])


def _words(text: str) -> Iterator[NotebookNode]:
    """Links lead from notebooks/ to the same pages; pictures are what cells draw."""
    moved = LINK.sub(
        lambda link: f"]({posixpath.normpath(f'../{TUTORIALS}/{link[1]}')}{link[2]})", PICTURE.sub("", text)
    )
    if moved.strip():
        yield new_markdown_cell(moved.strip())


def run(made: NotebookNode) -> NotebookNode:
    """Run it in an empty folder; what it writes to stderr and when it ran are left out."""
    with tempfile.TemporaryDirectory() as place, chdir(place):
        NotebookClient(made, km=AsyncKernelManager(transport="ipc"), timeout=120).execute()
    for cell in made.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return made


def printed(made: NotebookNode) -> str:
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def main(names: Collection[str], check: bool) -> None:
    os.environ.pop("MPLBACKEND", None)  # the kernel draws into the notebook
    for name in names or NAMES:
        path, now = ROOT / "notebooks" / f"{name}.ipynb", run(notebook(name))
        if not check:
            path.parent.mkdir(exist_ok=True)
            nbformat.write(now, path)
            continue
        kept = nbformat.read(path, as_version=4)
        if [cell.source for cell in kept.cells] != [cell.source for cell in now.cells]:
            raise SystemExit(f"{path.name} is not what its page is")
        if not same(printed(kept), printed(now)):
            raise SystemExit(f"{path.name} prints\n{printed(now)}")


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if word != "--check"], "--check" in sys.argv)
