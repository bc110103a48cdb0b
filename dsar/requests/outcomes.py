"""How a request ends: answered, completed by a person, released after review, rejected, withdrawn.

Each move locks the request's row, so of two that come at once the second sees what the first did. The job of a request
that ended so is left alone: its worker finds the request closed, and drops what it made.
"""

from collections.abc import Collection
from datetime import datetime

import audit
from compliance.holding import pauses
from dsar import signals
from dsar.erasing import gates
from dsar.models import Demanded, Dossier, DsarRequest, Outcome, RequestType, State, Status
from dsar.requests import accepting, duplicates, grounds, no_contact
from dsar.requests.demands import is_demanded
from dsar.requests.kinds import KINDS
from kaireon.tenancy.context import Actor, requires_transaction

MOST_TEXT = 2000
BY_HAND = (Outcome.COMPLETED, Outcome.PARTIALLY_COMPLETED, Outcome.NO_DATA)


class RequestClosed(RuntimeError):
    """It was answered, rejected or withdrawn already."""


class AlreadyErased(RuntimeError):
    """The subject's rows are gone: that cannot be withdrawn or rejected any more."""


class IdentityNotProven(RuntimeError):
    """Nothing is done about this request before it is known that the subject asks."""


class NotForOfficers(RuntimeError):
    """A worker answers this kind of request, and it is not in review."""


class NotAnObjection(RuntimeError):
    """Direct marketing is what an objection is to; no other kind of request is completed so."""


class PackageGone(RuntimeError):
    """The package has expired, so there is nothing to hand out: reject or withdraw it, and file it anew."""


class WaitsForAnother(RuntimeError):
    """It is a duplicate: complete the one it waits for."""


@requires_transaction
def answer(
    request: DsarRequest, *, outcome: str, verb: str, changed: Collection[str] | None = None, now: datetime
) -> None:
    """Close the locked `request` as answered, or put its package before an officer where the tenant demands that.

    `changed` names what the caller changed in it, if not anything: to write few columns takes half the time.
    """
    request.outcome = outcome
    request.error = ""
    if KINDS[request.request_type].has_package and request.package_expires_at and is_demanded(Demanded.REVIEW):
        audit.action("dsar.review", entity=request)
        request.move_to(State.REVIEW)
        request.save(update_fields=_fields(changed))
        return
    _close(request, verb=verb, changed=changed, now=now)


@requires_transaction
def complete(
    *,
    request: DsarRequest,
    resolution: str,
    outcome: str = Outcome.COMPLETED,
    direct_marketing: bool = False,
    now: datetime,
) -> DsarRequest:
    """Complete what a person worked on, saying what was done, or release a package in review.

    Recorded as `dsar.complete` or `dsar.release`. `direct_marketing`: that is what an objection was to; then nobody
    contacts the subject from here on (GDPR Art. 21(3)). Raises RequestClosed, IdentityNotProven, NotForOfficers,
    WaitsForAnother, PackageGone, NotAnObjection, subjects.AmbiguousSubject.
    """
    if direct_marketing and request.request_type != RequestType.OBJECTION:
        raise NotAnObjection(str(request.pk))
    customer = no_contact.locked_customer(request) if direct_marketing else None
    row = _open(request)
    if row.state == State.IDENTITY:
        raise IdentityNotProven(str(row.pk))
    if row.duplicate_of is not None:
        raise WaitsForAnother(str(row.pk))
    row.note(resolution=resolution)
    if KINDS[row.request_type].by_person and row.state in (State.QUEUED, State.REVIEW):
        row.outcome = outcome
        if direct_marketing:
            no_contact.end(row, customer)
        _close(row, verb="dsar.complete", now=now)
        return row
    if not KINDS[row.request_type].has_package or row.state != State.REVIEW:
        raise NotForOfficers(str(row.pk))
    if not Dossier.objects.fresh(now).filter(request=row).exists():
        raise PackageGone(str(row.pk))
    _close(row, verb="dsar.release", now=now)
    return row


@requires_transaction
def reject(*, request: DsarRequest, ground: str, reason: str, actor: Actor, now: datetime) -> DsarRequest:
    """Refuse to do what is asked, on a ground that its law knows; recorded as `dsar.reject`.

    A package that waited for review is destroyed. Raises RequestClosed, AlreadyErased, grounds.GroundNotInLaw.
    """
    row = _open(request)
    _not_erased(row)
    row.article = grounds.article_for(ground, request_type=row.request_type, regulation=row.regulation)
    row.ground = ground
    row.note(refusal=reason)
    row.outcome = Outcome.REJECTED
    _drop_package(row)
    waited = row.state == State.APPROVAL
    _close(row, verb="dsar.reject", now=now)
    if waited:
        gates.end_approval(row, actor=actor, now=now)
    return row


@requires_transaction
def withdraw(*, request: DsarRequest, actor: Actor, now: datetime, verb: str = "dsar.withdraw") -> DsarRequest:
    """The subject does not want it any more; recorded as `dsar.withdraw`.

    Also while a worker is at it: an export is dropped, an erasure that has not begun does not begin. Whoever asked for
    the same and waited for this one is answered all the same. Raises RequestClosed, AlreadyErased.
    """
    row = _open(request)
    _not_erased(row)
    accepting.hand_on(row, now=now)
    row.outcome = Outcome.WITHDRAWN
    _drop_package(row)
    waited = row.state == State.APPROVAL
    _close(row, verb=verb, now=now)
    if waited:
        gates.end_approval(row, actor=actor, now=now)
    return row


@requires_transaction
def _close(row: DsarRequest, *, verb: str, changed: Collection[str] | None = None, now: datetime) -> None:
    audit.action(verb, entity=row)
    row.move_to(State.COMPLETED)
    row.error = ""
    row.closed_at = now
    row.save(update_fields=_fields(changed))
    pauses.resume_retention(request_id=row.pk, now=now)
    duplicates.settle(row, now=now)
    signals.closed.send(sender=DsarRequest, request=row, now=now)


def _fields(changed: Collection[str] | None) -> list[str] | None:
    return None if changed is None else ["state", "status", "outcome", "error", "closed_at", *changed]


def _open(request: DsarRequest) -> DsarRequest:
    row = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if row.status == Status.COMPLETED:
        raise RequestClosed(str(row.pk))
    return row


def _not_erased(row: DsarRequest) -> None:
    if row.request_type == RequestType.DELETE and (row.erased_at is not None or row.counts):
        raise AlreadyErased(str(row.pk))


def _drop_package(row: DsarRequest) -> None:
    """Nobody looks at what is not handed out."""
    if KINDS[row.request_type].has_package:
        Dossier.objects.filter(request=row).delete()
        row.package_expires_at = None
        row.counts = {}
