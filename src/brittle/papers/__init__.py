"""Floor 7. Papers as declarations: what each printed, which nodes measure it again, what would count as agreement."""

from .ilyas2019 import ilyas2019
from .li2019 import li2019
from .measure import accuracies, compare_again, measure_paper, tables
from .paper import Claim, Exhibit, Figure, Paper, Ruling

PAPERS = {"ilyas2019": ilyas2019, "li2019": li2019}

__all__ = [
    "PAPERS",
    "Claim",
    "Exhibit",
    "Figure",
    "Paper",
    "Ruling",
    "accuracies",
    "compare_again",
    "ilyas2019",
    "li2019",
    "measure_paper",
    "tables",
]
