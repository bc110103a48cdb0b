"""What waits for one member's answer, oldest first, and what they asked for and others must answer."""

from datetime import datetime

from django.db.models import Q

from kaireon.approvals import registry
from kaireon.approvals.models import ApprovalRequest
from kaireon.tenancy.context import requires_transaction

# Open requests end after days: there are few. One who has more than this answers the oldest first.
MOST = 200


@requires_transaction
def waiting(*, person: str, role: str, now: datetime) -> list[ApprovalRequest]:
    """The open requests that this member, in this role, is asked about now and may answer. At most MOST."""
    rows = ApprovalRequest.objects.waiting_for(person, now).order_by("requested_at", "id")[:MOST]
    return [row for row in rows if registry.stage_of(row.stages[row.stage]).takes(role)]


@requires_transaction
def asked_by(*, person: str, now: datetime) -> list[ApprovalRequest]:
    """The open requests of this member, in person or with their key: others answer these. At most MOST."""
    own = Q(requested_by=person) | Q(requested_for=person)
    rows = ApprovalRequest.objects.pending().filter(own, deadline__gt=now)
    return list(rows.order_by("requested_at", "id")[:MOST])
