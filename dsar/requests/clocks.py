"""The clocks of requests: begun at filing, extended once, paused and run again where the law allows it.

What a clock was begun with is kept in the request: another time zone, calendar or law later moves no date of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import audit
from dsar import deadlines, signals
from dsar.deadlines import Clock, Extension, Ground, Pause
from dsar.models import ClockPause, DsarRequest, Status
from dsar.requests import working_days
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.models import Tenant

MOST_CHARACTERS = 500


class RequestAnswered(RuntimeError):
    """The clock of a request that was answered has stopped for good: nothing changes it any more."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A new clock, and the columns of its request that keep it."""

    clock: Clock
    columns: dict[str, Any]


@requires_transaction
def begin(*, regulation: str, request_type: str, received: datetime) -> Begun:
    """The clock of a request that is being filed. Raises deadlines.UnknownRegulation."""
    tenant = Tenant.objects.get(pk=context.tenant_id())
    zone = ZoneInfo(tenant.time_zone)
    law = deadlines.law_pack(regulation)
    free = working_days.public_holidays(tenant.holiday_calendar, deadlines.local_date(received, zone))
    clock = deadlines.clock_for(
        regulation,
        received,
        zone,
        right=deadlines.right_of(request_type),
        holidays=free,
        roll=tenant.roll_deadlines,
    )
    terms = {
        "zone": zone.key,
        "law": law.version,
        "calendar": tenant.holiday_calendar,
        "roll": tenant.roll_deadlines,
        "holidays": sorted(day.isoformat() for day in free),
    }
    return Begun(clock=clock, columns={"due_on": clock.due, "deadline_on": clock.deadline, "clock_terms": terms})


@requires_transaction
def clock_of(request: DsarRequest) -> Clock:
    """The request's dates, in the time zone it was filed in, each with the article it stands in."""
    clock = deadlines.clock_for(
        request.regulation,
        request.received_at,
        zone_of(request),
        right=deadlines.right_of(request.request_type),
        holidays=[date.fromisoformat(day) for day in request.clock_terms.get("holidays", [])],
        roll=request.clock_terms.get("roll", False),
    )
    extension = (
        Extension(at=request.extended_at, reason=request.extension_reason) if request.extended_at is not None else None
    )
    stood = list(ClockPause.objects.of(request))
    said = request.notes if stood else {}
    pauses = [
        Pause(ground=Ground(row.ground), at=row.paused_at, reason=said.get(row.note, ""), ended=row.ended_at)
        for row in stood
    ]
    return deadlines.not_after(deadlines.restored(clock, extension=extension, pauses=pauses), request.due_on)


@requires_transaction
def earliest(request: DsarRequest, others: Iterable[DsarRequest]) -> dict[str, Any]:
    """The columns of the request, locked by the caller, with the earliest of its own and the others' clocks."""
    among = [request, *others]
    was = (request.received_at, request.due_on)
    request.received_at, request.due_on = min(r.received_at for r in among), min(r.due_on for r in among)
    clock = clock_of(request)
    columns = {"received_at": request.received_at, "due_on": request.due_on, "deadline_on": clock.deadline}
    request.received_at, request.due_on = was
    return columns


def zone_of(request: DsarRequest) -> ZoneInfo:
    """The time zone whose days the request is counted in: the tenant's when it was filed."""
    zone = request.clock_terms.get("zone")
    return ZoneInfo(zone or Tenant.objects.values_list("time_zone", flat=True).get(pk=context.tenant_id()))


@requires_transaction
def extend_request(*, request: DsarRequest, reason: str, actor: Actor, now: datetime, dry_run: bool = False) -> Clock:
    """Give the answer the law's one extension; recorded as `dsar.extend`. Returns the clock as it is then.

    Of two at once one counts. `dry_run` changes nothing. Raises RequestAnswered, and deadlines.ExtensionRefused with
    the citation when the law does not allow it.
    """
    row = _still_open(request)
    clock = deadlines.extend(clock_of(row), now, reason)
    if dry_run:
        return clock
    row.note(extension=reason.strip())
    audit.action("dsar.extend", entity=row)
    DsarRequest.objects.filter(pk=row.pk, extended_at=None).update(
        extended_at=now, extended_by=actor.id[:64], notes_sealed=row.notes_sealed, deadline_on=clock.deadline
    )
    row.refresh_from_db()
    signals.extended.send(sender=DsarRequest, request=row, now=now)
    return clock


@requires_transaction
def pause_request(
    *, request: DsarRequest, ground: Ground, reason: str, actor: Actor, now: datetime, dry_run: bool = False
) -> Clock:
    """Stop the clock while something is awaited; recorded as `dsar.pause`. Returns the clock as it is then.

    Of two at once one counts. `dry_run` changes nothing. Raises RequestAnswered, and deadlines.PauseRefused with the
    citation when the law does not allow it.
    """
    row = _still_open(request)
    clock = deadlines.pause(clock_of(row), now, ground, reason)
    if dry_run:
        return clock
    standing = ClockPause.objects.create(request=row, ground=ground, paused_at=now, paused_by=actor.id[:64])
    row.note(**{standing.note: reason.strip()})
    audit.action("dsar.pause", entity=row)
    DsarRequest.objects.filter(pk=row.pk).update(deadline_on=None, notes_sealed=row.notes_sealed)
    return clock


@requires_transaction
def resume_request(*, request: DsarRequest, actor: Actor, now: datetime, dry_run: bool = False) -> Clock:
    """Let the clock run again, because what was asked for came; recorded as `dsar.resume`. Returns the clock.

    `dry_run` changes nothing. Raises RequestAnswered, and deadlines.PauseRefused when the clock runs.
    """
    row = _still_open(request)
    clock = deadlines.resume(clock_of(row), now)
    if dry_run:
        return clock
    ClockPause.objects.of(row).standing().update(ended_at=now, ended_by=actor.id[:64])
    audit.action("dsar.resume", entity=row)
    DsarRequest.objects.filter(pk=row.pk).update(deadline_on=clock.deadline)
    return clock


def _still_open(request: DsarRequest) -> DsarRequest:
    """The request as it is now, locked: who comes second sees what the first one did."""
    row = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if row.status == Status.COMPLETED:
        raise RequestAnswered(str(row.pk))
    return row
