"""A tenant's recipients of data: who was given what, by which name they know a person, and how they are told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

import audit
from dsar.models import Recipient, SubjectType
from dsar.recipients.notices import SECTIONS
from kaireon.outbox import destinations
from kaireon.outbox.models import Kind
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

LONGEST_NAME = 120
# A notice has neither reader nor subject: each one would be a dead letter.
NOT_FOR_NOTICES: tuple[str, ...] = (Kind.EMAIL,)


class RecipientRefused(ValueError):
    """The recipient cannot be so. Says why; `field` names what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@requires_transaction
def save(
    *,
    name: str,
    destination: str,
    knows_by: str = SubjectType.CUSTOMER_ID,
    sections: Sequence[str] = (),
    enabled: bool = True,
    now: datetime,
) -> Recipient:
    """Make or change the active tenant's recipient of this name; recorded as `dsar.recipient.save`.

    Raises RecipientRefused.
    """
    name = name.strip()
    _lock(name)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise RecipientRefused("name", f"One line of at most {LONGEST_NAME} characters.")
    if knows_by not in SubjectType.values:
        raise RecipientRefused("knows_by", f"One of {', '.join(SubjectType.values)}.")
    if unknown := sorted(set(sections) - set(SECTIONS)):
        raise RecipientRefused("sections", f"{unknown[0][:64]} is none of {', '.join(SECTIONS)}.")
    try:
        where = destinations.find(destination)
    except destinations.UnknownDestination as e:
        raise RecipientRefused("destination", str(e)) from e
    if where.kind in NOT_FOR_NOTICES:
        raise RecipientRefused(
            "destination", "A notice is for programs, and no mail: take a webhook, stream or object."
        )
    row = Recipient.objects.select_for_update().filter(name=name).first() or Recipient(name=name)
    row.destination, row.knows_by, row.is_enabled = where, knows_by, enabled
    row.sections, row.changed_at = [section for section in SECTIONS if section in sections], now
    audit.action("dsar.recipient.save", entity=row)
    row.save()
    return row


@requires_transaction
def add(*, name: str, now: datetime, **given: Any) -> Recipient:
    """Make one of a name that there is none of yet; otherwise as `save`. Raises RecipientRefused."""
    _lock(name.strip())
    if Recipient.objects.filter(name=name.strip()).exists():
        raise RecipientRefused("name", "There is a recipient of this name: change that one.")
    return save(name=name, now=now, **given)


@requires_transaction
def switch(recipient: Recipient, *, enabled: bool, now: datetime) -> Recipient:
    """Tell it of what happens from now on, or nothing more; recorded as `dsar.recipient.save`."""
    row = Recipient.objects.select_for_update().get(pk=recipient.pk)
    if row.is_enabled != enabled:
        audit.action("dsar.recipient.save", entity=row)
        row.is_enabled, row.changed_at = enabled, now
        row.save(update_fields=["is_enabled", "changed_at"])
    return row


def _lock(name: str) -> None:
    """Of two who make the same one at once the second changes it."""
    with connection.cursor() as cursor:
        key = f"recipient:{context.tenant_id()}:{name}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
