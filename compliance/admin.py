"""The pages of the rules, registered: Django looks for them here."""

from compliance.purging.admin import PurgePlanAdmin
from compliance.purging.dispositions_admin import DispositionAdmin
from compliance.retention.admin import RetentionPolicyAdmin

__all__ = ["DispositionAdmin", "PurgePlanAdmin", "RetentionPolicyAdmin"]
