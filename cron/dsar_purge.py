"""The job `dsar-purge`: interactions, decision traces and attachments past their time, with an answer of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from compliance.purging import purge
from cron.work import Outcome, Work
from customers.catalogue import DSAR_PURGE

# The fields of the answer, by the catalogue's names.
COUNTED = {
    "decisionTraces": "decisionTrace",
    "interactionHistory": "interactionHistory",
    "aiAttachments": "attachment",
}


def purge_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Purge the active tenant of what this job looks at.

    Gives `{retentionDays, decisionTraces, interactionHistory, aiAttachments, blobsDeleted, blobsAttempted, held,
    warnings, finished}`, `retentionDays` being the shortest period of a class that is not held, and errors.
    """
    purged = purge.purge_expired(
        now=work.now, actor=work.actor, swept_by=DSAR_PURGE, dry_run=work.dry_run, budget=work.budget
    )
    said = purged.as_dict()
    counts = {field: purged.deleted.get(entity, 0) for field, entity in COUNTED.items()}
    more = {key: said[key] for key in ("blobsDeleted", "blobsAttempted", "held", "heldRows", "warnings", "finished")}
    return {"retentionDays": purged.shortest, **counts, **more}, purged.errors


def answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`{tenantsScanned, totalBlobsAttempted, perTenant: [{tenantId, retentionDays, decisionTraces, …, errors}]}`

    The same fields of each tenant, also of one that failed; what else there is to say stands in the run's row.
    """
    return {
        "tenantsScanned": len(outcomes),
        "totalBlobsAttempted": sum(outcome.body.get("blobsAttempted", 0) for outcome in outcomes),
        "perTenant": [_entry(outcome) for outcome in outcomes],
    }


def _entry(outcome: Outcome) -> dict[str, Any]:
    fields = ("retentionDays", *COUNTED, "blobsDeleted")
    counts = {field: outcome.body.get(field, 0) for field in fields}
    return {"tenantId": outcome.tenant_id, **counts, "errors": list(outcome.errors)}
