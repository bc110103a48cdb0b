"""What happened to a request, as the audit log has it. Nothing is kept for this beside the log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from audit.models import AuditRecord
from dsar.models import DsarRequest, IdentityCheck, Letter, RecipientNotice
from dsar.requests import event_words
from kaireon.tenancy.context import requires_transaction

# A request has some dozens at most; whoever looks at it more often than that is found in the log itself.
MOST_EVENTS = 500


@dataclass(frozen=True, kw_only=True)
class Event:
    at: datetime
    action: str
    by: str
    by_type: str
    state: str | None
    record: UUID
    entity: str

    @property
    def title(self) -> str:
        """For people."""
        return event_words.title_of(self.action)

    @property
    def state_title(self) -> str:
        return event_words.state_of(self.entity, self.state)


@requires_transaction
def timeline(request: DsarRequest) -> list[Event]:
    """The records of the request, its proof of identity, its letters and notices, oldest first.

    Drain the inbox before the transaction.
    """
    checks = [str(pk) for pk in IdentityCheck.objects.filter(request=request).values_list("pk", flat=True)]
    about = Q(entity_type="DsarRequest", entity_id=str(request.pk))
    if checks:
        about |= Q(entity_type="IdentityCheck", entity_id__in=checks)
    letters = [str(pk) for pk in Letter.objects.filter(request=request).values_list("pk", flat=True)]
    if letters:
        about |= Q(entity_type="Letter", entity_id__in=letters)
    notices = [str(pk) for pk in RecipientNotice.objects.filter(request=request).values_list("pk", flat=True)]
    if notices:
        about |= Q(entity_type="RecipientNotice", entity_id__in=notices)
    found = AuditRecord.objects.filter(about).order_by("seq")[:MOST_EVENTS]
    return [
        Event(
            at=record.timestamp,
            action=record.action,
            by=record.user_name or "",
            by_type=record.actor_type,
            state=_state(record.changes),
            record=record.pk,
            entity=record.entity_type,
        )
        for record in found
        # The counters of a check that was only made or emptied tell nothing.
        if not (record.entity_type == "IdentityCheck" and "." not in record.action)
    ]


def _state(changes: Any) -> str | None:
    """The state a record brought; a request's other values stay in the log, for those who may read that.

    Of a change the record says `[old, new]`, of a creation the row.
    """
    state = changes.get("state") if isinstance(changes, Mapping) else None
    new = state[-1] if isinstance(state, list) and state else state
    return new if isinstance(new, str) else None
