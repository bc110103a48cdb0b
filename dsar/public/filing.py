"""From the form to a request: the code that is mailed must come back first.

What somebody sends is written down sealed, with a job for a worker, and nothing is looked up: the answer, and the time
it takes, are the same for an address that is known and one that is not. The worker mails the code. Only when it has
come back there is a request; its clock began when the form was sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import IntegrityError
from django.db import transaction as database

import audit
from dsar.models import Proof, PublicFiling, SubjectType
from dsar.public import following, mails, tokens
from dsar.public.mails import Opened
from dsar.requests import codes, identity, services, subjects
from dsar.requests.codes import CodeTooSoon, Verdict
from dsar.requests.grounds import UNPROVEN
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.outbox import services as outbox
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, scope, transaction
from kaireon.tenancy.models import Tenant

ACTOR = Actor.system("public page")
JOB = "dsar_public_filing"
# Room for every code that may be sent, each with its time.
LIVES = timedelta(hours=2)
# A second click, or a browser that sends again what it heard nothing of.
SENT_TWICE = timedelta(minutes=1)
CODE_VERB = "dsar.public.code_sent"
WRONG_VERB = "dsar.public.wrong_code"
LOST_VERB = "dsar.public.links_sent"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The secret by which its browser comes back to what was written down, and the job to be woken after the commit;
    none when the same was sent a moment before.
    """

    handle: str
    job: Job | None
    needs_code: bool


@requires_transaction
def ask(
    *,
    kind: str,
    address: str,
    number: str = "",
    details: str = "",
    language: str = "",
    form: str = "",
    now: datetime,
) -> Asked:
    """Write down what somebody asks for. Raises subjects.SubjectRefused for what is no address.

    Who opts out under a law that forbids to ask for proof is not asked for a code: the worker files that at once.
    `language` is that of mails and letters to them. `form` says in which one that was shown they wrote it: sent twice
    within a moment, it is written down once.
    """
    law = Tenant.objects.values_list("regulation", flat=True).get(pk=context.tenant_id())
    name = subjects.normal(SubjectType.EMAIL, address)
    handle = tokens.of_form(form, context.tenant_id(), kind, name, number, details) if form else tokens.new()
    filing = PublicFiling(
        id=uuid7(),
        handle_hash=tokens.hashed(handle),
        request_type=kind,
        regulation=law,
        received_at=now,
        ends_at=now + LIVES,
    )
    filing.seal(address=name, number=number, details=details, language=language)
    try:
        with transaction():
            filing.save(force_insert=True)
    except IntegrityError:
        known = PublicFiling.objects.get(handle_hash=filing.handle_hash)
        if now < known.received_at + SENT_TWICE:
            return Asked(handle=handle, job=None, needs_code=needs_code(known))
        # Somebody came back to the page, and means it.
        handle = tokens.new()
        filing.handle_hash = tokens.hashed(handle)
        filing.save(force_insert=True)
    return Asked(handle=handle, job=_enqueue(filing, now=now), needs_code=needs_code(filing))


@requires_transaction
def ask_links(*, address: str, language: str, now: datetime) -> Job:
    """Write down that somebody lost their links; gives the job to be woken. The worker looks up what there is, and
    mails them, or nothing. Raises subjects.SubjectRefused for what is no address.
    """
    law = Tenant.objects.values_list("regulation", flat=True).get(pk=context.tenant_id())
    # Nobody comes back to it.
    handle = tokens.hashed(tokens.new())
    filing = PublicFiling(id=uuid7(), handle_hash=handle, regulation=law, received_at=now, ends_at=now + LIVES)
    filing.seal(address=subjects.normal(SubjectType.EMAIL, address), language=language)
    filing.save(force_insert=True)
    return _enqueue(filing, now=now)


@requires_transaction
def ask_again(*, handle: str, now: datetime) -> Job | None:
    """Have another code mailed; the one before ends. Gives the job to be woken, None when nothing waits for a code.

    Raises codes.CodeTooSoon, and codes.CodeRefused with `too_many_codes` or `identity_locked`.
    """
    filing = waiting(handle, now=now)
    if filing is None:
        return None
    if filing.codes_asked > filing.codes_sent:
        # The worker has not come to the last one yet.
        raise CodeTooSoon(int(codes.RESEND_AFTER.total_seconds()))
    codes.may_send(filing, now=now)
    filing.codes_asked = filing.codes_sent + 1
    filing.save(update_fields=["codes_asked"])
    return _enqueue(filing, now=now)


