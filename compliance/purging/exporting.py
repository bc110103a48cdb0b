"""The report on what was disposed of, as a file: the same whoever asks for it, and recorded."""

from datetime import datetime

from django.http import HttpResponse

import audit
from compliance.models import Disposition
from compliance.purging import report
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

TYPES = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8"}


@requires_transaction
def file_of(format_: str, *, since: datetime | None, until: datetime | None, now: datetime) -> HttpResponse:
    """The whole period in one of TYPES; that somebody read it is recorded."""
    rows = Disposition.objects.between(since, until).by_time()
    text = report.as_csv(rows) if format_ == "csv" else report.as_html(rows, since=since, until=until, now=now)
    tenant_id = context.tenant_id()
    audit.record(
        action=report.VERB,
        entity_type="Retention",
        entity_id=tenant_id,
        changes={"format": format_, "dispositions": rows.count()},
    )
    name = report.file_name(tenant_id, format_, now)
    return HttpResponse(
        text,
        content_type=TYPES[format_],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
