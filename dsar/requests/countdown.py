"""How much time a request has left, as pages show it: a colour, a sign and words, each of which is enough."""

from datetime import date
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString

from dsar import deadlines
from dsar.models import DsarRequest
from dsar.urgency import Standing, Urgency, standing

# Green, amber, red; grey when nothing runs.
LOOKS: dict[Urgency, str] = {
    Urgency.OVERDUE: "k-late",
    Urgency.SOON: "k-soon",
    Urgency.IN_TIME: "k-good",
    Urgency.PAUSED: "k-still",
    Urgency.ANSWERED: "k-still",
}
ICONS: dict[Urgency, str] = {
    Urgency.OVERDUE: "error",
    Urgency.SOON: "hourglass_bottom",
    Urgency.IN_TIME: "schedule",
    Urgency.PAUSED: "pause_circle",
    Urgency.ANSWERED: "check_circle",
}


def standing_of(row: DsarRequest, *, today: date, zone: ZoneInfo) -> Standing:
    """Where it stands today, in the tenant's time zone."""
    answered = row.answered_at or row.closed_at
    return standing(
        regulation=row.regulation,
        request_type=row.request_type,
        deadline=row.deadline_on,
        answered=deadlines.local_date(answered, zone) if answered else None,
        today=today,
    )


def countdown(row: DsarRequest, *, today: date, zone: ZoneInfo) -> SafeString:
    stands = standing_of(row, today=today, zone=zone)
    return format_html(
        '<span class="k-due {}"><span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
        LOOKS[stands.urgency],
        ICONS[stands.urgency],
        stands.text,
    )
