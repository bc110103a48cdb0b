"""What a tenant keeps, for how long, what it holds, what went, and what is watched."""

from compliance.models.alert import (
    AlertChange,
    AlertNotification,
    AlertRule,
    AlertState,
    NotificationProvider,
    NotificationState,
    Operator,
    ProviderKind,
    Severity,
)
from compliance.models.disposition import Disposition, Method
from compliance.models.drift import Drift
from compliance.models.epoch import HoldEpoch
from compliance.models.hold import Hold, HoldState, HoldSubject, Kind, Notice
from compliance.models.hold_template import HoldTemplate
from compliance.models.law import BindingLaw
from compliance.models.matter import Matter
from compliance.models.policy import CLOCK, MAX_DAYS, MIN_DAYS, Mode, RetentionPolicy
from compliance.models.policy_version import PolicyVersion
from compliance.models.purge_plan import PlanState, PurgePlan, PurgePlanItem
from compliance.models.report import (
    ReportCadence,
    ReportFile,
    ReportFormat,
    ReportNotice,
    ReportRun,
    ReportSchedule,
    ReportSpan,
    ReportState,
    ReportTrigger,
)
from compliance.models.signal import ScanCoverage, SecuritySignal, SignalKind, SignalSeverity, SignalState

__all__ = [
    "CLOCK",
    "MAX_DAYS",
    "MIN_DAYS",
    "AlertChange",
    "AlertNotification",
    "AlertRule",
    "AlertState",
    "BindingLaw",
    "Disposition",
    "Drift",
    "Hold",
    "HoldEpoch",
    "HoldState",
    "HoldSubject",
    "HoldTemplate",
    "Kind",
    "Matter",
    "Method",
    "Mode",
    "Notice",
    "NotificationProvider",
    "NotificationState",
    "Operator",
    "PlanState",
    "PolicyVersion",
    "ProviderKind",
    "PurgePlan",
    "PurgePlanItem",
    "ReportCadence",
    "ReportFile",
    "ReportFormat",
    "ReportNotice",
    "ReportRun",
    "ReportSchedule",
    "ReportSpan",
    "ReportState",
    "ReportTrigger",
    "RetentionPolicy",
    "ScanCoverage",
    "SecuritySignal",
    "Severity",
    "SignalKind",
    "SignalSeverity",
    "SignalState",
]
