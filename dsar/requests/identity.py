"""Making sure that the subject asks: by a code mailed to their address, by what an officer saw, or an officer's word.

A request that waits for this is in the state `identity`, and nothing is done about it. Every move locks its row, so a
code proves once, and of two that come at once the second finds nothing waiting.
"""

import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum

import audit
from customers.models import Customer
from dsar import signals
from dsar.models import DsarRequest, IdentityCheck, Proof, State, SubjectType
from dsar.requests import accepting, subjects
from kaireon.jobs.models import Job
from kaireon.lib.masking import KeyedHash, keyed_hashes
from kaireon.outbox import services as outbox
from kaireon.outbox.models import Destination, Message
from kaireon.outbox.models import Kind as DestinationKind
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import keyring
from kaireon.tenancy.models import Tenant

CODE_DIGITS = 8
CODE_LIVES = timedelta(minutes=30)
RESEND_AFTER = timedelta(minutes=1)
MOST_CODES = 3
MOST_WRONG = 5
MOST_TEXT = 500
_PURPOSE = "dsar identity code"

# What an officer can have seen. The document itself is never kept.
EVIDENCE: dict[str, str] = {
    "identity_document": "An identity document",
    "signed_in": "A signed-in account",
    "known_facts": "Facts only the subject knows",
    "authority": "A power of attorney or parental authority",
}


class IdentityRefused(RuntimeError):
    """It cannot be done so. `code` is a snake_case fact; nothing personal."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotWaiting(IdentityRefused):
    """The request does not wait for proof: it was given, never demanded, or the request has ended."""

    def __init__(self) -> None:
        super().__init__("identity_not_waiting", "This request does not wait for proof of identity.")


class CodeTooSoon(IdentityRefused):
    """A code was sent a moment ago. `seconds` says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("code_too_soon", f"A code was sent a moment ago: wait {seconds} s.")
        self.seconds = seconds


class Verdict(StrEnum):
    PROVED = "proved"
    WRONG = "wrong_code"
    EXPIRED = "code_expired"
    LOCKED = "identity_locked"


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
    if check.wrong_codes >= MOST_WRONG:
        raise IdentityRefused(Verdict.LOCKED, "Too many wrong codes: an officer has to make sure otherwise.")
    if check.codes_sent >= MOST_CODES:
        raise IdentityRefused("too_many_codes", f"{MOST_CODES} codes were sent: an officer has to make sure otherwise.")
    if check.sent_at is not None and now < check.sent_at + RESEND_AFTER:
        raise CodeTooSoon(int((check.sent_at + RESEND_AFTER - now).total_seconds()) + 1)
    address = _address(row)
    destination = Destination.objects.filter(kind=DestinationKind.EMAIL, is_enabled=True).order_by("created_at").first()
    if destination is None:
        raise IdentityRefused("no_mail", "This tenant has no destination for mail: manage.py destination makes one.")
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
    audit.action("dsar.identity.code_sent", entity=check)
    check.code_hash = KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)(_named(row, code))
    check.sent_at, check.expires_at, check.codes_sent = now, now + CODE_LIVES, check.codes_sent + 1
    check.save()
    return outbox.publish(
        topic="mail",
        destination=destination.name,
        payload={"to": [address], "subject": "Your code", "text": _letter(code)},
        now=now,
        subject_ref=row.customer_ref,
    )


@requires_transaction
def verify(*, request: DsarRequest, code: str, now: datetime) -> tuple[Verdict, Job | None]:
    """Whether `code` is the one that was sent; the right one accepts the request, whose job is to be woken then.

    A wrong one is counted: commit the transaction whatever the verdict. Raises NotWaiting.
    """
    row, check = _waiting(request)
    if check.wrong_codes >= MOST_WRONG:
        return Verdict.LOCKED, None
    if not check.code_hash or check.expires_at is None or check.expires_at <= now:
        return Verdict.EXPIRED, None
    given = keyed_hashes(_named(row, code), keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)
    if not any(hmac.compare_digest(one, check.code_hash) for one in given):
        audit.action("dsar.identity.wrong_code", entity=check)
        check.wrong_codes += 1
        check.save()
        return (Verdict.LOCKED if check.wrong_codes >= MOST_WRONG else Verdict.WRONG), None
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
def _prove(row: DsarRequest, check: IdentityCheck, method: Proof, now: datetime) -> Job | None:
    audit.action("dsar.identity.proved", entity=row)
    row.identity_method, row.identity_proved_at = method, now
    job = accepting.accept(row, now=now)
    row.save()
    job = job or accepting.wait_at_gate(row, actor=context.current().actor, now=now)
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


def _named(row: DsarRequest, code: str) -> str:
    # A code is good for its request alone.
    return f"{row.pk}:{code}"


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
