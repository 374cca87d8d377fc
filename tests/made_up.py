"""Figures as a test wishes for them, in place of a store's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from brittle.audits import Interval
from brittle.papers import Results, Share
from brittle.papers.results import READ
from brittle.studies import Audit, Node

E = 1e-9  # just beside a threshold


def between(low: float, high: float) -> Share:
    """A share with this interval."""
    return Share(round(500 * (low + high)), 1000, low, high)


def interval(low: float, high: float) -> Interval:
    """A mean with this interval."""
    return Interval((low + high) / 2, low, high)


def above(low: float, high: float | None = None) -> list[tuple[tuple[float, float], str]]:
    """Intervals around a threshold, or around another interval, which they must lie above; and the verdict of each."""
    high = low if high is None else high
    return [
        ((high + E, high + 0.1), "agrees"),
        ((high, high + 0.1), "open"),
        ((high - E, high + 0.1), "open"),
        ((low - 0.1, low + E), "open"),
        ((low - 0.1, low), "open"),
        ((low - 0.1, low - E), "differs"),
    ]


def below(low: float, high: float | None = None) -> list[tuple[tuple[float, float], str]]:
    """The same where they must lie below."""
    high = low if high is None else high
    return [
        ((low - 0.1, low - E), "agrees"),
        ((low - 0.1, low), "open"),
        ((low - 0.1, low + E), "open"),
        ((high - E, high + 0.1), "open"),
        ((high, high + 0.1), "open"),
        ((high + E, high + 0.1), "differs"),
    ]


def asked_in(node: Node) -> list[str]:
    """The threats of an audit."""
    return list(map(str, node.threats)) if isinstance(node, Audit) else ["L2:0.3", "L2:0.6"]


class MadeUp(Results):
    """Results whose records and broken images are given, or made up for each node: what is read from them is noted."""

    def __init__(
        self,
        records: Mapping[Node, Any] | None = None,
        broken: Mapping[Node, Tensor] | None = None,
        withstands: Mapping[Node, Tensor] | None = None,
    ) -> None:
        self.records, self.broken, self.withstands = records or {}, broken or {}, withstands or {}
        self.read: list[Node] = []
        self.record_of = self._made_up_record  # type: ignore[assignment]

    def _made_up_record(self, node: Node) -> dict[str, Any]:
        self._note(node)
        return self.records[node] if node in self.records else self._distinct_record(node)

    def _note(self, node: Node) -> None:
        if node not in self.read:
            self.read.append(node)

    def _distinct_record(self, node: Node) -> dict[str, Any]:
        """Figures that no other node has."""
        k = self.read.index(node)
        length = {"mean": 0.2 + k, "low": 0.1 + k, "high": 0.3 + k}
        point = {"where": "at the data", "gradient": length, "mean": 0.2 + k, "interval": [0.1 + k, 0.3 + k]}
        shares = {read: Share.of(100 + 10 * k + j, 1000).record() for j, read in enumerate(READ)}
        shares |= {
            read: Share.of(900 + k, 1000).record() for read in ("held_out", "held_out_robust")
        }  # nets are trained
        threats = [{"threat": name, "robust": Share.of(50 + k, 1000).record()} for name in asked_in(node)]
        rho = {name: [0.1 + k, 0.2 + k] for name in ("D", "D_R", "D_NR", "D_rand", "D_det")}
        shares |= {"threats": threats, "rho": rho}
        shares |= {"plain_of_images": [0.2 + k, 0.4 + k], "averaged_of_images": [1.2 + k, 1.4 + k]}
        return shares | {"points": [point, {"where": "elsewhere", "mean": -1.0, "interval": [-2.0, 0.0]}]}

    def tensors(self, node: Node) -> dict[str, Tensor]:
        self._note(node)
        k = self.read.index(node)
        some = torch.arange(1000) < 900 - 10 * k
        withstands = self.withstands.get(node, some.expand(len(asked_in(node)), -1))
        return {"broken": self.broken[node] if self.broken else ~withstands[0], "withstands": withstands}
