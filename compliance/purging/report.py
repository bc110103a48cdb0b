"""What was disposed of in a period: as JSON, as a page to print, and as a table."""

import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from compliance.models import Disposition
from customers.catalogue import CATALOGUE, DERIVED
from kaireon.lib import clock
from kaireon.lib.csv_safe import SafeWriter
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

VERB = "retention.dispositions.export"
_TITLES = {entity.name: entity.title for entity in (*CATALOGUE, *DERIVED)}


COLUMNS = (
    "firstAt",
    "lastAt",
    "dataClass",
    "entity",
    "method",
    "rows",
    "clock",
    "clockFrom",
    "clockUntil",
    "retentionDays",
    "policyClass",
    "policyVersion",
    "law",
    "doneBy",
    "doneByName",
    "approvedBy",
    "approvedByName",
    "plan",
    "run",
    "id",
)


def wire(row: Disposition) -> dict[str, Any]:
    """One disposition in camelCase."""
    return {
        "firstAt": clock.rfc3339(row.first_at),
        "lastAt": clock.rfc3339(row.last_at),
        "dataClass": row.data_class,
        "entity": row.entity,
        "method": row.method,
        "rows": row.rows,
        "clock": row.clock,
        "clockFrom": clock.rfc3339(row.clock_from),
        "clockUntil": clock.rfc3339(row.clock_until),
        "retentionDays": row.retention_days,
        "policyClass": row.policy_class or row.data_class,
        "policyVersion": row.policy_version,
        "law": row.law,
        "doneBy": row.done_by,
        "doneByName": row.done_by_name,
        "approvedBy": row.approved_by,
        "approvedByName": row.approved_by_name,
        "plan": str(row.plan) if row.plan else None,
        "run": str(row.run),
        "id": str(row.pk),
    }


@requires_transaction
def as_csv(rows: Iterable[Disposition]) -> str:
    """A table whose cells no spreadsheet runs; the first line names the columns."""
    sink = io.StringIO(newline="")
    writer = SafeWriter(sink)
    writer.writerow(COLUMNS)
    for row in rows:
        said = wire(row)
        writer.writerow(said[column] for column in COLUMNS)
    return sink.getvalue()


@requires_transaction
def as_html(rows: Iterable[Disposition], *, since: datetime | None, until: datetime | None, now: datetime) -> str:
    """A page that stands alone: sums by class, then each disposition."""
    listed = list(rows)
    sums: dict[str, int] = defaultdict(int)
    for row in listed:
        sums[row.data_class] += row.rows
    return render_to_string(
        "compliance/dispositions.html",
        {
            "tenant": Tenant.objects.get(pk=context.tenant_id()),
            "since": since,
            "until": until,
            "now": now,
            "sums": sorted(sums.items()),
            "total": sum(sums.values()),
            "rows": [(row, _TITLES.get(row.entity, row.entity)) for row in listed],
        },
    )


def file_name(tenant_id: str, format_: str, now: datetime) -> str:
    return f"dispositions-{tenant_id}-{now:%Y%m%dT%H%M%SZ}.{format_}"
