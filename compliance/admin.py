"""The pages of the rules, registered: Django looks for them here."""

from compliance.alerting.admin import AlertRuleAdmin
from compliance.alerting.providers_admin import NotificationProviderAdmin
from compliance.detection.admin import SecuritySignalAdmin
from compliance.drift.admin import DriftAdmin
from compliance.holding.admin import HoldAdmin, MatterAdmin
from compliance.holding.templates_admin import HoldTemplateAdmin
from compliance.purging.admin import PurgePlanAdmin
from compliance.purging.dispositions_admin import DispositionAdmin
from compliance.reporting.admin import ReportScheduleAdmin
from compliance.reporting.runs_admin import ReportRunAdmin
from compliance.retention.admin import RetentionPolicyAdmin

__all__ = [
    "AlertRuleAdmin",
    "DispositionAdmin",
    "DriftAdmin",
    "HoldAdmin",
    "HoldTemplateAdmin",
    "MatterAdmin",
    "NotificationProviderAdmin",
    "PurgePlanAdmin",
    "ReportRunAdmin",
    "ReportScheduleAdmin",
    "RetentionPolicyAdmin",
    "SecuritySignalAdmin",
]
