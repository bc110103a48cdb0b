"""What the list of requests and a request's page say of one."""

from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dsar import deadlines
from dsar.models import DsarRequest, State
from dsar.requests.countdown import countdown
from dsar.requests.kinds import title_of
from kaireon.tenancy.admin_pages import TenantModelAdmin, column

STATUSES = {"Queued": "info", "Processing": "primary", "Completed": "success", "Failed": "danger"}


class RequestColumns(TenantModelAdmin[DsarRequest]):
    """The columns. A row is one of the admin's own: with `today` and `zone` of its tenant."""

    @column("Request", ordering="request_type")
    def kind(self, row: DsarRequest) -> str:
        return title_of(row)

    @column("Law")
    def law(self, row: DsarRequest) -> str:
        return deadlines.law_pack(row.regulation).title

    @column("Subject")
    def subject(self, row: DsarRequest) -> str | SafeString:
        if row.is_shredded or row.customer_ref is None:
            return format_html('<span class="k-cut" title="{0}">{0}</span>', row.subject_id)
        page = reverse("admin:customers_customer_change", args=[row.customer_ref])
        return format_html('<a class="k-link" href="{}">{}</a>', page, row.subject_id)

    @column("By")
    def filed_by(self, row: DsarRequest) -> str:
        return row.requested_by_name or row.requested_by

    @column("Package")
    def package_kind(self, row: DsarRequest) -> str:
        return "encrypted" if row.encrypt else "readable"

    @column("Status", label=STATUSES, ordering="status")
    def status_label(self, row: DsarRequest) -> str:
        return str(row.get_status_display())

    @column("Outcome")
    def outcome_label(self, row: DsarRequest) -> str:
        return (
            str(row.get_outcome_display())
            if row.outcome and row.state != State.DEFERRED
            else str(row.get_state_display())
        )

    @column("Time left", ordering="deadline_on")
    def time_left(self, row: Any) -> SafeString:
        return countdown(row, today=row.today, zone=ZoneInfo(row.zone))
