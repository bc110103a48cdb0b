"""Writing a letter, in the transaction of what it tells of: both happen, or neither. A job sends it.

The answer to an erasure is the one letter that outlives the person's data. Its address is taken just before the rows
go, kept sealed apart from all that names the person, and goes with the text as soon as the last letter is sent.
"""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction as database
from django.dispatch import receiver

import audit
from compliance.holding import holds, predicate
from dsar import deadlines, signals
from dsar.letters import addressing, facts, manner, texts
from dsar.letters.facts import About, Supposed
from dsar.models import (
    ANSWERS_TO_ERASURE,
    DsarRequest,
    Letter,
    LetterKind,
    LetterSettings,
    LetterState,
    LetterText,
    Outcome,
    RequestType,
    State,
)

# Before what follows here listens: recipients are told first, so that a letter can say so.
from dsar.recipients import notices, telling  # noqa: F401
from dsar.requests import clocks, grounds, subjects
from kaireon.jobs import services as jobs
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.managers import TenantQuerySet

JOB = "dsar_letter"
WRITTEN_VERB = "dsar.letter.written"
NO_ADDRESS = "no_address"

_KEPT = Kept(lambda request: Letter.objects.filter(request=request, state=LetterState.KEPT), request=UUID)
_OF_OUTCOME: dict[str, LetterKind] = {
    Outcome.REJECTED: LetterKind.REFUSAL,
    Outcome.WITHDRAWN: LetterKind.WITHDRAWAL,
}


