"""What holds of every process that is begun here: what it can be sent, and when it ends."""

import multiprocessing
import os
import threading
from multiprocessing.reduction import ForkingPickler
from typing import Any

from brittle.ground import BrittleError, first_line

GUARD = "in a script, what computes belongs under if __name__ == '__main__'"


def sent(value: Any) -> bytes:
    """What is sent to another process.

    Raises:
        BrittleError: it cannot be.
    """
    try:
        return bytes(ForkingPickler.dumps(value))
    except Exception as error:
        raise BrittleError(f"it cannot be sent to another process ({first_line(error)})") from None


def check_guarded() -> None:
    """Raise `BrittleError` in a process that is only just begun and reads the script that began it: it would wait for
    locks of its parent's, which waits for it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise BrittleError(GUARD)


def end_with_parent() -> None:
    """End this process as soon as the one that began it has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a process that was begun by another"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
