"""The circumstances of a result: versions, commit, hardware, date."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from brittle.ground import fast_dtype

from .records import Provenance

IMPORTED = time.time()


def provenance(place: torch.device, seconds: float, seed: int) -> dict[str, Any]:
    """What a reader needs to repeat a run, as plain JSON: versions, commit, hardware, precision, seconds, date."""
    return dict(msgspec.to_builtins(circumstances(place, seconds, seed)))


def circumstances(place: torch.device, seconds: float, seed: int, effort: str | None = None) -> Provenance:
    """The same, typed; `effort` is an audit's."""
    names = ("brittle", "torch", "numpy", "scipy", "lightning-fabric", "safetensors")
    versions = {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}
    processor = f"{os.cpu_count()}-core {platform.machine()} ({_processor()})"
    return Provenance(
        seconds=round(seconds, 1),
        seed=seed,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions,
        commit=commit_of(Path(__file__).resolve(), IMPORTED),
        hardware=torch.cuda.get_device_name(place) if place.type == "cuda" else processor,
        precision=str(fast_dtype(place.type)).removeprefix("torch."),
        command=command(),
        effort=effort or msgspec.UNSET,
    )


def command() -> str:
    """The command line that this process was started with, as one would type it."""
    ours = sys.argv[0].endswith(("brittle", "cli/__main__.py"))
    typed = shlex.join(["brittle", *sys.argv[1:]] if ours else ["python", *sys.argv])
    return typed.encode("utf-8", "replace").decode()  # a path may hold bytes that are no text


@cache
def commit_of(file: Path, imported: float) -> str | None:
    """The commit of the checkout that a package's `file` lies in; None outside of one.

    A + says that the package is not as committed, or that it was written to after it was `imported` (seconds since
    1970). Git is asked once in a process.
    """

    def git(*words: str) -> str:
        asked = ["git", "-C", str(file.parent), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)  # or another project's repository lies around it
        commit, changed = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", "..")
    except (OSError, subprocess.SubprocessError):
        return None
    later = any(path.stat().st_mtime > imported for path in file.parent.parent.rglob("*.py"))
    return commit + ("+" if changed or later else "")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
