"""Telling recipients of an erasure, rectification or restriction, through the outbox: one message to each, in the
transaction of what it tells of.

They need the name by which they know the person, or they could do nothing. It stands in the message's payload alone,
sealed, and goes with it when the recipient has it; what is published of an erasure belongs to nobody, and its topic
outlives the person, so that the erasure does not take it. What a hold keeps is named in the first notice, and told by
the id of the request when it follows: by then nobody here knows the name.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction as database
from django.dispatch import receiver

import audit
from compliance.holding import holds
from customers.catalogue import CATALOGUE
from customers.models import Customer
from customers.particulars import PARTICULARS
from dsar import signals
from dsar.models import (
    DsarRequest,
    Effort,
    NoticeKind,
    NoticeState,
    Outcome,
    Recipient,
    RecipientNotice,
    RequestType,
    SubjectType,
)
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.outbox import services as outbox
from kaireon.outbox import topics
from kaireon.outbox.models import ArchiveKey, DeadLetter, Message, MessageState, Payload
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

TOPIC = "dsar.recipient_notice"
MADE_VERB = "dsar.recipient.notice"
TOLD_VERB = "dsar.recipient.told"
FAILED_VERB = "dsar.recipient.failed"
NOT_TOLD_VERB = "dsar.recipient.not_told"
NO_IDENTIFIER = "no_identifier"
MOST_REASON = 500
BY_REQUEST = "request"

SECTIONS: tuple[str, ...] = tuple(entity.section for entity in CATALOGUE if entity.section in PARTICULARS)
SECTION_TITLES: dict[str, str] = {entity.section: entity.title for entity in CATALOGUE if entity.section in SECTIONS}
_SECTION_OF = {entity.name: entity.section for entity in CATALOGUE if entity.section}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": list(NoticeKind.values)},
        "article": {"type": "string"},
        "requestId": {"type": "string", "format": "uuid"},
        "subject": {
            "type": "object",
            "properties": {
                "by": {"enum": [*SubjectType.values, BY_REQUEST]},
                "value": {"type": "string", "maxLength": 254},
            },
            "required": ["by", "value"],
            "additionalProperties": False,
        },
        "sections": {"type": "array", "items": {"enum": list(SECTIONS)}},
        "deferred": {"type": "array", "items": {"enum": list(SECTIONS)}},
        "occurredAt": {"type": "string", "format": "date-time"},
    },
    "required": ["kind", "article", "requestId", "subject", "sections", "deferred", "occurredAt"],
    "additionalProperties": False,
}

# Where each law wants recipients told; a law that is not there does not say so, and they are told all the same.
ARTICLES: dict[tuple[str, str], str] = {
    **{("gdpr", kind): "GDPR Art. 19" for kind in NoticeKind.values},
    **{("uk_gdpr", kind): "UK GDPR Art. 19" for kind in NoticeKind.values},
    ("ccpa", NoticeKind.ERASURE): "Cal. Civ. Code § 1798.105(c)(1)",
    ("ccpa", NoticeKind.RECTIFICATION): "11 CCR § 7023(c)",
    ("ccpa", NoticeKind.RESTRICTION): "11 CCR § 7027(g)",
    ("dpdpa", NoticeKind.ERASURE): "DPDP Act 2023, s. 8(7)(b)",
}
_KIND_OF: dict[str, NoticeKind] = {
    RequestType.RECTIFICATION: NoticeKind.RECTIFICATION,
    RequestType.RESTRICTION: NoticeKind.RESTRICTION,
}
_DONE = (Outcome.COMPLETED, Outcome.PARTIALLY_COMPLETED)


class NoticeSettled(RuntimeError):
    """The recipient was told, or it was written down why not."""


@requires_transaction
def mark_not_told(notice: RecipientNotice, *, effort: str, reason: str, now: datetime) -> RecipientNotice:
    """Write down that a recipient is not told, because that is impossible or too much effort; recorded as
    `dsar.recipient.not_told`. What was to be sent goes. Raises NoticeSettled.
    """
    # The message before the notice, as its delivery does.
    ref = RecipientNotice.objects.values_list("message_ref", flat=True).get(pk=notice.pk)
    if ref is not None:
        held = Message.objects.select_for_update().filter(pk=ref).first()
        if held is not None and held.state == MessageState.SENDING:
            raise NoticeSettled(str(notice.pk))
    row = RecipientNotice.objects.select_for_update().get(pk=notice.pk)
    if row.state not in (NoticeState.WAITING, NoticeState.FAILED):
        raise NoticeSettled(str(row.pk))
    audit.action(NOT_TOLD_VERB, entity=row)
    row.state, row.effort, row.reason, row.settled_at = NoticeState.NOT_TOLD, effort, reason, now
    row.save(update_fields=["state", "effort", "reason", "settled_at"])
    _forget_payload(ref)
    return row


_ENABLED = Kept(lambda: Recipient.objects.filter(is_enabled=True).order_by().values_list("pk")[:1])


@receiver(signals.erased)
def _erased(
    *,
    request: DsarRequest,
    customers: Sequence[Customer],
    items: Sequence[dict[str, Any]],
    now: datetime,
    **_more: object,
) -> None:
    if request.is_repeated:
        # They were told when it was done first.
        return
    gone = _sections(item for item in items if item["action"] != "retain")
    staying = _sections(item for item in items if item["action"] == "retain") - gone
    persons = [customer for customer in customers if not subjects.is_remnant(customer)]
    for recipient in _recipients():
        sections, deferred = _shared(recipient, gone), _shared(recipient, staying)
        told_before = RecipientNotice.objects.filter(request=request, recipient=recipient).exists()
        if persons and (sections or deferred):
            subject = _known_as(recipient, persons[-1])
        elif sections and told_before:
            subject = {"by": BY_REQUEST, "value": str(request.pk)}
        else:
            continue
        _tell(request, recipient, NoticeKind.ERASURE, sections, subject, deferred=deferred, now=now)


@receiver(signals.closed)
def _closed(*, request: DsarRequest, now: datetime, **_more: object) -> None:
    kind = _KIND_OF.get(request.request_type)
    if kind is None or request.outcome not in _DONE or not (recipients := _recipients()):
        return
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject:
        customer = None
    for recipient in recipients:
        subject = _known_as(recipient, customer) if customer else None
        ref = customer.pk if customer else None
        _tell(request, recipient, kind, _shared(recipient, SECTIONS), subject, subject_ref=ref, now=now)


def _tell(
    request: DsarRequest,
    recipient: Recipient,
    kind: NoticeKind,
    sections: list[str],
    subject: dict[str, str] | None,
    *,
    deferred: Sequence[str] = (),
    subject_ref: UUID | None = None,
    now: datetime,
) -> None:
    notice = RecipientNotice(
        id=uuid7(),
        request=request,
        recipient=recipient,
        number=RecipientNotice.objects.filter(request=request, recipient=recipient).count() + 1,
        kind=kind,
        article=ARTICLES.get((request.regulation, kind), ""),
        sections=sections,
        made_at=now,
    )
    audit.action(MADE_VERB, entity=notice)
    if subject is None:
        # They know the person by something that is not known here: an officer tells them, or writes down why not.
        notice.state, notice.error = NoticeState.FAILED, NO_IDENTIFIER
        notice.save(force_insert=True)
        return
    payload = {
        "kind": str(kind),
        "article": notice.article,
        "requestId": str(request.pk),
        "subject": subject,
        "sections": sections,
        "deferred": list(deferred),
        "occurredAt": clock.rfc3339(now),
    }
    message = outbox.publish(
        topic=TOPIC,
        destination=recipient.destination.name,
        payload=payload,
        now=now,
        # What happened first is told first.
        ordering_key=f"recipient:{recipient.pk}:{request.pk}",
        subject_ref=subject_ref,
    )
    notice.message_ref = message.pk
    notice.save(force_insert=True)
    database.on_commit(partial(outbox.wake, message))


@requires_transaction
def settled(message_id: UUID, *, delivered: bool, error: str, now: datetime) -> None:
    """Called by the outbox in the transaction in which a message of TOPIC is delivered or dies."""
    notice = RecipientNotice.objects.select_for_update().filter(message_ref=message_id).first()
    if notice is None or notice.state not in (NoticeState.WAITING, NoticeState.FAILED):
        return
    audit.action(TOLD_VERB if delivered else FAILED_VERB, entity=notice)
    notice.state = NoticeState.TOLD if delivered else NoticeState.FAILED
    notice.error = "" if delivered else error
    notice.settled_at = now if delivered else None
    notice.save(update_fields=["state", "error", "settled_at"])
    if delivered:
        _forget_payload(message_id)


def _forget_payload(message_id: UUID | None) -> None:
    """Nobody needs the person's name there any more, unless the class is held. An archive of it is closed too."""
    if message_id is None:
        return
    holds.lock_epoch()
    if "jobs" in holds.held_classes():
        return
    Payload.objects.filter(pk=message_id).delete()
    letters = DeadLetter.objects.filter(source_ref=message_id).values("pk")
    ArchiveKey.objects.filter(letter_ref__in=letters).delete()


def _sections(items: Iterable[dict[str, Any]]) -> set[str]:
    return {_SECTION_OF[item["entity"]] for item in items if item["entity"] in _SECTION_OF}


def _recipients() -> list[Recipient]:
    # Mostly there are none.
    if not _ENABLED.is_any():
        return []
    return list(Recipient.objects.filter(is_enabled=True).select_related("destination").order_by("name"))


def _shared(recipient: Recipient, sections: Collection[str]) -> list[str]:
    """Of these, what the recipient got."""
    return [name for name in SECTIONS if name in sections and (not recipient.sections or name in recipient.sections)]


def _known_as(recipient: Recipient, customer: Customer) -> dict[str, str] | None:
    value = customer.email if recipient.knows_by == SubjectType.EMAIL else customer.customer_id
    return {"by": str(recipient.knows_by), "value": value} if value else None


topics.register(TOPIC, schema=SCHEMA, settled=settled, outlives=True)
EFFORTS = [(effort.value, effort.label) for effort in Effort if effort.value]
