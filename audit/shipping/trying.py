"""Trying a destination: one event that is nobody's record, and whether it was taken."""

from datetime import datetime

from audit import services
from audit.models import SiemDestination
from audit.shipping import destinations
from audit.shipping.client import Away, Client
from audit.shipping.destinations import Target
from audit.shipping.sending import Sender
from kaireon.api.breakers import BreakerOpen
from kaireon.lib.budget import Budget
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

# Somebody waits for the page.
SECONDS = 10.0


@without_transaction
def attempt(target: Target) -> str:
    """Send it `kaireon.test`, and wait until it is indexed where that is told. "" when it was taken, else a code."""
    with Client(allow_private=target.allow_private, seconds=SECONDS) as client:
        try:
            Sender(target, client, budget=Budget(SECONDS)).probe()
        except Away as away:
            return away.code
        except BreakerOpen:
            return "left_alone"
    return ""


@without_transaction
def attempt_own(row: SiemDestination, *, now: datetime) -> str:
    """Test a destination of the active tenant's and write down what came of it."""
    with transaction():
        try:
            target = destinations.target(row)
        except CannotOpen:
            _note(row, "credentials_cannot_be_opened", now)
            return "credentials_cannot_be_opened"
    code = attempt(target)
    with transaction():
        _note(row, code, now)
    return code


@requires_transaction
def _note(row: SiemDestination, code: str, now: datetime) -> None:
    SiemDestination.objects.filter(pk=row.pk).update(tested_at=now, test_error=code)
    services.record(
        action="siem_destination.test",
        entity_type="SiemDestination",
        entity_id=str(row.pk),
        entity_name=row.name,
        changes={"taken": not code, "reason": code},
    )
