"""The job `export-interactions`: what customers did, as files for each tenant's own warehouse."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings

from compliance.holding import holds, predicate
from cron.work import Outcome, Work
from customers import removals
from customers.exporting import exporting
from customers.exporting.exporting import Exported
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.models import Tenant

logger = logging.getLogger("kaireon.cron")

DATA_CLASS = "interactions"


def export_interactions(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{tenantName, exported, filePath, files, finished, filesExpired}` and, when it failed, why.

    What was exported before a failure stays, and is counted.
    """
    with transaction():
        name = Tenant.objects.get().name
    if work.dry_run:
        return {"tenantName": name, "waiting": exporting.waiting(), "exported": 0, "filePath": None}, []
    exported, expired, errors = Exported(), 0, []
    try:
        exporting.export(exported, now=work.now, budget=work.budget)
        expired = _expire(work)
    except exporting.ExportUnderWay:
        # An erasure writes files anew; the next run finds its own place.
        pass
    except SoftTimeLimitExceeded:
        # The worker is about to be ended: that concerns the whole run.
        raise
    except Exception as error:
        # Whatever it is becomes the tenant's outcome; the others are still served.
        logger.exception("job_failed", extra={"job": "export-interactions", "tenant": context.tenant_id()})
        errors.append(type(error).__name__)
    body = {
        "tenantName": name,
        "exported": exported.rows,
        "filePath": exported.path,
        "files": exported.files,
        "finished": exported.finished,
        "filesExpired": expired,
    }
    return body, errors


def answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`{totalExported, tenants: [{tenantId, tenantName, exported, filePath, error?}]}`, failed tenants included."""
    return {
        "totalExported": sum(outcome.body.get("exported", 0) for outcome in outcomes),
        "tenants": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry = {
        "tenantId": outcome.tenant_id,
        "tenantName": outcome.body.get("tenantName", ""),
        "exported": outcome.body.get("exported", 0),
        "filePath": outcome.body.get("filePath"),
    }
    return {**entry, "error": "; ".join(outcome.errors)} if outcome.errors else entry


def _expire(work: Work) -> int:
    """A file is of many people: while any interaction may be held, all files stay."""
    if settings.EXPORT_INTERACTIONS_DAYS < 1:
        return 0
    expired = exporting.expire(now=work.now, days=settings.EXPORT_INTERACTIONS_DAYS, held=_is_held)
    removals.remove_doomed(now=work.now, budget=work.budget)
    return expired


@requires_transaction
def _is_held() -> bool:
    holds.lock_epoch()
    return DATA_CLASS in holds.held_classes() or predicate.is_any(kinds=predicate.FOR_RETENTION)
