"""Going on from an older database, with evidence: a signed statement of what is lost, in the log and outside.

The tree cannot contain what was lost, so the checkpoints that follow contradict the lost ones, and whoever holds one of
those sees it. What they are told, and by whom, stands in the log: the record `audit_log.restored`, with the lost
checkpoint's size and root and its signed text. Later checkpoints are published under names of their own.
"""

from datetime import datetime

import audit
from audit.models import AuditHead, Restore
from audit.restoring.published import Lost
from audit.tree import checkpoints, publication, signing
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.tenancy.context import PLATFORM, current, requires_transaction

RESTORED_VERB = "audit_log.restored"
HEADER = "kaireon restore v1"


@requires_transaction
def acknowledge(lost: Lost, *, reason: str, now: datetime) -> Restore:
    """Say that the active scope's log goes on without what was published up to `lost`. Drain before the transaction."""
    tenant = current().tenant_id
    head = AuditHead.objects.filter(pk=tenant).first()
    newest = checkpoints.newest(tenant)
    place = publication.place_of(lost.name)
    kept = head.seq if head else 0
    number = max(publication.restores(), place[0] if place else 0) + 1
    said = {
        "tenantId": tenant,
        "origin": signing.origin(tenant),
        "number": number,
        "keptRecords": kept,
        "keptCheckpoint": newest.note if newest else None,
        "lostCheckpoint": lost.note,
        "lostSize": lost.size,
        "lostRoot": lost.root.hex(),
        "reason": reason,
        "acknowledgedAt": clock.rfc3339(now),
    }
    note = signing.signer().sign(f"{HEADER}\n{canonical(said).decode()}\n")
    row = Restore(
        tenant_id=tenant,
        number=number,
        kept_size=kept,
        kept_checkpoint=newest.tree_size if newest else 0,
        lost_name=lost.name,
        lost_size=lost.size,
        lost_root=lost.root.hex(),
        lost_note=lost.note,
        note=str(note),
        acknowledged_at=now,
    )
    row.save(force_insert=True)
    audit.record(
        action=RESTORED_VERB,
        entity_type="AuditLog",
        entity_id=tenant,
        changes={
            "keptRecords": kept,
            "lostSize": lost.size,
            "lostRoot": lost.root.hex(),
            "reason": reason,
            "note": str(note),
        },
        platform=tenant == PLATFORM,
    )
    return row


def statement_name(tenant: str, number: int) -> str:
    return f"restores/{tenant}/{number:06d}.txt"


@requires_transaction
def covering(size: int, root: str) -> Restore | None:
    """The restore by which a checkpoint of this size and root was lost, as far as can be told; None: by none.

    The newest one that was lost is known by its root; of those before it, behind what was kept, the sizes alone.
    """
    rows = Restore.objects.filter(tenant_id=current().tenant_id, lost_size__gte=size).order_by("number")
    return next((row for row in rows if row.lost_root == root or row.kept_checkpoint < size < row.lost_size), None)
