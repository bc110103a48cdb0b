"""What a certificate says of an erasure: taken from the request and from the log, and naming nobody."""

from datetime import datetime
from typing import Any

from audit.models import AuditRecord
from audit.sealing import subject_keys
from customers import catalogue
from customers.catalogue import CATALOGUE, SAID, Erasure
from dsar.certifying.articles import ARTICLES
from dsar.erasing import log_keys
from dsar.models import DsarRequest, ErasureSearch, NoticeState, Outcome, RecipientNotice, RequestType
from dsar.recipients import notices
from dsar.requests import clocks, subjects
from kaireon.lib import clock, product
from kaireon.lib.canonical import exact
from kaireon.tenancy.context import requires_transaction

# Entities and outcomes in words.
TITLES = {entity.name: entity.title for entity in (*CATALOGUE, *SAID)} | {log_keys.NAME: log_keys.TITLE}
WORDS: dict[str, str] = dict(Outcome.choices)

# Each time that an erasure went through the rows brings a record with this verb.
ROWS_VERB = "dsar.erasure.rows_erased"
# What a notice that is over brings a record with.
_OF_STATE: dict[str, str] = {
    NoticeState.TOLD: notices.TOLD_VERB,
    NoticeState.FAILED: notices.FAILED_VERB,
    NoticeState.NOT_TOLD: notices.NOT_TOLD_VERB,
}


@requires_transaction
def statement(request: DsarRequest, passes: list[dict[str, Any]], *, now: datetime) -> dict[str, Any]:
    """What is signed, as JSON; `passes` are the records of ROWS_VERB about the request, the first one first."""
    return {
        "articles": _articles(request),
        "catalogue": {"entities": len(CATALOGUE), "sha256": catalogue.digest()},
        "counts": exact(request.counts),
        "issuedAt": clock.rfc3339(now),
        "keysDestroyed": [
            {"destroyedAt": clock.rfc3339(at), "keyId": str(key)} for key, at in subject_keys.destroyed(_refs(request))
        ],
        "kind": "erasure",
        "outcome": str(request.outcome),
        "passes": [_pass(record) for record in passes],
        "product": {"name": product.NAME, "version": product.VERSION},
        "recipients": _recipients(request),
        "regulation": request.regulation,
        "requestId": str(request.pk),
        "retained": exact(request.retained),
        "scope": [
            {"dataClass": e.data_class, "entity": e.name, "erasure": e.erasure.value, "title": e.title}
            for e in (*CATALOGUE, *SAID)
            if e.erasure != Erasure.NONE
        ],
        "subject": subjects.pseudonym_of(request),
        "tenantId": request.tenant_id,
        "times": {
            "closedAt": _moment(request.closed_at),
            "dueOn": request.due_on.isoformat(),
            "erasedAt": _moment(request.erased_at),
            "receivedAt": _moment(request.received_at),
            "requestedAt": _moment(request.requested_at),
            "startedAt": _moment(request.started_at),
        },
    }


def _articles(request: DsarRequest) -> list[dict[str, str]]:
    asked = [{"article": each.article, "says": each.says} for each in ARTICLES.get(request.regulation, ())]
    return asked + [{"article": rule.article, "says": rule.effect} for rule in clocks.clock_of(request).rules]


def _refs(request: DsarRequest) -> set[str]:
    """Whose keys went with this erasure: the customer's, and those that earlier erasures of them had to leave."""
    refs = {request.customer_ref}
    if request.pseudonym.startswith("erased-"):
        same = DsarRequest.objects.filter(request_type=RequestType.DELETE, pseudonym=request.pseudonym)
        refs |= set(same.values_list("customer_ref", flat=True))
    found = ErasureSearch.objects.filter(request=request).values_list("refs", flat=True)
    return {str(ref) for ref in refs if ref} | {ref for more in found for ref in more}


def _pass(record: dict[str, Any]) -> dict[str, Any]:
    """One time that rows went: when, and what had to stay then. What was deferred shows here, and when it followed."""
    after = record["after"] or {}
    return {"at": record["timestamp"], "recordId": record["id"], "retained": after.get("retained", [])}


def _recipients(request: DsarRequest) -> list[dict[str, Any]]:
    """Who was told, who could not be and who was not for a reason of Article 19, each with the record that says so."""
    found = list(RecipientNotice.objects.of(request).select_related("recipient"))
    ids = [str(notice.pk) for notice in found]
    about = AuditRecord.objects.filter(entity_type="RecipientNotice", entity_id__in=ids, action__in=_OF_STATE.values())
    records = {(record.entity_id, record.action): str(record.pk) for record in about.order_by("seq")}
    return [
        {
            "article": notice.article,
            "at": _moment(notice.settled_at),
            "effort": str(notice.effort),
            "kind": str(notice.kind),
            "madeAt": clock.rfc3339(notice.made_at),
            "outcome": str(notice.state),
            "recipient": notice.recipient.name,
            "recordId": records.get((str(notice.pk), _OF_STATE[notice.state])),
            "sections": list(notice.sections),
        }
        for notice in found
    ]


def _moment(moment: datetime | None) -> str | None:
    return clock.rfc3339(moment) if moment else None
