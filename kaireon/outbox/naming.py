"""Messages and dead letters that name a person without having been published about them, found by what they say."""

import binascii
import logging
import zlib
from uuid import UUID

from kaireon.lib.naming import Names
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import archive, payloads, topics
from kaireon.outbox.models import ArchiveKey, DeadLetter, Message, Payload
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.managers import TenantQuerySet

logger = logging.getLogger("kaireon.outbox")

_AT_ONCE = 200


@without_transaction
def claim(names: Names, *, subject_ref: UUID) -> int:
    """Write down whose these payloads and archived ones are: what is done about the person then finds them.

    Some at a time, in transactions of its own; done twice it does nothing more. Gives how many. What no key opens says
    nothing to anybody, and is passed by.
    """
    claimed, after = 0, UUID(int=0)
    while True:
        with transaction():
            rows = list(_nobodys().filter(pk__gt=after).order_by("pk")[:_AT_ONCE])
            claimed += _claim([row.pk for row in rows if _says(row, names)], subject_ref)
        if len(rows) < _AT_ONCE:
            return claimed + _claim_archived(names, subject_ref)
        after = rows[-1].pk


@requires_transaction
def count(names: Names) -> int:
    """How many payloads there are that would be claimed. Nothing changes."""
    return sum(_says(row, names) for row in _nobodys().iterator(chunk_size=_AT_ONCE))


@requires_transaction
def nobodys() -> tuple[TenantQuerySet[Payload], TenantQuerySet[ArchiveKey]]:
    """What may have to be claimed: payloads and keys to archived ones that are nobody's."""
    return Payload.objects.filter(subject_ref=None), ArchiveKey.objects.filter(subject_ref=None)


def _nobodys() -> TenantQuerySet[Payload]:
    """Those that were published about nobody, but for what has to tell of an erasure after it."""
    telling = Message.objects.filter(topic__in=topics.outliving()).values("pk")
    return Payload.objects.filter(subject_ref=None).exclude(pk__in=telling)


def _says(row: Payload, names: Names) -> bool:
    try:
        return names.said_in(payloads.opened(row))
    except CannotOpen as error:
        logger.warning("payload_unreadable", extra={"error_type": type(error).__name__})
        return False


def _claim(refs: list[UUID], subject_ref: UUID) -> int:
    claimed = Payload.objects.filter(pk__in=refs, subject_ref=None).update(subject_ref=subject_ref)
    letters = DeadLetter.objects.filter(source_ref__in=refs).values_list("pk", flat=True)
    return claimed + _claim_keys(list(letters), subject_ref)


def _claim_keys(letters: list[UUID], subject_ref: UUID) -> int:
    return ArchiveKey.objects.filter(letter_ref__in=letters, subject_ref=None).update(subject_ref=subject_ref)


def _claim_archived(names: Names, subject_ref: UUID) -> int:
    """Those whose payload was purged: what they say stands in the archive alone, of which the keys are here."""
    with transaction():
        files = list(ArchiveKey.objects.filter(subject_ref=None).values_list("archive_name", flat=True).distinct())
    claimed = 0
    for name in files:
        with transaction():
            claimed += _claim_keys(_archived(name, names), subject_ref)
    return claimed


def _archived(name: str, names: Names) -> list[UUID]:
    """The letters of an archive that name the person. Of one that lies elsewhere, or is gone, nothing can be said."""
    try:
        body = archive.stored(name, archive.place())
        lines = archive.read(body, name=name)
        return [UUID(line["id"]) for line in lines if names.said_in(line["payload"])]
    except (archive.NoSuchArchive, CannotOpen, EOFError, zlib.error, binascii.Error) as error:
        logger.warning("archive_unreadable", extra={"error_type": type(error).__name__})
        return []
