"""The command as a process of its own, killed at random moments."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def command(store: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "BRITTLE_STORE": str(store)}
    return subprocess.Popen(
        [sys.executable, "-m", "brittle", *words, "--device", "cpu"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def killed_and_resumed(store: Path, pattern: str, words: list[str]) -> int:
    """Run a command, killing it at three random moments after it has written something new; how many kills hit."""
    moments, hits, seen = random.Random(0), 0, -1
    for _ in range(3):
        process, deadline = command(store, *words), time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            now = sum(path.stat().st_mtime_ns for path in store.glob(pattern) if path.exists())
            if now > seen and now:
                seen = now
                time.sleep(moments.uniform(0, 0.6))
                break
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            hits += 1
        process.communicate()
    finished(command(store, *words))
    return hits


def finished(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()
