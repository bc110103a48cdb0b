"""What day it is for the active tenant: deadlines are days of its own calendar."""

from datetime import date
from zoneinfo import ZoneInfo

from dsar import deadlines
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant


@requires_transaction
def zone() -> ZoneInfo:
    """The tenant's time zone."""
    return ZoneInfo(Tenant.objects.values_list("time_zone", flat=True).get(pk=context.tenant_id()))


@requires_transaction
def today() -> date:
    return deadlines.local_date(clock.now(), zone())
