"""What a tenant keeps, for how long, what it holds, and what went."""

from compliance.models.disposition import Disposition, Method
from compliance.models.drift import Drift
from compliance.models.epoch import HoldEpoch
from compliance.models.hold import Hold, HoldState, HoldSubject, Kind, Notice
from compliance.models.law import BindingLaw
from compliance.models.matter import Matter
from compliance.models.policy import CLOCK, MAX_DAYS, MIN_DAYS, Mode, RetentionPolicy
from compliance.models.policy_version import PolicyVersion
from compliance.models.purge_plan import PlanState, PurgePlan, PurgePlanItem
from compliance.models.signal import ScanCoverage, SecuritySignal, SignalKind, SignalSeverity, SignalState

__all__ = [
    "CLOCK",
    "MAX_DAYS",
    "MIN_DAYS",
    "BindingLaw",
    "Disposition",
    "Drift",
    "Hold",
    "HoldEpoch",
    "HoldState",
    "HoldSubject",
    "Kind",
    "Matter",
    "Method",
    "Mode",
    "Notice",
    "PlanState",
    "PolicyVersion",
    "PurgePlan",
    "PurgePlanItem",
    "RetentionPolicy",
    "ScanCoverage",
    "SecuritySignal",
    "SignalKind",
    "SignalSeverity",
    "SignalState",
]
