"""What becomes of a decision: whether it may be made, and from when it would count."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from compliance.models import CLOCK, MAX_DAYS, MIN_DAYS, Mode, PolicyVersion
from compliance.retention.binding import binding
from compliance.retention.refusals import (
    BelowFloor,
    DaysOutOfRange,
    MayOnlyLengthen,
    NeedsSecondPerson,
    ReasonRequired,
    UnknownAnchor,
    UnknownDataClass,
)
from customers.catalogue import DATA_CLASSES, anchors
from kaireon.tenancy.context import requires_transaction

_STRICTNESS = {str(mode): rank for rank, mode in enumerate((Mode.NORMAL, Mode.GOVERNANCE, Mode.COMPLIANCE))}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody decides about a policy; None leaves it as it is."""

    days: int | None
    anchor: str | None = None
    mode: Mode | None = None
    reason: str = ""
    approval_id: UUID | None = None


def check_class(data_class: str) -> None:
    """Raises UnknownDataClass."""
    if data_class not in DATA_CLASSES:
        raise UnknownDataClass


def check_days(days: int | None) -> None:
    """Raises DaysOutOfRange."""
    if days is not None and (type(days) is not int or not MIN_DAYS <= days <= MAX_DAYS):
        raise DaysOutOfRange


@requires_transaction
def check_anchor(data_class: str, anchor: str | None) -> None:
    """Raises UnknownAnchor. What rows of the active tenant's own tables offer is known too."""
    if anchor in (None, CLOCK):
        return
    known = anchors(data_class)
    if anchor not in known:
        raise UnknownAnchor(known)


def cooling_off() -> timedelta:
    """Between the decision to shorten and its effect."""
    return timedelta(hours=settings.RETENTION_COOLING_OFF_HOURS)


def shortens(counting: PolicyVersion | None, wanted: PolicyVersion) -> bool:
    """Whether anything may go earlier by it than by what counts. Counted from something else, it may."""
    if counting is None:
        return False
    return wanted.retention_days < counting.retention_days or wanted.anchor != counting.anchor


def starts(
    counting: PolicyVersion | None, wanted: PolicyVersion, *, now: datetime, effective_from: datetime | None = None
) -> datetime:
    """From when it would count: a shortening after the cooling-off, or later where that was asked for."""
    soonest = now + cooling_off() if shortens(counting, wanted) else now
    return max(effective_from or now, soonest)


@requires_transaction
def check_floor(wanted: PolicyVersion, *, now: datetime, starts: datetime) -> None:
    """Raises BelowFloor, by the laws that bind now and have started when it would count."""
    floor = binding(now).floor(wanted.data_class, starts)
    if floor is not None and wanted.retention_days < floor.days:
        raise BelowFloor(floor)


def check_mode(counting: PolicyVersion | None, wanted: PolicyVersion) -> None:
    """Raises MayOnlyLengthen, ReasonRequired, NeedsSecondPerson."""
    if counting is None or counting.mode == Mode.NORMAL:
        return
    if not shortens(counting, wanted) and _STRICTNESS[wanted.mode] >= _STRICTNESS[counting.mode]:
        return
    if counting.mode == Mode.COMPLIANCE:
        raise MayOnlyLengthen
    if not wanted.reason:
        raise ReasonRequired
    if wanted.approval_id is None:
        raise NeedsSecondPerson(counting.data_class)
