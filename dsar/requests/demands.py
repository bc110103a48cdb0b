"""What a tenant demands of its requests: proof of identity first, an officer's look at packages last."""

from datetime import datetime

import audit
from dsar.models import Demand
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

_DEMANDED = Kept(lambda what: Demand.objects.filter(what=what).values_list("pk")[:1], what=str)


@requires_transaction
def is_demanded(name: str) -> bool:
    return _DEMANDED.is_any(what=str(name))


@requires_transaction
def demand(name: str, *, demanded: bool, now: datetime) -> None:
    """Demand something of requests from now on, or no longer. What waits already waits on."""
    found = Demand.objects.filter(what=name).first()
    if demanded and found is None:
        made = Demand(what=name, since=now)
        audit.action("dsar.demand", entity=made)
        made.save(force_insert=True)
    elif not demanded and found is not None:
        audit.action("dsar.waive", entity=found)
        found.delete()
