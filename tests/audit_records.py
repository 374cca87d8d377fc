"""Records of audits as an audit writes them, made up, and what a reader sees of a page about them."""

from __future__ import annotations

import copy
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from scipy.stats import beta

from brittle.report import Audited

N = 240
THREATS = {
    "Linf:8/255": ("APGD-100 cross-entropy", "Square-1000"),
    "L2:0.5": ("PGD-40", "FMN-100"),
    "L1:12": ("FMN-100",),
}
NASTY = "<script>alert('&')</script>"


def share(correct: int, n: int = N) -> dict[str, Any]:
    low = float(beta.ppf(0.025, correct, n - correct + 1)) if correct else 0.0
    high = float(beta.ppf(0.975, correct + 1, n - correct)) if correct < n else 1.0
    return {"correct": correct, "n": n, "accuracy": correct / n, "interval": [low, high]}


def audited(name: str, strength: float, *, size: int = 8, channels: int = 3, wall: int = 4, seed: int = 0) -> Audited:
    """A record as an audit writes it: every count follows from one table of which attack broke which example."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, N).tolist()
    answers = [(y + 1) % 10 if i % 24 == 0 else y for i, y in enumerate(labels)]
    right = [i for i in range(N) if labels[i] == answers[i]]
    broken: dict[str, dict[int, str]] = {}
    threats = []
    for threat, attacks in THREATS.items():
        broken[threat] = {i: attacks[rng.integers(len(attacks))] for i in right if rng.random() > strength}
        left, rows = len(right), []
        for attack in attacks:
            broke = list(broken[threat].values()).count(attack)
            verified = broke + len(rows)  # later attacks fool again what only rounding undid
            counts = {"tried": left, "claimed": verified + 3 * len(rows), "verified": verified, "broke": broke}
            rows.append({"name": attack, **counts, "seconds": 12.34})
            left -= broke
            rows[-1]["left"] = share(left)
        line = [share(round(len(right) * (1 - t) ** (2 - strength))) for t in np.linspace(0, 1, 9)]
        curve = {
            "attack": "FMN-100",
            "n": N,
            "radius": 0.05,
            "eps": np.linspace(0, 0.1, 9).tolist(),
            "accuracy": [p["accuracy"] for p in line],
            "low": [p["interval"][0] for p in line],
            "high": [p["interval"][1] for p in line],
        }
        robust = {"robust": share(left), "robust_8bit": share(left + 1)}
        threats.append({"threat": threat, **robust, "attacks": rows, "curve": curve})
    union = len(right) - len(set().union(*broken.values()))
    clean = rng.integers(0, 256, (wall, channels, size, size), dtype=np.uint8)
    moved = np.clip(clean / 255 + rng.uniform(-0.03, 0.03, clean.shape), 0, 1).astype(np.float32)
    record = {
        "format": "brittle-audit/2",
        "model": {
            "name": name,
            "source": "runs/model.safetensors",
            "digest": "ab" * 32,
            "weights": None,
            "bpda": [],
            "reject": None,
            "inputs": {},
            "parameters": 3274634,
            "training": {
                "goal": "adversarial",
                "threat": "Linf:8/255",
                "epochs": 3,
                "net": "madry",
                "history": [
                    {"epoch": e, "loss": 1 / e, "clean": 0.9 + e / 40, "robust": 0.6 + e / 20} for e in (1, 2, 3)
                ],
            },
        },
        "data": {
            "name": "cifar10/test",
            "n": N,
            "of": 10000,
            "classes": [f"class {i}" for i in range(10)],
            "digest": "cd" * 32,
            "given": "cifar10",
            "files": [],
            "rows": [],
            "folder": "",
        },
        "verdict": {
            "level": "trust",
            "sentence": f"A sentence about {name}.",
            "next": f"brittle audit {name} --n 10000",
        },
        "clean": share(len(right)),
        "union": share(union),
        "union_8bit": share(union + 1),
        "union_proved": None,
        "asked": None,
        "threats": threats,
        "checks": [
            {
                "name": "more steps help",
                "threat": "L2:0.5",
                "level": "fine",
                "text": "PGD-100 leaves less.",
                "hint": "",
            },
            {"name": "restarts agree", "threat": None, "level": "bad", "text": "They do not.", "hint": "Add restarts."},
        ],
        "gradients": [
            {"threat": t, "path": "PGD-40", "mean_norm": (10.0 ** -np.arange(5)).tolist(), "zero_share": 0.017}
            for t in THREATS
        ],
        "examples": [
            {"index": i, "label": y, "answer": a, "broken_by": {t: broken[t].get(i) for t in THREATS}}
            for i, (y, a) in enumerate(zip(labels, answers, strict=True))
        ],
        "wall": [
            {"index": i, "label": i, "answer": i + 1, "threat": "L1:12", "attack": "FMN-100", "size": 1.25 + i}
            for i in range(wall)
        ],
        "skipped": [],
        "run": {
            "command": f"brittle audit {name} --seed 7",
            "seed": 7,
            "seconds": 63.1,
            "date": "2026-11-21T09:12:33+00:00",
            "versions": {"brittle": "0.1.0", "torch": "2.13.0"},
            "commit": "0123456789abcdef+",
            "hardware": "2-core test machine",
            "precision": "float32",
        },
    }
    return Audited(json.loads(json.dumps(record)), clean, moved)


def bare(whole: Audited) -> Audited:
    """The same audit with everything left out that may be left out."""
    record = copy.deepcopy(whole.record)
    record["model"]["training"] = None
    return Audited(
        record | {key: [] for key in ("checks", "gradients", "examples", "wall")},
        whole.clean[:0],
        whole.adversarial[:0],
    )


def put(run: Path, what: Audited) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    (run / "audit.json").write_text(json.dumps(what.record), "utf-8")
    save_file({"wall_clean": what.clean, "wall_adversarial": what.adversarial}, run / "audit.safetensors")
    return run


def said(html: str) -> str:
    """What a reader sees of the page, as one line."""
    words: list[str] = []
    inside: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            inside[:] = [tag] if tag in ("style", "script") else []

        def handle_endtag(self, tag: str) -> None:
            inside.clear()

        def handle_data(self, data: str) -> None:
            if not inside:
                words.append(data)

    Reader().feed(html)
    return " ".join("".join(words).split())


def shown(p: dict[str, Any]) -> str:
    return f"{100 * p['accuracy']:.1f} % [{100 * p['interval'][0]:.1f}, {100 * p['interval'][1]:.1f}]"
