"""A declaration is frozen data; its hash names the result on every machine."""

import hashlib
import json
from dataclasses import Field, fields, is_dataclass
from typing import Any

from brittle.attacks import AttackSpec
from brittle.ground import foreign_code

KINDS = {"RunAttack": "Attack"}  # a class renamed later keeps its kind, so that results from before keep their name
VERSION = 3  # raised when the same declaration would give other results


def declaration_of(node: Any) -> Any:
    """The declaration as plain JSON: dataclasses with their kind and fields (and the digest of the file that they come
    from, where that is another package's), the rest as it is."""
    if is_dataclass(node) and not isinstance(node, type):
        held = {
            one.name: declaration_of(getattr(node, one.name))
            for one in fields(node)
            if one.compare and not _unused(node, one)
        }
        name = type(node).__name__
        code = foreign_code(node.entry.build if isinstance(node, AttackSpec) else type(node))
        return {"kind": KINDS.get(name, name), **held} | ({"code": code} if code else {})
    if isinstance(node, (tuple, list)):
        return [declaration_of(part) for part in node]
    if node is None or isinstance(node, (str, int, float, bool)):
        return node
    raise TypeError(f"{type(node).__name__} cannot stand in a declaration")


def _unused(node: Any, one: Field[Any]) -> bool:
    """A field that was added later, at its default: it is left out, so that results from before keep their name."""
    return bool(one.metadata.get("added")) and getattr(node, one.name) == one.default


def hash_of(node: Any) -> str:
    """SHA-256 (hex) of the declaration."""
    return key_of(declaration_of(node))


def key_of(declaration: Any) -> str:
    """The same of a declaration that is plain JSON already."""
    text = json.dumps({"version": VERSION, "node": declaration}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
