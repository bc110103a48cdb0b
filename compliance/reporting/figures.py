"""What alert rules can watch of reports."""

from django.db.models import Exists, OuterRef, Q

from compliance.alerting.metrics import Asked, Metric, Unit, register
from compliance.models import ReportRun, ReportState


def failed(asked: Asked) -> float:
    made = ReportRun.objects.filter(
        state=ReportState.COMPLETED,
        finished_at__gte=OuterRef("finished_at"),
        **{name: OuterRef(name) for name in ("template", "period_first", "period_last", "time_zone")},
    )
    wanted = Q(schedule=None) | Q(schedule__removed_at=None)
    return float(ReportRun.objects.filter(~Exists(made), wanted, state=ReportState.FAILED).order_by().count())


register(
    Metric(
        name="reports_failed",
        title="Reports failed",
        help="Reports that failed, asked for or of a schedule that is still there, and have not been made since.",
        unit=Unit.COUNT,
        read=failed,
    )
)
