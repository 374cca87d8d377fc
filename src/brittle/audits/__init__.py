"""Floor 4. What can be believed: is a model fit to be attacked, are successes real, does a gradient mean anything."""

from .audit import AuditEvent, AuditSettings, audit, audit_events
from .doctor import Finding, doctor
from .ensemble import EFFORTS, Effort, effort_named, ensemble
from .journal import Journal
from .provenance import provenance
from .report import Report
from .statistics import Interval, Proportion, mean_interval, paired_p_value
from .verification import Verified, to_8bit, verify

__all__ = [
    "EFFORTS",
    "AuditEvent",
    "AuditSettings",
    "Effort",
    "Finding",
    "Interval",
    "Journal",
    "Proportion",
    "Report",
    "Verified",
    "audit",
    "audit_events",
    "doctor",
    "effort_named",
    "ensemble",
    "mean_interval",
    "paired_p_value",
    "provenance",
    "to_8bit",
    "verify",
]
