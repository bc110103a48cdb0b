"""Versions of models: which is served, what makes one stale, going back to an earlier one, how many are kept."""

from datetime import datetime

import audit
from customers.models import ErasedSubject, PropensityVersion, RetrainSchedule
from customers.models.propensity import MOST_OF_A_REASON
from customers.propensity.documents import ModelRefused
from kaireon.tenancy.context import Actor, requires_transaction

SERVE_VERB = "model.serve"
ROLL_BACK_VERB = "model.roll_back"
STALE = "stale: subject erased since"


class NoReason(ValueError):
    """Serving another version needs a reason of 1 to 500 printable characters."""

    field = "reason"


class AlreadyServed(RuntimeError):
    """This version is the one that is served."""


class BytesRefused(RuntimeError):
    """The version's bytes are not those that were written: it cannot be served. Train a new one."""


@requires_transaction
def is_stale(version: PropensityVersion) -> bool:
    """Whether anybody was erased since it was made. They may have been among its examples: it is not kept who was."""
    erased = ErasedSubject.objects.all()
    return erased.filter(created_at__gt=version.as_of).exists() or erased.count() > version.erased_then


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

    Raises NoReason, AlreadyServed, BytesRefused.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MOST_OF_A_REASON or not reason.isprintable():
        raise NoReason("must have 1 to 500 printable characters.")
    schedule = RetrainSchedule.objects.select_for_update(of=("self",)).get(pk=version.schedule_id)
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
