"""Versions of models: which is served, what makes one stale, going back to an earlier one, how many are kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min

import audit
from customers.models import ErasedSubject, PropensityVersion, RetrainSchedule
from customers.models.propensity import MOST_OF_A_REASON
from customers.propensity.documents import ModelRefused
from kaireon.tenancy.context import Actor, requires_transaction

SERVE_VERB = "model.serve"
ROLL_BACK_VERB = "model.roll_back"
STALE = "stale: subject erased since"
# So long a stale version may serve while there is none that is not worse: the month of GDPR Art. 12(3), from the
# first erasure on that came after it.
LONGEST_STALE = timedelta(days=30)


class NoReason(ValueError):
    """Serving another version needs a reason of 1 to 500 printable characters."""

    field = "reason"


class VersionGone(LookupError):
    """The version was dropped meanwhile: there are as many newer ones as its schedule keeps."""


class AlreadyServed(RuntimeError):
    """This version is the one that is served."""


class BytesRefused(RuntimeError):
    """The version's bytes are not those that were written: it cannot be served. Train a new one."""


class StaleTooLong(RuntimeError):
    """Somebody was erased more than a month ago who may be in this version: it serves no more. Train a new one."""


@requires_transaction
def stale_since(version: PropensityVersion) -> datetime | None:
    """When the first was erased who may be among its examples, since it is not kept who was; None: nobody."""
    erased = ErasedSubject.objects.all()
    first: datetime | None = erased.filter(created_at__gt=version.as_of).aggregate(first=Min("created_at"))["first"]
    # One that had begun by then and was committed later.
    return version.as_of if first is None and erased.count() > version.erased_then else first


@requires_transaction
def is_stale(version: PropensityVersion) -> bool:
    """Whether anybody was erased since it was made."""
    return stale_since(version) is not None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How many versions the active tenant has served, and how many of them are stale, for whatever time."""

    served: int
    stale: int


@requires_transaction
def standing() -> Standing:
    """As `is_stale` says of each version that is served, also by a schedule that is off, in two queries."""
    erased = ErasedSubject.objects.aggregate(newest=Max("created_at"), count=Count("pk"))
    made = RetrainSchedule.objects.filter(served__isnull=False).values_list("served__as_of", "served__erased_then")
    found = [erased["count"] > then or (erased["count"] > 0 and erased["newest"] > as_of) for as_of, then in made]
    return Standing(served=len(found), stale=sum(found))


@requires_transaction
def serves_until(version: PropensityVersion) -> datetime | None:
    """Until when a stale version may serve; None when it is not stale."""
    since = stale_since(version)
    return since + LONGEST_STALE if since is not None else None


@requires_transaction
def is_over(version: PropensityVersion, *, now: datetime) -> bool:
    """Whether it was stale for too long: nobody is scored by it any more, whoever had it served."""
    # Asked for every score: of one that is younger nothing has to be counted.
    if now < version.as_of + LONGEST_STALE:
        return False
    until = serves_until(version)
    return until is not None and until <= now


@requires_transaction
def why_replace(version: PropensityVersion) -> str:
    """Why a served version is to be replaced without waiting; "" when nothing is the matter with it."""
    try:
        version.document()
    except ModelRefused:
        return "the served version is refused"
    return STALE if is_stale(version) else ""


@requires_transaction
def serve(*, version: PropensityVersion, reason: str, actor: Actor, now: datetime, verb: str = "") -> RetrainSchedule:
    """Serve this version from now on. Recorded as `model.roll_back` when a later one was served, or `model.serve`.

    Raises NoReason, VersionGone, StaleTooLong, AlreadyServed, BytesRefused.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MOST_OF_A_REASON or not reason.isprintable():
        raise NoReason("must have 1 to 500 printable characters.")
    schedule = RetrainSchedule.objects.select_for_update(of=("self",)).get(pk=version.schedule_id)
    # A retrain that ended while we waited may have dropped it.
    if not PropensityVersion.objects.filter(pk=version.pk).exists():
        raise VersionGone(str(version.pk))
    if is_over(version, now=now):
        raise StaleTooLong(str(version.pk))
    if schedule.served_id == version.pk:
        raise AlreadyServed(str(version.pk))
    try:
        version.document()
    except ModelRefused as e:
        raise BytesRefused(str(version.pk)) from e
    before = served_of(schedule)
    is_back = before is not None and before.number > version.number
    audit.action(verb or (ROLL_BACK_VERB if is_back else SERVE_VERB), entity=schedule)
    schedule.served, schedule.served_at = version, now
    schedule.served_by_name, schedule.served_reason = actor.name[:200], reason
    schedule.save(update_fields=["served", "served_at", "served_by_name", "served_reason"])
    return schedule


@requires_transaction
def served_of(schedule: RetrainSchedule) -> PropensityVersion | None:
    if schedule.served_id is None:
        return None
    return PropensityVersion.objects.get(pk=schedule.served_id)


@requires_transaction
def drop_old(schedule: RetrainSchedule) -> int:
    """Delete the oldest versions beyond those that are kept, never the served one. Returns how many went."""
    others = PropensityVersion.objects.filter(schedule=schedule)
    if schedule.served_id is not None:
        others = others.exclude(pk=schedule.served_id)
    old = list(others.newest_first().values_list("pk", flat=True)[schedule.keep :])
    return PropensityVersion.objects.filter(pk__in=old).delete()[0] if old else 0
