"""What is due of a tenant's schedules: each period once, however often and by how many it is looked for.

Which periods a schedule had stands in its runs and nowhere else: the newest moment among them is where it goes on. A
run is unique by its schedule and period, so a clock that is set back, a second look at the same time or another time
zone brings none of them again. Runs and jobs are written in one transaction for each schedule: a process that dies
leaves all of a schedule's or nothing, and the next look goes on there.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

import audit
from compliance.models import ReportRun, ReportSchedule, ReportState, ReportTrigger
from compliance.reporting import runs, schedule, schedules
from compliance.reporting.runs import Requested
from compliance.reporting.schedule import MOST_CAUGHT_UP, Slot
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction, without_transaction

logger = logging.getLogger("kaireon.reports")

DUE_VERB = "report.due"
SKIPPED_VERB = "report.skip"
MISSED = "missed"


@dataclass(kw_only=True)
class Looked:
    """What a look came to. `errors` are facts without names."""

    schedules: int = 0
    queued: int = 0
    again: int = 0
    skipped: int = 0
    errors: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, int]:
        return {
            "schedules": self.schedules,
            "queued": self.queued,
            "again": self.again,
            "skipped": self.skipped,
        }


@without_transaction
def look(*, now: datetime, wanted: Callable[[], bool] = lambda: True) -> Looked:
    """Queue what is due of each schedule of the active tenant, until it is not `wanted` any more.

    One that cannot be read does not keep the next from being looked at.
    """
    looked = Looked()
    with transaction():
        keys = list(ReportSchedule.objects.watched().order_by("pk").values_list("pk", flat=True))
    errors = set()
    for key in keys:
        if not wanted():
            break
        try:
            _look_at(key, looked, now)
        except Exception as error:  # told in the outcome, and the next schedule is still looked at
            logger.exception("report_schedule_failed", extra={"schedule": str(key)})
            errors.add(type(error).__name__)
        looked.schedules += 1
    looked.errors = tuple(sorted(errors))
    return looked


def count() -> int:
    """Schedules that would be looked at."""
    with transaction():
        return ReportSchedule.objects.watched().count()


def _look_at(key: UUID, looked: Looked, now: datetime) -> None:
    with transaction():
        # Who looks at the same time leaves it to the first.
        row = ReportSchedule.objects.watched().select_for_update(skip_locked=True).filter(pk=key).first()
        if row is None:
            return
        terms = schedules.terms_of(row)
        mine = ReportRun.objects.scheduled().filter(schedule=row)
        found = schedule.due(terms, after=schedules.looked_until(row, now=now), now=now)
        if not found.run:
            return
        done = _done(row, (*found.skipped, *found.run))
        skipped = [slot for slot in found.skipped if slot.period not in done]
        fresh = [slot for slot in found.run if slot.period not in done]
        failed = list(mine.filter(state=ReportState.FAILED).order_by("-slot").values_list("pk", flat=True))
        for slot in skipped:
            _skip(row, slot, now)
        asked = [_due(row, slot, now) for slot in fresh]
        tried = [runs.again(run, now=now) for run in failed[:MOST_CAUGHT_UP]] if fresh else []
    for one in (*asked, *tried):
        runs.wake(one)
    looked.queued += len(asked)
    looked.again += len(tried)
    looked.skipped += len(skipped)


def _done(row: ReportSchedule, slots: tuple[Slot, ...]) -> set[tuple[object, object]]:
    """Which of these periods the schedule had already."""
    mine = ReportRun.objects.scheduled().filter(schedule=row)
    near = Q(period_first__gte=slots[0].first, period_first__lte=slots[-1].first)
    return set(mine.filter(near).values_list("period_first", "period_last"))


def _due(row: ReportSchedule, slot: Slot, now: datetime) -> Requested:
    run = _run(row, slot, now)
    job = runs.employ(run, now=now)
    audit.action(DUE_VERB, entity=run)
    run.save(force_insert=True)
    return Requested(run, job)


def _skip(row: ReportSchedule, slot: Slot, now: datetime) -> None:
    run = _run(row, slot, now)
    run.state, run.error, run.finished_at = ReportState.SKIPPED, MISSED, now
    run.detail = f"More than {MOST_CAUGHT_UP} periods were missed; the newest {MOST_CAUGHT_UP} are made up for."
    audit.action(SKIPPED_VERB, entity=run)
    run.save(force_insert=True)


def _run(row: ReportSchedule, slot: Slot, now: datetime) -> ReportRun:
    return ReportRun(
        id=uuid7(),
        schedule=row,
        template=row.template,
        title=row.name,
        formats=row.formats,
        time_zone=row.time_zone,
        period_first=slot.first,
        period_last=slot.last,
        trigger=ReportTrigger.SCHEDULE,
        slot=slot.at,
        delivers=True,
        created_at=now,
    )
