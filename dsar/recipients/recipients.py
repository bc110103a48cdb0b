"""A tenant's recipients of data: who was given what, by which name they know a person, and how they are told."""

from collections.abc import Sequence
from datetime import datetime

import audit
from dsar.models import Recipient, SubjectType
from dsar.recipients.notices import SECTIONS
from kaireon.outbox import destinations
from kaireon.tenancy.context import requires_transaction

LONGEST_NAME = 120


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
    row = Recipient.objects.select_for_update().filter(name=name).first() or Recipient(name=name)
    row.destination, row.knows_by, row.is_enabled = where, knows_by, enabled
    row.sections, row.changed_at = [section for section in SECTIONS if section in sections], now
    audit.action("dsar.recipient.save", entity=row)
    row.save()
    return row
