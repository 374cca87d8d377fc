"""Names and files of results."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brittle.errors import BrittleError

if TYPE_CHECKING:
    from brittle.studies import Audit, Make, Node, Score, Store

BEGINS_ANEW = (
    "stopped; the same command begins anew, since nobody can know whether this model is the same then: it is a plain "
    "function, or its code reads files or the environment later than in __init__"
)


class Forgotten(Exception):  # it is no error
    """Somebody stopped what cannot be taken up again."""


def run_folder(what: str, node: "Audit | Score | Make") -> Path:
    """Where a result goes that nobody gave a place: named by model, data, threats and the whole of what was asked, so
    that no run replaces another."""
    from brittle.ground import plain_name
    from brittle.studies import hash_of

    threats = node.threats if hasattr(node, "threats") else (node.threat,)
    said = " ".join((what, node.model.title, node.data.name, *map(str, threats)))
    return Path("runs") / f"{plain_name(said)[:100]}-{hash_of(node)[:8]}"


def computed(node: "Node", out: Path | None, device: str, fresh: bool = False, on: str | None = None) -> Path:
    """Run a node, here or on a cluster, its progress shown; its results stand in the folder given back, which is `out`
    if there is one."""
    from brittle.ground import pick_device
    from brittle.studies import Store, run_node

    from .terminal import follow

    if out is not None:
        check_place(out)
    if on is None:
        pick_device(device)  # a result that is stored needs none, and yet it is asked for
        try:
            folder = follow(run_node(node, Store(), device=device, fresh=fresh))
        except KeyboardInterrupt:
            if _forgotten(node):
                raise Forgotten(BEGINS_ANEW) from None
            raise
    else:
        folder = _computed_on(on, node, Store(), device, fresh)
    for name in node.results if out else ():
        copied(folder / name, out / name)  # type: ignore[operator]
    return out or folder


def _forgotten(node: "Node") -> bool:
    """Whether it cannot be known again what it is about, so that none of its work is taken up."""
    return getattr(getattr(node, "model", None), "content", None) == ""


def _computed_on(on: str, node: "Node", store: "Store", device: str, fresh: bool) -> Path:
    """The folder of a node's results, which a worker of a cluster made, or of what a budget cut short."""
    from brittle.studies import hash_of, plan, run_graph

    from .terminal import follow_graph

    key = hash_of(node)
    if fresh:
        store.forget(key)
    follow_graph(run_graph(plan([node], store, "auto"), store, device=device, on=on))
    return store.read(key, node.results)[0] or store.work(key)


def planned(node: "Node", device: str) -> dict[str, Any]:
    """About what a node costs, and whether it is stored."""
    from brittle.studies import Store, plan

    *_, row = plan([node], Store(), device)
    return {"gradients": row.gradients, "seconds": row.seconds, "stored": row.stored}


def check_place(folder: Path) -> None:
    """Raise `BrittleError`, before anything is computed for it, if no files can be made in a folder."""
    there = next((one for one in (folder, *folder.parents) if os.path.exists(one)), Path())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        why = "it may not be written to" if there.is_dir() else "it is no folder"
        raise BrittleError(f"{folder} cannot be written ({there}: {why}); choose another place")


def copied(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise BrittleError(f"{target} cannot be written ({error.strerror}); choose another place") from None


def json_of(path: Path) -> Any:
    """The JSON in a file."""
    return json.loads(path.read_text())
