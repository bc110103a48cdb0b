"""Making sure that the subject asks: by a code mailed to their address, by what an officer saw, or an officer's word.

A request that waits for this is in the state `identity`, and nothing is done about it. Every move locks its row, so a
code proves once, and of two that come at once the second finds nothing waiting.
"""

from datetime import datetime

import audit
from customers.models import Customer
from dsar import signals
from dsar.models import DsarRequest, IdentityCheck, Proof, State, SubjectType
from dsar.requests import accepting, codes, mail_room, subjects
from dsar.requests.codes import CODE_LIVES, MOST_CODES, MOST_WRONG, CodeTooSoon, Verdict
from dsar.requests.codes import CodeRefused as IdentityRefused
from kaireon.jobs.models import Job
from kaireon.outbox.models import Message
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

__all__ = ["CODE_LIVES", "MOST_CODES", "MOST_WRONG", "CodeTooSoon", "IdentityRefused", "NotWaiting", "Verdict"]

MOST_TEXT = 500

# What an officer can have seen. The document itself is never kept.
EVIDENCE: dict[str, str] = {
    "identity_document": "An identity document",
    "signed_in": "A signed-in account",
    "known_facts": "Facts only the subject knows",
    "authority": "A power of attorney or parental authority",
}


class NotWaiting(IdentityRefused):
    """The request does not wait for proof: it was given, never demanded, or the request has ended."""

    def __init__(self) -> None:
        super().__init__("identity_not_waiting", "This request does not wait for proof of identity.")


@requires_transaction
def ask(request: DsarRequest, *, method: str) -> None:
    """Let a request that was just saved wait for proof."""
    IdentityCheck.objects.create(request=request, asked=method)


@requires_transaction
def send_code(*, request: DsarRequest, now: datetime) -> Message:
    """Mail a new code to the subject; the one before ends. Recorded as `dsar.identity.code_sent`.

    Give the message to `outbox.wake` after the commit. Raises NotWaiting, CodeTooSoon and IdentityRefused with
    `identity_locked`, `too_many_codes`, `no_address`, `no_mail`.
    """
    row, check = _waiting(request)
    codes.may_send(check, now=now)
    address = _address(row)
    room = mail_room.find()
    code = codes.make(check, verb="dsar.identity.code_sent", owner=row.pk, now=now)
    ends_at = now + CODE_LIVES
    about = row.customer_ref
    return mail_room.post(
        room, to=address, subject="Your code", text=_letter(code), about=about, ends_at=ends_at, now=now
    )


@requires_transaction
def verify(*, request: DsarRequest, code: str, now: datetime) -> tuple[Verdict, Job | None]:
    """Whether `code` is the one that was sent; the right one accepts the request, whose job is to be woken then.

    A wrong one is counted: commit the transaction whatever the verdict. Raises NotWaiting.
    """
    row, check = _waiting(request)
    verdict = codes.check(check, code, verb="dsar.identity.wrong_code", owner=row.pk, now=now)
    if verdict != Verdict.PROVED:
        return verdict, None
    return Verdict.PROVED, _prove(row, check, Proof.CODE, now)


@requires_transaction
def vouch(*, request: DsarRequest, method: str, reason: str, evidence: str = "", now: datetime) -> Job | None:
    """An officer says what they saw (`evidence`, one of EVIDENCE), or that they are sure, and why; the request is
    accepted. Recorded as `dsar.identity.proved`. Gives the job to be woken. Raises NotWaiting.
    """
    row, check = _waiting(request)
    row.note(identity=reason, **({"evidence": evidence} if evidence else {}))
    return _prove(row, check, Proof(method), now)


@requires_transaction
def proved_elsewhere(*, request: DsarRequest, now: datetime) -> Job | None:
    """The code came back before the request was filed; it is accepted. Gives the job to be woken. Raises NotWaiting.

    Where a second person must agree to it, no member has asked for that: it waits for two of them.
    """
    row, check = _waiting(request)
    return _prove(row, check, Proof.CODE, now, for_subject=True)


@requires_transaction
def _prove(
    row: DsarRequest, check: IdentityCheck, method: Proof, now: datetime, *, for_subject: bool = False
) -> Job | None:
    audit.action("dsar.identity.proved", entity=row)
    row.identity_method, row.identity_proved_at = method, now
    job = accepting.accept(row, now=now)
    row.save()
    job = job or accepting.wait_at_gate(row, actor=context.current().actor, for_subject=for_subject, now=now)
    signals.accepted.send(sender=DsarRequest, request=row, now=now)
    if check.code_hash:
        check.code_hash = ""
        check.save(update_fields=["code_hash"])
    return job


def _waiting(request: DsarRequest) -> tuple[DsarRequest, IdentityCheck]:
    row = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if row.state != State.IDENTITY:
        raise NotWaiting
    return row, IdentityCheck.objects.get(request=row)


def _address(row: DsarRequest) -> str:
    """The subject's own address: the one the request names, or the one in their profile."""
    if row.subject_type == SubjectType.EMAIL and not row.is_shredded:
        return row.subject_id
    customer: Customer | None = subjects.customer_of(row)
    if customer is None or not customer.email:
        raise IdentityRefused("no_address", "No e-mail address of the subject is known: an officer has to make sure.")
    return customer.email


def _letter(code: str) -> str:
    tenant = Tenant.objects.get(pk=context.tenant_id())
    return "\n".join(
        [
            f"Somebody, we think you, asked {tenant.name} about your personal data.",
            "",
            f"Your code: {code}",
            "",
            f"It is good for {int(CODE_LIVES.total_seconds() // 60)} minutes. Give it only to {tenant.name}.",
            "If you did not ask, do nothing: without the code nothing happens.",
        ]
    )