class LetterRefused(RuntimeError):
    """Such a letter does not fit the request now. `code` is a snake_case fact."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@requires_transaction
def write(request: DsarRequest, kind: str, *, now: datetime, language: str = "") -> Letter:
    """Write a letter of the locked request and queue its job; recorded as `dsar.letter.written`.

    Without an address it waits for an officer, who sends it by other means. Raises LetterRefused: it was written
    already, or tells of what did not happen.
    """
    check_fits(request, kind)
    return _write(request, LetterKind(kind), manner.of_tenant(), now=now, language=language)


@requires_transaction
def preview(
    request: DsarRequest, kind: str, *, now: datetime, language: str = "", supposed: Supposed | None = None
) -> dict[str, str]:
    """`language`, `subject` and `text` of a letter that is not written, also before what it tells of happens.

    Raises LetterRefused with the law's citation when that cannot happen.
    """
    settings = manner.of_tenant()
    if supposed is None:
        supposed = Supposed()
    if kind == LetterKind.EXTENSION and request.extended_at is None:
        try:
            clock = deadlines.extend(clocks.clock_of(request), now, supposed.reason or "-")
        except deadlines.ExtensionRefused as e:
            raise LetterRefused("extension_refused", str(e)) from e
        supposed = Supposed(clock=clock, reason=supposed.reason)
    if kind == LetterKind.REFUSAL and not (supposed.ground or request.ground):
        raise LetterRefused("ground_needed", "Say on which ground.")
    if kind == LetterKind.DUPLICATE and request.duplicate_of is None:
        raise LetterRefused("not_a_duplicate", "This request is the first of its kind.")
    about = About(
        request=request,
        settings=settings,
        language=language or addressing.language_of(request, settings),
        told=telling.of(request),
        supposed=supposed,
    )
    try:
        values = facts.of(about, kind)
    except grounds.GroundNotInLaw as e:
        raise LetterRefused("ground_not_in_law", f"The ground {e}") from e
    subject, text = texts.filled(texts.template_for(kind, about.language), values)
    return {"language": about.language, "subject": subject, "text": text}


@requires_transaction
def check_fits(request: DsarRequest, kind: str) -> None:
    """Raises LetterRefused."""
    closed = request.state == State.COMPLETED
    carried_out = closed and request.outcome not in (Outcome.REJECTED, Outcome.WITHDRAWN, Outcome.DUPLICATE)
    happened = {
        LetterKind.ACKNOWLEDGEMENT: request.state != State.IDENTITY and request.duplicate_of is None,
        LetterKind.DUPLICATE: request.duplicate_of is not None,
        LetterKind.EXTENSION: request.extended_at is not None,
        LetterKind.REFUSAL: closed and request.outcome == Outcome.REJECTED,
        LetterKind.WITHDRAWAL: closed and request.outcome == Outcome.WITHDRAWN,
        LetterKind.DEFERRAL: request.state == State.DEFERRED,
        LetterKind.COMPLETION: carried_out,
    }
    if not happened[LetterKind(kind)]:
        raise LetterRefused("not_happened", "The letter tells of something that did not happen to this request.")
    there = Letter.objects.filter(request=request, kind=kind).exclude(state=LetterState.KEPT)
    if there.exists():
        raise LetterRefused("already_written", "There is such a letter already: it can be sent again when it failed.")


@requires_transaction
def keep_address(request: DsarRequest, *, now: datetime) -> Letter | None:
    """Before the rows of a person go: the address that their answer will be sent to. None when none is known."""
    there = Letter.objects.filter(request=request, kind=LetterKind.COMPLETION).first()
    if there is not None:
        return there
    address = addressing.address_of(request)
    if not address:
        return None
    settings = manner.of_tenant()
    letter = Letter(
        request=request,
        kind=LetterKind.COMPLETION,
        language=addressing.language_of(request, settings),
        state=LetterState.KEPT,
        written_at=now,
    )
    audit.action("dsar.letter.address_kept", entity=letter)
    letter.save(force_insert=True)
    # Of nobody that the catalogue could find: it is no part of what is erased.
    text = LetterText(pk=letter.pk)
    text.content = {"to": address}
    text.save(force_insert=True)
    return letter


def _write(
    request: DsarRequest, kind: LetterKind, settings: LetterSettings, *, now: datetime, language: str = ""
) -> Letter:
    kept = Letter.objects.filter(request=request, kind=LetterKind.COMPLETION, state=LetterState.KEPT).first()
    kept_text = LetterText.objects.filter(pk=kept.pk).first() if kept else None
    is_last = kind == LetterKind.COMPLETION and kept is not None
    letter = (is_last and kept) or Letter(request=request, kind=kind, number=_next(request, kind))
    to = kept_text.content["to"] if kept_text else addressing.address_of(request)
    language = language or (kept.language if kept else addressing.language_of(request, settings))
    about = About(request=request, settings=settings, language=language, told=telling.of(request))
    template = texts.template_for(kind, language)
    subject, text = texts.filled(template, facts.of(about, kind))
    letter.language, letter.template_version, letter.written_at = language, template.version, now
    if to:
        letter.state = LetterState.WAITING
        job = jobs.enqueue(type=JOB, payload={"letter_id": letter.pk}, now=now)
        letter.job_ref = job.pk
        # Nobody here can wait for the commit; without a broker the sweep finds the job.
        database.on_commit(partial(jobs.wake, job))
    else:
        letter.state, letter.error, letter.settled_at = LetterState.NOT_POSSIBLE, NO_ADDRESS, now
    audit.action(WRITTEN_VERB, entity=letter)
    letter.save()
    row = (is_last and kept_text) or LetterText(pk=letter.pk)
    row.content = {"to": to, "subject": subject, "text": text}
    if not answers_erasure(request, kind):
        row.customer_ref = request.customer_ref or _customer_ref(request)
    row.settled_at = None if to else now
    row.save()
    return letter


def answers_erasure(request: DsarRequest, kind: str) -> bool:
    """Whether the letter outlives what it tells of: its text then belongs to nobody, and goes when it is sent."""
    return request.request_type == RequestType.DELETE and kind in ANSWERS_TO_ERASURE


def _next(request: DsarRequest, kind: LetterKind) -> int:
    return Letter.objects.filter(request=request, kind=kind).count() + 1


def _customer_ref(request: DsarRequest) -> Any:
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject:
        return None
    return customer.pk if customer else None


# What follows is called in the transaction of each move; nothing is written where the tenant did not turn letters on.


@receiver(signals.accepted)
def _accepted(*, request: DsarRequest, now: datetime, at_once: bool = False, **_more: object) -> None:
    settings = manner.of_tenant()
    # Who waits for the answer needs no word that it will come.
    if settings.automatic and not at_once and not request.is_repeated:
        kind = LetterKind.DUPLICATE if request.duplicate_of else LetterKind.ACKNOWLEDGEMENT
        _write(request, kind, settings, now=now)


@receiver(signals.extended)
def _extended(*, request: DsarRequest, now: datetime, **_more: object) -> None:
    settings = manner.of_tenant()
    if settings.automatic:
        _write(request, LetterKind.EXTENSION, settings, now=now)


@receiver(signals.closed)
def _closed(*, request: DsarRequest, now: datetime, **_more: object) -> None:
    settings = manner.of_tenant()
    if not settings.automatic or request.is_repeated:
        forget_address(request)
        return
    if request.is_shredded and request.request_type != RequestType.DELETE:
        # Erased meanwhile at their own wish, which they have an answer to.
        return
    _write(request, _OF_OUTCOME.get(request.outcome, LetterKind.COMPLETION), settings, now=now)


@receiver(signals.deferred)
def _deferred(*, request: DsarRequest, now: datetime, **_more: object) -> None:
    settings = manner.of_tenant()
    if settings.automatic and not request.is_repeated:
        _write(request, LetterKind.DEFERRAL, settings, now=now)


@receiver(signals.erasing)
def _erasing(*, request: DsarRequest, now: datetime, **_more: object) -> None:
    if manner.of_tenant().automatic and not request.is_repeated:
        keep_address(request, now=now)


@requires_transaction
def kept_addresses(request: DsarRequest) -> list[Letter]:
    """What the answer to an erasure is sent by, as long as it is not: a letter that says nothing yet."""
    return _KEPT.all(request=request.pk)


@requires_transaction
def forget_address(request: DsarRequest) -> None:
    """An address that was kept for an answer that nobody will write goes; one that is held, when it is held no more."""
    kept = kept_addresses(request)
    if not kept:
        return
    holds.lock_epoch()
    for letter in kept:
        texts = LetterText.objects.filter(pk=letter.pk)
        free_of_holds(texts).delete()
        if not texts.exists():
            letter.delete()


@requires_transaction
def free_of_holds(texts: TenantQuerySet[LetterText]) -> TenantQuerySet[LetterText]:
    """Those that no hold keeps. Lock the epoch before."""
    if "dsar" in holds.held_classes():
        return texts.none()
    return predicate.free(texts, "dsar", kinds=predicate.FOR_ERASURE)
