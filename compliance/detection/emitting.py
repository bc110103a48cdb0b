"""Saying what was found: one structured line each, and an event for Sentry where that is configured.

A line is written after its signal was committed and before that is noted: it is never lost, and written again only
when the process ends in between. `fingerprint` tells the same line.
"""

import logging
from datetime import datetime

from compliance.detection import sentry
from compliance.models import SecuritySignal, SignalSeverity
from kaireon.lib import clock
from kaireon.tenancy.context import tenant_id, transaction, without_transaction

logger = logging.getLogger("kaireon.security")

PREFIX = "security.behavioral"
# In one transaction, and as many as Sentry's client lines up.
CHUNK = 50


@without_transaction
def emit_waiting(*, now: datetime) -> int:
    """Write the lines of the active tenant's signals that have none yet; how many."""
    emitted = 0
    while True:
        with transaction():
            waiting = SecuritySignal.objects.not_emitted().select_for_update(skip_locked=True).order_by("pk")[:CHUNK]
            rows = list(waiting)
            for row in rows:
                emit(row)
            SecuritySignal.objects.filter(pk__in=[row.pk for row in rows]).update(emitted_at=now)
        if rows:
            sentry.flush()
        emitted += len(rows)
        if len(rows) < CHUNK:
            return emitted


def emit(row: SecuritySignal) -> None:
    """One line: ids of ours and counts, nothing personal."""
    said = {
        "tenant": tenant_id(),
        "signal": str(row.pk),
        "kind": row.kind,
        "severity": row.severity,
        "evidence": list(row.evidence),
        "record": str(row.record_id),
        "occurred_at": clock.rfc3339(row.occurred_at),
        "fingerprint": row.fingerprint,
        **{name: value for name, value in row.about.items() if isinstance(value, int | str)},
    }
    page = row.severity == SignalSeverity.PAGE
    logger.log(logging.ERROR if page else logging.WARNING, f"{PREFIX}.{row.kind}", extra=said)
    sentry.send(f"{PREFIX}.{row.kind}", level="error" if page else "warning", said=said)
