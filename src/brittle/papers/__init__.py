"""Floor 7. Papers as declarations: what each printed, which nodes measure it again, what would count as agreement."""

from .ilyas2019 import ilyas2019
from .li2019 import li2019
from .measure import accuracies, compared, measured, tables
from .paper import Exhibit, Figure, Finding, Paper, Statement

PAPERS = {"ilyas2019": ilyas2019, "li2019": li2019}

__all__ = [
    "PAPERS",
    "Exhibit",
    "Figure",
    "Finding",
    "Paper",
    "Statement",
    "accuracies",
    "compared",
    "ilyas2019",
    "li2019",
    "measured",
    "tables",
]
