"""What alert rules can watch of a tenant's subject requests."""

from django.db.models import Min

from compliance.alerting.metrics import Asked, Metric, Unit, register
from dsar.models import DsarRequest
from dsar.requests.today import today


def open_requests(asked: Asked) -> float:
    return float(DsarRequest.objects.unanswered().count())


def overdue(asked: Asked) -> float:
    return float(DsarRequest.objects.unanswered().filter(deadline_on__lt=today()).count())


def oldest(asked: Asked) -> float:
    """0 when none is open."""
    first = DsarRequest.objects.unanswered().aggregate(first=Min("received_at"))["first"]
    return 0.0 if first is None else max(0.0, (asked.now - first).total_seconds() / 86_400)


def days_left(asked: Asked) -> float | None:
    """Until the nearest deadline, in the tenant's own calendar; below 0 it is past."""
    nearest = DsarRequest.objects.unanswered().aggregate(nearest=Min("deadline_on"))["nearest"]
    return None if nearest is None else float((nearest - today()).days)


register(
    Metric(
        name="dsar_open",
        title="Open requests",
        help="Subject requests that are not answered.",
        unit=Unit.COUNT,
        read=open_requests,
    ),
    Metric(
        name="dsar_overdue",
        title="Overdue requests",
        help="Subject requests not answered by the last day that is in time.",
        unit=Unit.COUNT,
        read=overdue,
    ),
    Metric(
        name="dsar_oldest_open",
        title="Oldest open request",
        help="Days since the oldest open request was received; 0 when none is open.",
        unit=Unit.DAYS,
        read=oldest,
    ),
    Metric(
        name="dsar_days_left",
        title="Days to the next deadline",
        help="Days until the nearest deadline of an open request; below 0 it is past. No data: no request is open.",
        unit=Unit.DAYS,
        read=days_left,
    ),
)
