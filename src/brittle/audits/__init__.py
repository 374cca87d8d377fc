"""Floor 4. What can be believed: is a model fit to be attacked, are successes real, does a gradient mean anything."""

from .about import circumstances
from .audit import Event, Settings, audit, auditing
from .doctor import Finding, doctor
from .ensemble import EFFORTS, Effort, effort_named, ensemble
from .journal import Journal
from .report import Report
from .statistics import Interval, Proportion, mean_interval, paired_p_value
from .verification import Verified, to_8bit, verify

__all__ = [
    "EFFORTS",
    "Effort",
    "Event",
    "Finding",
    "Interval",
    "Journal",
    "Proportion",
    "Report",
    "Settings",
    "Verified",
    "audit",
    "auditing",
    "circumstances",
    "doctor",
    "effort_named",
    "ensemble",
    "mean_interval",
    "paired_p_value",
    "to_8bit",
    "verify",
]
