"""Which code a result comes from: of this package, and of others."""

import hashlib
import inspect
import uuid
from collections.abc import Callable
from pathlib import Path

UNKNOWN = uuid.uuid4().hex  # of code without a file: results of it are good for this process alone
SHOWING = "cli", "papers", "report"  # packages that show results and make none


def _own_code() -> str:
    package, sha = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in SHOWING:
            sha.update(path.read_bytes())
    return sha.hexdigest()


OWN_CODE = _own_code()  # SHA-256 of what makes results, as it was imported: a later edit is not what runs


def foreign_code(made_by: type | Callable[..., object]) -> str | None:
    """SHA-256 (hex) of the file that defines a class or function of another package; None for one of ours."""
    if made_by.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return None
    try:
        file = inspect.getsourcefile(inspect.unwrap(made_by))
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else UNKNOWN
    except (OSError, TypeError):
        return UNKNOWN
