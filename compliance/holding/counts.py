"""How many customers holds name, and how many custodians were told: counted in the database, however many."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from compliance.models import HoldSubject, Notice
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class Told:
    sent: int = 0
    acknowledged: int = 0


NOBODY = Told()


@requires_transaction
def named(holds: Collection[UUID]) -> dict[UUID, int]:
    """How many customers each of these holds names; those that name none are not in it."""
    rows = HoldSubject.objects.filter(hold__in=holds).order_by().values("hold")
    return dict(rows.annotate(count=Count("pk")).values_list("hold", "count"))


@requires_transaction
def told(holds: Collection[UUID]) -> dict[UUID, Told]:
    """How many custodians of each of these holds were told, and acknowledged it; those without any are not in it."""
    rows = Notice.objects.filter(hold__in=holds).order_by().values("hold")
    counted = rows.annotate(sent=Count("pk"), acknowledged=Count("acknowledged_at"))
    return {
        hold: Told(sent=sent, acknowledged=acknowledged)
        for hold, sent, acknowledged in counted.values_list("hold", "sent", "acknowledged")
    }
