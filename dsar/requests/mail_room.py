"""Mail to subjects, through the tenant's oldest enabled destination for mail. It goes out after the commit."""

from datetime import datetime
from uuid import UUID

from compliance.holding import holds, predicate
from dsar.requests.codes import CodeRefused
from kaireon.outbox import services as outbox
from kaireon.outbox.models import Destination, Kind, Message, Payload
from kaireon.tenancy.context import requires_transaction

# The class that messages are kept and held by.
_CLASS = "jobs"


@requires_transaction
def find() -> Destination:
    """Raises CodeRefused with `no_mail`."""
    room = Destination.objects.filter(kind=Kind.EMAIL, is_enabled=True).order_by("created_at").first()
    if room is None:
        raise CodeRefused("no_mail", "This tenant has no destination for mail: manage.py destination makes one.")
    return room


@requires_transaction
def post(
    room: Destination, *, to: str, subject: str, text: str, about: UUID | None, ends_at: datetime, now: datetime
) -> Message:
    """Give the message to `outbox.wake` after the commit. `about` is our id of the customer, if it is known; what it
    says is deleted after `ends_at`.
    """
    payload = {"to": [to], "subject": subject, "text": text}
    return outbox.publish(
        topic="mail", destination=room.name, payload=payload, now=now, subject_ref=about, ends_at=ends_at
    )


@requires_transaction
def forget_ended(*, now: datetime, dry_run: bool = False) -> int:
    """Delete what messages say that is of no use any more, but for what a hold keeps; how many."""
    holds.lock_epoch()
    if _CLASS in holds.held_classes():
        return 0
    ended = predicate.free(Payload.objects.filter(ends_at__lte=now), _CLASS, ended_by=now if dry_run else None)
    return ended.count() if dry_run else ended.delete()[0]
