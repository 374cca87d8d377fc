"""Floor 9. Arguments to declarations to runs to pages; nothing numeric is decided here."""

import errno
import gc
import os
import sys
import time
import warnings

STOPPED = 130  # by Ctrl-C, as shells say it


def main() -> None:
    """The `brittle` command. Exit status: 0; 2 for bad input (one line on stderr); 130 after Ctrl-C; 1 for our own
    faults."""
    debug = "--debug" in sys.argv
    began = time.monotonic()
    sys.argv = [word for word in sys.argv if word != "--debug"]
    if not debug:
        warnings.formatwarning = lambda message, *_, **__: f"note: {message}\n"
    status = _run(debug, began)
    gc.freeze()  # else Python looks through all of torch once more before it ends: nearly a second
    sys.exit(status)


def _run(debug: bool, began: float) -> int:
    from typer.exceptions import Abort, Exit, TyperException

    from brittle.errors import BrittleError

    from . import export, features, inspect, paper, run, studies, theory, verify  # noqa: F401 - they join the verbs to the app
    from .app import app
    from .files import Forgotten

    try:
        status = int(app(standalone_mode=False, obj=began) or 0)
        if status == STOPPED:
            raise KeyboardInterrupt
        return status
    except Exit as ended:
        return ended.exit_code
    except (BrittleError, TyperException) as error:
        if debug:
            raise
        text = error.format_message() if isinstance(error, TyperException) else str(error)
        return _said(f"error: {text}", 2)
    except (KeyboardInterrupt, Abort):
        return _said("stopped; the same command goes on where it was", STOPPED)
    except Forgotten as stopped:
        return _said(str(stopped), STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """Say what nobody asked about: a machine that is too small, or a fault of ours."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _said(
            f"error: {error.strerror}; what is finished is kept: free some space, and the same command goes on", 2
        )
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate" in str(error):
        return _said("error: there is not enough memory for so much at once; ask for fewer images or numbers", 2)
    return _said(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it", 1)


def _said(line: str, status: int) -> int:
    print(" ".join(line.split()).encode(errors="backslashreplace").decode(), file=sys.stderr)
    return status
