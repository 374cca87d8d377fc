"""The circumstances of a result: versions, commit, hardware, date."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from brittle.ground import fast_dtype


def provenance(place: torch.device, seconds: float, seed: int) -> dict[str, Any]:
    """What a reader needs to repeat a run: versions, commit, hardware, precision, seconds, date."""
    names = ("brittle", "torch", "numpy", "scipy", "lightning-fabric", "safetensors")
    versions = {name: importlib.metadata.version(name) for name in names} | {"python": platform.python_version()}
    hardware = (
        torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else f"{os.cpu_count()}-core {platform.machine()} ({_processor()})"
    )
    return {
        "seconds": round(seconds, 1),
        "seed": seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "commit": COMMIT,
        "hardware": hardware,
        "precision": str(fast_dtype(place.type)).removeprefix("torch."),
        "command": command(),
    }


def command() -> str:
    """The command line that this process was started with, as one would type it."""
    import shlex

    ours = sys.argv[0].endswith(("brittle", "cli/__main__.py"))
    return shlex.join(["brittle", *sys.argv[1:]] if ours else ["python", *sys.argv])


def _commit(file: Path) -> str | None:
    """The commit of the checkout that a package's `file` lies in, with a + where the package is not as committed; None
    outside."""

    def git(*words: str) -> str:
        asked = ["git", "-C", str(file.parent), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)  # or another project's repository lies around it
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "..") else "")
    except (OSError, subprocess.SubprocessError):
        return None


COMMIT = _commit(Path(__file__).resolve())  # of the code as it is imported, whatever is committed while it runs


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
