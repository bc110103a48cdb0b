"""What the admin shows of requests."""

from dsar.requests.admin import DsarRequestAdmin

__all__ = ["DsarRequestAdmin"]
