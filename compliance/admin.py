"""The pages of the rules, registered: Django looks for them here."""

from compliance.retention.admin import RetentionPolicyAdmin

__all__ = ["RetentionPolicyAdmin"]
