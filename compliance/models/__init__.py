"""What a tenant keeps, for how long, and what it holds."""

from compliance.models.epoch import HoldEpoch
from compliance.models.policy import MAX_DAYS, MIN_DAYS, RetentionPolicy

__all__ = ["MAX_DAYS", "MIN_DAYS", "HoldEpoch", "RetentionPolicy"]
