"""Shipping records once more: what was refused of them is open again only when it is refused again."""

from datetime import datetime

from audit import services
from audit.following import cursors
from audit.models import SiemDestination, Unshippable
from kaireon.tenancy.context import current, requires_transaction


@requires_transaction
def ship_again(row: SiemDestination, *, seq: int, now: datetime) -> None:
    """Everything from record `seq` on goes to the destination with the next run, under the same ids.

    Raises ValueError when it has not come so far.
    """
    cursors.set_back(f"siem:{row.pk}", to=seq - 1, now=now)
    Unshippable.objects.filter(
        tenant_id=current().tenant_id, destination=str(row.pk), first_seq__gte=seq, resolved_at=None
    ).update(resolved_at=now)
    services.record(
        action="siem_destination.ship_again",
        entity_type="SiemDestination",
        entity_id=str(row.pk),
        entity_name=row.name,
        changes={"fromSeq": seq},
    )
