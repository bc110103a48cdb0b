"""A report that says what it is told to, schedules of it, and looks at chosen moments."""

from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from audit import services as log
from audit.models import AuditRecord
from compliance.models import ReportFile, ReportNotice, ReportRun, ReportSchedule
from compliance.reporting import files, runs, scheduling, templates
from compliance.reporting.document import Section
from compliance.reporting.schedules import create
from compliance.reporting.scheduling import Looked
from compliance.reporting.templates import Asked, Template
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from tests.alerting.conftest import provider
from tests.cast import ACME, ADA, Person
from tests.outbox.conftest import Receiver, acme, hook, receiver, receiver_on

__all__ = ["Receiver", "acme", "hook", "provider", "receiver", "receiver_on"]

# A Monday.
NOON = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
TEMPLATE = "test_scheduled"
ALL = frozenset(Permission)
# What happens while it is made, by tenant; an exception is raised.
happens: dict[str, Exception | Callable[[], object]] = {}


def _section(asked: Asked) -> Section:
    event = happens.get(context.tenant_id())
    if isinstance(event, Exception):
        raise event
    if event is not None:
        event()
    return Section(title="Test", note=f"{asked.period.start.isoformat()} to {asked.period.end.isoformat()}")


templates.register(
    Template(
        name=TEMPLATE,
        title="Test report",
        help="For tests.",
        permission=Permission.READ_AUDIT,
        summary=lambda asked: "For tests.",
        sections={"Test": _section},
    )
)


@pytest.fixture(autouse=True)
def _nothing_happens() -> Iterator[None]:
    yield
    happens.clear()


def during(event: Exception | Callable[[], object], tenant: str = ACME) -> None:
    happens[tenant] = event


def make(who: Person = ADA, *, now: datetime = NOON, **given: Any) -> ReportSchedule:
    """Daily at eight in UTC, unless told otherwise."""
    terms = {
        "name": "Daily",
        "template": TEMPLATE,
        "formats": ["csv"],
        "span": "day",
        "cadence": "daily",
        "at": time(8),
        "time_zone": "UTC",
        **given,
    }
    with who.here(), transaction():
        return create(given=terms, may=ALL, now=now)


def days(number: float) -> Any:
    return NOON + timedelta(days=number)


def objects() -> list[Path]:
    place = Path(settings.STORAGES["default"]["OPTIONS"]["location"]) / "reports"
    return [path for path in place.rglob("*") if path.is_file()]


def look(at: datetime, who: Person = ADA) -> Looked:
    with who.here():
        return scheduling.look(now=at)


def made(who: Person = ADA) -> list[ReportRun]:
    """By period."""
    with who.here(), transaction():
        return list(ReportRun.objects.order_by("period_first", "period_last", "created_at"))


def periods(who: Person = ADA, **given: Any) -> list[str]:
    return [str(run.period_first) for run in made(who) if all(getattr(run, k) == v for k, v in given.items())]


def work(run: ReportRun, who: Person = ADA) -> Job | None:
    """What a worker does with the report's job; None when there was nothing to do."""
    with who.here():
        return runner.run(job_id=_job_of(run))


def _job_of(run: ReportRun) -> Any:
    assert run.job_ref is not None
    return run.job_ref


def give_up(run: ReportRun, who: Person = ADA) -> Job:
    """Let a worker try it until it is given up, whatever pauses there are between."""
    with who.here():
        for _ in range(10):
            with transaction():
                Job.objects.filter(pk=run.job_ref).update(due_at=clock.now())
            job = runner.run(job_id=_job_of(run))
            assert job is not None
            if job.state != "queued":
                return job
    raise AssertionError("it is tried for ever")


def again(run: ReportRun, who: Person = ADA) -> ReportRun:
    with who.here(), transaction():
        return ReportRun.objects.get(pk=run.pk)


def content(run: ReportRun, format_: str = "csv", who: Person = ADA) -> bytes:
    with who.here(), transaction():
        return runs.download(ReportRun.objects.get(pk=run.pk), format_, now=clock.now())[1]


def kept(who: Person = ADA) -> list[ReportFile]:
    with who.here(), transaction():
        return list(ReportFile.objects.order_by("pk"))


def notices(who: Person = ADA) -> list[ReportNotice]:
    with who.here(), transaction():
        return list(ReportNotice.objects.select_related("provider").order_by("made_at", "pk"))


def recorded(*verbs: str, who: Person = ADA) -> list[AuditRecord]:
    with who.here():
        log.drain(who.tenant_id)
        with transaction():
            return list(AuditRecord.objects.filter(action__in=verbs).order_by("seq"))


def files_expire(now: datetime, who: Person = ADA) -> int:
    with who.here():
        return files.expire(now=now)
