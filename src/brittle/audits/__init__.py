"""Floor 4. What can be believed: is a model fit to be attacked, are successes real, does a gradient mean anything."""

from .again import differences
from .audit import AuditEvent, AuditSettings, audit, audit_events
from .doctor import checked, doctor
from .findings import Finding
from .journal import Journal
from .judgement import Judgement, adversarial_of, judge
from .provenance import command, provenance
from .records import AuditRecord, DataRecord, ModelRecord, TrainingRecord, Verdict, decode_record
from .report import ByThreat, Report
from .schedule import EFFORTS, Effort, Stage, effort_named
from .statistics import Interval, Proportion, mean_interval, paired_interval, paired_p_value
from .verification import Verified, to_8bit, verify

__all__ = [
    "EFFORTS",
    "AuditEvent",
    "AuditRecord",
    "AuditSettings",
    "ByThreat",
    "DataRecord",
    "Effort",
    "Finding",
    "Interval",
    "Journal",
    "Judgement",
    "ModelRecord",
    "Proportion",
    "Report",
    "Stage",
    "TrainingRecord",
    "Verdict",
    "Verified",
    "adversarial_of",
    "audit",
    "audit_events",
    "checked",
    "command",
    "decode_record",
    "differences",
    "doctor",
    "effort_named",
    "judge",
    "mean_interval",
    "paired_interval",
    "paired_p_value",
    "provenance",
    "to_8bit",
    "verify",
]
