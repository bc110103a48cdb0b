"""Why something stays, and until when: the words that plans, requests and certificates use.

`legal_hold`: a hold of its class or of a matter. `referenced_by_held_rows`: a customer's row, emptied, for the sake of
rows that are held. `tells_of_held_rows`: the key to what the log says of rows that are held. The last two end with the
first. `until` is the end of a cooling-off, or the day on which somebody is asked whether the matter is still needed;
None where nobody knows.
"""

from datetime import date, datetime
from uuid import UUID

from django.db.models import Q

from compliance.holding import predicate
from compliance.models import Hold, HoldState, Kind
from customers.catalogue import Entity
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction

LEGAL_HOLD = "legal_hold"
REFERRED_TO = "referenced_by_held_rows"
TELLS_OF_HELD_ROWS = "tells_of_held_rows"


@requires_transaction
def until(entity: Entity, data_class: str, subject: UUID) -> str | None:
    """When the matters' holds that may cover rows of this person end, or are looked at again; None: nobody knows."""
    touching = predicate.touching(entity, data_class).filter(kind=Kind.MATTER).select_related("matter")
    found = touching.filter(Q(of_subjects=False) | Q(subjects__subject_id=subject)).distinct()
    return _latest([_end(hold) for hold in found])


def later(one: str | None, other: str | None) -> str | None:
    """The later of two; where one is not known the whole is not."""
    return _latest([one, other])


def _latest(moments: list[str | None]) -> str | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if known and len(known) == len(moments) else None


def _end(hold: Hold) -> str | None:
    moment: datetime | date | None = hold.matter.review_on if hold.matter else None
    if hold.state == HoldState.RELEASING:
        moment = hold.releases_at
    if isinstance(moment, datetime):
        return clock.rfc3339(moment)
    return moment.isoformat() if moment else None
