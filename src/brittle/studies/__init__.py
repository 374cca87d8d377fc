"""Floor 6. Work as data: frozen declarations, a content-addressed store, one runner."""

from .declare import declaration_of, hash_of
from .nodes import Attack, Audit, File, Node, Source, Train
from .runner import Event, running
from .store import Store

__all__ = ["Attack", "Audit", "Event", "File", "Node", "Source", "Store", "Train", "declaration_of", "hash_of", "running"]
