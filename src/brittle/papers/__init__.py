"""Floor 7. Papers as declarations: what each printed, which nodes measure it again, what would count as agreement."""

from .files import table_files
from .ilyas2019 import ilyas2019
from .li2019 import li2019
from .measure import Repetition, accuracies, compare_with_stored, measure_paper
from .paper import Claim, Evidence, Exhibit, Figure, Paper, Ruling
from .results import Results, Share

PAPERS = {"ilyas2019": ilyas2019, "li2019": li2019}

__all__ = [
    "PAPERS",
    "Claim",
    "Evidence",
    "Exhibit",
    "Figure",
    "Paper",
    "Repetition",
    "Results",
    "Ruling",
    "Share",
    "accuracies",
    "compare_with_stored",
    "ilyas2019",
    "li2019",
    "measure_paper",
    "table_files",
]
