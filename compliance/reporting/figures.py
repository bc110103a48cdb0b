"""What alert rules can watch of reports."""

from compliance.alerting.metrics import Asked, Metric, Unit, register
from compliance.models import ReportRun, ReportState


def failed(asked: Asked) -> float:
    return float(ReportRun.objects.filter(state=ReportState.FAILED).order_by().count())


register(
    Metric(
        name="reports_failed",
        title="Reports failed",
        help="Reports that failed, of a schedule or asked for, and have not been made since.",
        unit=Unit.COUNT,
        read=failed,
    )
)
