"""What the admin shows of requests."""

from dsar.recipients.configuring_admin import RecipientAdmin
from dsar.requests.admin import DsarRequestAdmin
from dsar.requests.customer_admin import CustomerWithRequestsAdmin

__all__ = ["CustomerWithRequestsAdmin", "DsarRequestAdmin", "RecipientAdmin"]
