"""The certificate of an erasure: what was done, signed by the log's key, with the proof that the log says so too.

It is issued once, at the first look at it or by the nightly `cleanup`, and is the same bytes from then on. Its form is
in docs/evidence.md, and the verifier that comes with evidence bundles checks it.
"""

import base64
import logging
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db.models import Exists, OuterRef

import audit
from audit import reading, services
from audit.exports import bundle
from audit.models import AuditRecord, Checkpoint
from audit.tree import checkpoints, proofs, signing
from audit.witness import witnesses
from dsar.certifying.statement import ROWS_VERB, statement
from dsar.erasing.erasure import COMPLETED_VERB
from dsar.models import (
    Certificate,
    DsarRequest,
    NoticeState,
    Outcome,
    RecipientNotice,
    RequestType,
    Status,
)
from kaireon.lib.canonical import canonical
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

logger = logging.getLogger("kaireon.dsar.certificates")

FORMAT = "kaireon-certificate-2"
ISSUED_VERB = "dsar.certificate.issued"
READ_VERB = "dsar.certificate.read"
SIGNED = b"kaireon certificate v1\n"

_CARRIED_OUT = (Outcome.COMPLETED, Outcome.PARTIALLY_COMPLETED, Outcome.NO_DATA)


class NoCertificate(ValueError):
    """There is none of this request. `code` says why for programs, the message what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def why_not(request: DsarRequest) -> NoCertificate | None:
    """What stands in the way of a certificate, by the request alone."""
    if request.request_type != RequestType.DELETE:
        return NoCertificate("not_an_erasure", "Only an erasure has a certificate.")
    if request.status != Status.COMPLETED:
        return NoCertificate(
            "not_completed", f"The erasure is {request.status}: it has a certificate when it is completed."
        )
    if request.outcome not in _CARRIED_OUT:
        return NoCertificate("not_carried_out", f"Nothing was erased: the request ended as {request.outcome}.")
    return None


def seal_log() -> None:
    """Bring all that happened so far into the log and under a checkpoint. Opens its own transactions.

    Raises checkpoints.LogContradictsCheckpoint.
    """
    tenant = context.tenant_id()
    services.drain(tenant)
    while checkpoints.make(tenant):
        pass


@requires_transaction
def issued(request: DsarRequest) -> Certificate | None:
    return Certificate.objects.of(request).first()


@requires_transaction
def issue(request: DsarRequest, *, now: datetime) -> Certificate:
    """The certificate, made now if there is none yet; recorded as `dsar.certificate.issued`.

    Raises NoCertificate: not an erasure, not finished, not carried out, recipients that are being told still, or not
    under a checkpoint yet (`seal_log`).
    """
    # Two who ask at once get the same one.
    request = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if (there := issued(request)) is not None:
        return there
    if (refusal := why_not(request)) is not None:
        raise refusal
    if RecipientNotice.objects.of(request).filter(state=NoticeState.WAITING).exists():
        raise NoCertificate(
            "recipients_waiting",
            "Recipients of the data are being told, and the certificate says who was: ask again in a minute. Who cannot"
            " be told is written down on the page of the request.",
        )
    record, checkpoint = _sealed(request)
    content, key_id = _signed(request, record, checkpoint, now=now)
    row = Certificate(
        id=uuid7(),
        request=request,
        content=content,
        sha256=sha256(content).hexdigest(),
        key_id=key_id,
        tree_size=checkpoint.tree_size,
        issued_at=now,
    )
    audit.action(ISSUED_VERB, entity=row)
    row.save(force_insert=True)
    return row


def issue_missing(*, now: datetime, most: int = 1000) -> int:
    """Issue what finished erasures have no certificate yet, the oldest first; how many. Opens its own transactions.

    None while the log contradicts its last checkpoint: that is an alarm of its own, and those after it come again.
    """
    with transaction():
        done = DsarRequest.objects.filter(
            request_type=RequestType.DELETE, status=Status.COMPLETED, outcome__in=_CARRIED_OUT
        )
        without = ~Exists(Certificate.objects.filter(request=OuterRef("pk")))
        waiting = list(done.filter(without).order_by("closed_at")[:most])
    if not waiting:
        return 0
    try:
        seal_log()
    except checkpoints.LogContradictsCheckpoint:
        logger.warning("certificates_wait", extra={"waiting": len(waiting)})
        return 0
    made = 0
    for request in waiting:
        with transaction():
            try:
                issue(request, now=now)
            except NoCertificate as refusal:
                logger.warning("certificates_wait", extra={"waiting": 1, "reason": refusal.code})
            else:
                made += 1
    return made


@requires_transaction
def record_reading(row: Certificate, *, via: str) -> None:
    audit.record(action=READ_VERB, entity_type="Certificate", entity_id=str(row.pk), changes={"via": {"new": via}})


def file_name(row: Certificate, format_: str) -> str:
    return f"erasure-certificate-{row.request_id}.{format_}"


def _sealed(request: DsarRequest) -> tuple[AuditRecord, Checkpoint]:
    """The record that says the erasure was completed, and a checkpoint that commits to it."""
    about = AuditRecord.objects.filter(entity_type="DsarRequest", entity_id=str(request.pk), action=COMPLETED_VERB)
    record = about.order_by("-seq").first()
    checkpoint = witnesses.best(context.tenant_id(), least=record.seq) if record else None
    if record is None or checkpoint is None or checkpoint.tree_size < record.seq:
        raise NoCertificate(
            "not_sealed",
            "The record of this erasure is in no checkpoint yet: ask again in a minute, or after"
            " manage.py audit_checkpoint.",
        )
    return record, checkpoint


def _signed(request: DsarRequest, record: AuditRecord, checkpoint: Checkpoint, *, now: datetime) -> tuple[bytes, str]:
    tenant = context.tenant_id()
    proof = proofs.inclusion(tenant, record, checkpoint.tree_size)
    keys = signing.keys(tenant)
    [key] = [key for key in keys if key.version == checkpoint.key_version]
    signer = signing.opened(key)
    said = {
        "certificate": statement(request, _passes(request), now=now),
        "checkpoint": witnesses.cosigned(checkpoint),
        "format": FORMAT,
        "keys": bundle.keys_file(keys, checkpoint),
        "proof": {name: proof[name] for name in ("hashes", "leafIndex", "treeSize")},
        "record": _as_hashed(record),
    }
    signature = signer.private.sign(SIGNED + canonical(said))
    key_id = signer.public.key_id.hex()
    signed = {**said, "signature": {"keyId": key_id, "value": base64.b64encode(signature).decode()}}
    return canonical(signed), key_id


def _passes(request: DsarRequest) -> list[dict[str, Any]]:
    about = AuditRecord.objects.filter(entity_type="DsarRequest", entity_id=str(request.pk), action=ROWS_VERB)
    return [_as_hashed(record) for record in about.order_by("seq")]


def _as_hashed(record: AuditRecord) -> dict[str, Any]:
    """The record as its leaf hashes it."""
    [said] = reading.records(context.tenant_id(), after=record.seq - 1, until=record.seq)
    del said["leafHash"]
    return said