@requires_transaction
def confirm(*, handle: str, code: str, now: datetime) -> tuple[Verdict, Opened | None]:
    """Whether `code` is the one that was mailed; the right one makes a request of it, which is followed from then on.

    A wrong one is counted: commit the transaction whatever the verdict. The right one again, for as long as it would
    have been good, is PROVED again and opens nothing; what else comes after it is told what it would be told of a
    filing that never was.
    """
    filing = PublicFiling.objects.select_for_update().filter(handle_hash=tokens.hashed(handle)).first()
    if filing is None or (filing.ends_at <= now and not _was_confirmed(filing)):
        return Verdict.EXPIRED, None
    verdict = codes.check(filing, code, verb=WRONG_VERB, owner=filing.pk, now=now)
    if filing.ends_at <= now:
        return Verdict.PROVED if verdict == Verdict.PROVED else Verdict.EXPIRED, None
    return verdict, _accept(filing, now=now) if verdict == Verdict.PROVED else None


@requires_transaction
def waiting(handle: str, *, now: datetime) -> PublicFiling | None:
    """What waits for its code, locked; None when it ended, was confirmed, or never was."""
    found = PublicFiling.objects.select_for_update().filter(handle_hash=tokens.hashed(handle), ends_at__gt=now)
    return found.first()


def needs_code(filing: PublicFiling) -> bool:
    return (filing.regulation, filing.request_type) not in UNPROVEN


def _was_confirmed(filing: PublicFiling) -> bool:
    """Of one that ended: by its code, before its time."""
    return filing.ends_at < filing.received_at + LIVES


def process(run: JobRun) -> None:
    """Mail the code or the links that were asked for, or file what needs none: once, however often the worker dies."""
    with transaction(), as_page():
        _process(UUID(run.payload["filing_id"]), now=clock.now())
        run.finish()


@contextmanager
def as_page() -> Iterator[None]:
    """What is done here is done by the page, whoever's process it is."""
    here = context.current()
    with scope(tenant_id=here.tenant_id, actor=ACTOR, request_id=here.request_id):
        yield


def _process(filing_id: UUID, *, now: datetime) -> None:
    filing = PublicFiling.objects.select_for_update().filter(pk=filing_id, ends_at__gt=now).first()
    if filing is None or filing.codes_sent >= filing.codes_asked:
        return
    try:
        customer = subjects.resolve(SubjectType.EMAIL, filing.said["address"])
    except subjects.AmbiguousSubject:
        customer = None
    filing.subject_ref = customer.pk if customer else None
    try:
        if not filing.request_type:
            _mail_links(filing, now=now)
            return
        if not needs_code(filing):
            _accept(filing, now=now)
            return
        code = codes.make(filing, verb=CODE_VERB, owner=filing.pk, now=now)
        said = filing.said
        mail = mails.post_code(
            to=said["address"], code=code, language=said["language"], about=filing.subject_ref, now=now
        )
    except codes.CodeRefused as e:
        raise JobError(e.code) from e
    database.on_commit(partial(outbox.wake, mail))


def _mail_links(filing: PublicFiling, *, now: datetime) -> None:
    """To whoever has the address; what was written down has done its work."""
    said = filing.said
    opened = following.open_anew(address=said["address"], now=now)
    if opened:
        audit.action(LOST_VERB, entity=filing)
        mail = mails.post_links(
            to=said["address"], opened=opened, language=said["language"], about=filing.subject_ref, now=now
        )
        database.on_commit(partial(outbox.wake, mail))
    filing.codes_sent, filing.ends_at = filing.codes_asked, now
    filing.save()


def _accept(filing: PublicFiling, *, now: datetime) -> Opened:
    """File the request. What was written down has done its work, and goes with the next cleanup."""
    said = filing.said
    subject_type, subject_id = _named(said["address"], said["number"])
    request = services.create_request(
        request_type=filing.request_type,
        subject_type=subject_type,
        subject_id=subject_id,
        regulation=filing.regulation,
        received_at=filing.received_at,
        details=said["details"],
        language=said["language"],
        identity_by=Proof.CODE if needs_code(filing) else "",
        actor=ACTOR,
        now=now,
    )
    row = request.request
    row.note(address=said["address"], **({"number": said["number"]} if said["number"] else {}))
    row.save(update_fields=["notes_sealed"])
    job = identity.proved_elsewhere(request=row, now=now) if needs_code(filing) else request.queued
    if job is not None:
        database.on_commit(partial(jobs.wake, job))
    opened = following.open_link(request=row, now=now)
    # The code's hash stays as long: of two clicks on "Confirm" the second is known by it.
    filing.ends_at = now
    filing.save()
    return opened


def _named(address: str, number: str) -> tuple[str, str]:
    """By the address whose code came back. A number only says which of several people behind one address asks."""
    if number:
        try:
            subjects.resolve(SubjectType.EMAIL, address)
        except subjects.AmbiguousSubject:
            customer = subjects.resolve(SubjectType.CUSTOMER_ID, number)
            if customer is not None and subjects.has_address(customer, address):
                return SubjectType.CUSTOMER_ID, customer.customer_id
    return SubjectType.EMAIL, address


def _enqueue(filing: PublicFiling, *, now: datetime) -> Job:
    return jobs.enqueue(type=JOB, payload={"filing_id": filing.pk}, now=now)
