"""The circumstances of a result: versions, hardware, date."""

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from typing import Any

import torch

from brittle.ground import fast_dtype


def circumstances(place: torch.device, seconds: float, seed: int) -> dict[str, Any]:
    """What a reader needs to repeat a run: versions, hardware, precision, seconds, date."""
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
        "hardware": hardware,
        "precision": str(fast_dtype(place.type)).removeprefix("torch."),
        "command": command(),
    }


def command() -> str:
    """The command line that this process was started with, as one would type it."""
    import shlex

    ours = sys.argv[0].endswith(("brittle", "cli/__main__.py"))
    return shlex.join(["brittle", *sys.argv[1:]] if ours else ["python", *sys.argv])


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
