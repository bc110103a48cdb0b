"""Looking whether the active tenant is as its file declares, and writing down since when it is not."""

import logging
from collections.abc import Sequence
from datetime import datetime

import audit
from compliance.drift.comparing import Difference, compare
from compliance.drift.files import Declared
from compliance.drift.kinds import KINDS
from compliance.models import Drift
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

__all__ = ["Difference", "differences", "note"]

logger = logging.getLogger("kaireon.compliance")

FOUND_VERB = "config.drift_found"
CHANGED_VERB = "config.drift_changed"
RESOLVED_VERB = "config.drift_resolved"


@requires_transaction
def differences(declared: Declared, *, now: datetime) -> list[Difference]:
    """Where the tenant, or the platform, is not as declared, by kind and name. Nothing changes."""
    return [
        difference
        for kind, items in sorted(declared.sections.items())
        for difference in compare(kind, items, KINDS[kind].actual(now), wants_declaring=KINDS[kind].wants_declaring)
    ]


@requires_transaction
def note(found: Sequence[Difference], *, now: datetime) -> tuple[int, int]:
    """Write down what is new, what is otherwise than before, and what is gone; how many are new, how many gone.

    Each has a record of its own; a look that finds the same as before leaves none.
    """
    known = {(row.kind, row.name): row for row in Drift.objects.select_for_update().open()}
    new = 0
    for difference in found:
        row = known.pop((difference.kind, difference.name), None)
        fields = difference.as_dict()["fields"]
        if row is None:
            row = Drift(kind=difference.kind, name=difference.name[:200], first_seen_at=now)
            new += 1
            audit.action(FOUND_VERB, entity=row)
        elif (row.what, row.fields) != (difference.what, fields):
            audit.action(CHANGED_VERB, entity=row)
        row.what, row.fields, row.last_seen_at = difference.what, fields, now
        row.save()
    for row in known.values():
        audit.action(RESOLVED_VERB, entity=row)
        row.resolved_at = now
        row.save(update_fields=["resolved_at"])
    if found:
        logger.warning("config_drift", extra={"tenant": context.tenant_id(), "count": len(found), "new": new})
    return new, len(known)
