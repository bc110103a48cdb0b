"""Sending what was written: a job takes the letter, sends it outside any transaction, and notes that it did.

At least once: a worker that dies between the two has it sent again, under the same Message-ID, which mail programs know
as the same letter. A server that is away or says "later" is asked again with growing pauses, for about a day; then, or
when it says "never", the letter is failed, shown to officers, and sent again when one of them says so.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import transaction as database
from django.db.models import Q

import audit
from compliance.holding import holds
from dsar.deadlines import Clock, local_date
from dsar.letters import manner
from dsar.letters.writing import JOB, answers_erasure, free_of_holds
from dsar.models import ANSWERS_TO_ERASURE, Letter, LetterState, LetterText, RequestType, Status
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox.models import Destination
from kaireon.outbox.models import Kind as DestinationKind
from kaireon.outbox.sending import Outgoing, Refused
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

SENT_VERB = "dsar.letter.sent"
LATER_VERB = "dsar.letter.later"
FAILED_VERB = "dsar.letter.failed"
OTHERWISE_VERB = "dsar.letter.sent_otherwise"
READ_VERB = "dsar.letter.read"
NO_MAIL = "no_mail"
MOST_EVIDENCE = 500
MOST_TRIES = 13
LONGEST_PAUSE = timedelta(hours=6)
# What could not be sent of an erased person waits so long for somebody; then their address goes all the same.
UNSENT_KEPT = timedelta(days=30)
_UNSENT = (LetterState.WAITING, LetterState.FAILED)


class NotToBeSent(RuntimeError):
    """The letter was sent, or is about to be: there is nothing to try again or to note."""


class TextGone(LookupError):
    """What the letter said went with the person, or with its time."""


class _Taken(NamedTuple):
    written_at: datetime
    content: Mapping[str, str]
    endpoint: destinations.Endpoint


def send(run: JobRun) -> None:
    """Send the letter of a job. Opens its own transactions."""
    letter_id = UUID(run.payload["letter_id"])
    with transaction():
        taken = _take(run, letter_id)
        if taken is None:
            run.finish()
            return
    outgoing = Outgoing(
        id=letter_id,
        tenant_id=context.tenant_id(),
        topic="mail",
        created_at=taken.written_at,
        payload={"to": [taken.content["to"]], "subject": taken.content["subject"], "text": taken.content["text"]},
    )
    run.check()
    try:
        taken.endpoint.send(outgoing)
    except Refused as e:
        if not _later(run, letter_id, e):
            # `from None`: what the server said may quote the address, and the log would too.
            raise JobError(e.code, permanent=True) from None
        return
    with transaction():
        _sent(letter_id, now=clock.now())
        run.finish()


def _take(run: JobRun, letter_id: UUID) -> _Taken | None:
    """What is to be sent and how; None when there is nothing to do. Raises JobError."""
    letter = Letter.objects.select_for_update().get(pk=letter_id)
    if letter.state not in _UNSENT or letter.job_ref != run.id:
        return None
    text = LetterText.objects.filter(pk=letter_id).first()
    if text is None:
        # The person was erased meanwhile, and is told so in the answer to that.
        letter.state, letter.settled_at = LetterState.DROPPED, clock.now()
        letter.save(update_fields=["state", "settled_at"])
        return None
    mail = Destination.objects.filter(kind=DestinationKind.EMAIL, is_enabled=True).order_by("created_at").first()
    if mail is None:
        raise JobError(NO_MAIL, permanent=True)
    endpoint = destinations.endpoint(mail.pk)
    if sender := manner.of_tenant().sender:
        endpoint = destinations.Endpoint(mail.pk, mail.kind, {**endpoint.settings, "from": sender}, endpoint.secret)
    return _Taken(letter.written_at, text.content, endpoint)


def _later(run: JobRun, letter_id: UUID, refusal: Refused) -> bool:
    """Leave it to another job after a pause; false when that cannot help, or was done often enough."""
    now = clock.now()
    with transaction():
        letter = Letter.objects.select_for_update().get(pk=letter_id)
        if refusal.permanent or letter.tries + 1 >= MOST_TRIES:
            return False
        if letter.state in _UNSENT:
            letter.tries += 1
            pause = max(min(jobs.retry_delay(letter.tries), LONGEST_PAUSE), refusal.wait or timedelta(0))
            job = jobs.enqueue(type=JOB, payload={"letter_id": letter.pk}, now=now, delay=pause)
            audit.action(LATER_VERB, entity=letter)
            letter.state, letter.error, letter.job_ref = LetterState.WAITING, refusal.code, job.pk
            letter.save(update_fields=["state", "error", "tries", "job_ref"])
        run.finish({"sent": 0})
    return True


def _sent(letter_id: UUID, *, now: datetime) -> None:
    # As an erasure does: first the holds, under which a text may not go, then the row.
    holds.lock_epoch()
    letter = Letter.objects.select_for_update().select_related("request").get(pk=letter_id)
    if letter.state not in _UNSENT:
        # Somebody noted meanwhile that it went another way: it went both.
        return
    _settle(letter, LetterState.SENT, verb=SENT_VERB, now=now)


@requires_transaction
def gave_up(job: Job) -> None:
    """The job of a letter failed for good: officers see it, with the reason code."""
    letter = Letter.objects.select_for_update().filter(job_ref=job.pk, state=LetterState.WAITING).first()
    if letter is None:
        return
    audit.action(FAILED_VERB, entity=letter)
    letter.state, letter.error, letter.settled_at = LetterState.FAILED, job.error, clock.now()
    letter.save(update_fields=["state", "error", "settled_at"])
    LetterText.objects.filter(pk=letter.pk).update(settled_at=letter.settled_at)


@requires_transaction
def retry(letter: Letter, *, now: datetime) -> Letter:
    """Send a failed letter again, by a new job; recorded as `dsar.letter.retry`. Raises NotToBeSent, TextGone."""
    row = Letter.objects.select_for_update().get(pk=letter.pk)
    if row.state != LetterState.FAILED:
        raise NotToBeSent(str(row.pk))
    if not LetterText.objects.filter(pk=row.pk).update(settled_at=None):
        raise TextGone(str(row.pk))
    job = jobs.enqueue(type=JOB, payload={"letter_id": row.pk}, now=now)
    audit.action("dsar.letter.retry", entity=row)
    row.state, row.error, row.settled_at, row.job_ref, row.tries = LetterState.WAITING, "", None, job.pk, 0
    row.save(update_fields=["state", "error", "settled_at", "job_ref", "tries"])
    database.on_commit(partial(jobs.wake, job))
    return row


@requires_transaction
def mark_sent(letter: Letter, *, evidence: str, now: datetime) -> Letter:
    """Note that an officer sent it by other means, and what shows that (kept sealed); recorded as
    `dsar.letter.sent_otherwise`. Raises NotToBeSent.
    """
    holds.lock_epoch()
    row = Letter.objects.select_for_update().select_related("request").get(pk=letter.pk)
    if row.state not in (LetterState.FAILED, LetterState.NOT_POSSIBLE):
        raise NotToBeSent(str(row.pk))
    text = LetterText.objects.filter(pk=row.pk).first()
    if text is not None:
        text.content = {**text.content, "evidence": evidence}
        text.save(update_fields=["sealed"])
    _settle(row, LetterState.SENT_OTHERWISE, verb=OTHERWISE_VERB, now=now)
    return row


@requires_transaction
def read(letter: Letter, *, via: str) -> dict[str, str]:
    """To whom it goes and what it says; recorded as `dsar.letter.read`. Raises TextGone."""
    text = LetterText.objects.filter(pk=letter.pk).first()
    if text is None or letter.state == LetterState.KEPT:
        raise TextGone(str(letter.pk))
    audit.record(action=READ_VERB, entity_type="Letter", entity_id=str(letter.pk), changes={"via": {"new": via}})
    return text.content


@requires_transaction
def forget_unneeded(*, now: datetime, dry_run: bool = False) -> int:
    """Delete what answers to erasures said and is needed no more: sent while the class was held, or unsent for too
    long; returns how many. Nothing that a hold keeps. A dry run only counts.
    """
    holds.lock_epoch()
    answers = Letter.objects.filter(request__request_type=RequestType.DELETE, kind__in=ANSWERS_TO_ERASURE)
    over = Q(state__in=[LetterState.SENT, LetterState.SENT_OTHERWISE]) | Q(
        state__in=[LetterState.FAILED, LetterState.NOT_POSSIBLE], settled_at__lt=now - UNSENT_KEPT
    )
    # An address that was kept for an answer that came without a letter.
    over |= Q(state=LetterState.KEPT, request__status=Status.COMPLETED)
    texts = free_of_holds(LetterText.objects.filter(pk__in=answers.filter(over).values("pk")))
    return texts.count() if dry_run else texts.delete()[0]


def told_in_time(letter: Letter, times: Clock) -> bool | None:
    """Whether a letter of extension went while the first time still ran, pauses included; None until it went."""
    if letter.state not in (LetterState.SENT, LetterState.SENT_OTHERWISE) or letter.settled_at is None:
        return None
    return local_date(letter.settled_at, times.tz) <= times.notice_by


def _settle(letter: Letter, state: LetterState, *, verb: str, now: datetime) -> None:
    audit.action(verb, entity=letter)
    letter.state, letter.error, letter.settled_at = state, "", now
    letter.save(update_fields=["state", "error", "settled_at"])
    texts = LetterText.objects.filter(pk=letter.pk)
    texts.update(settled_at=now)
    if answers_erasure(letter.request, letter.kind):
        free_of_holds(texts).delete()
