"""Ending an erasure that nobody began yet."""

from datetime import datetime

from dsar.erasing import gates, plans
from dsar.models import DsarRequest, State
from dsar.requests import outcomes
from kaireon.tenancy.context import Actor, requires_transaction

CANCELLED_VERB = "dsar.cancel"


class NotCancellable(RuntimeError):
    """The request does not wait for a yes, nor in its window: the work began, or it has ended."""


class TooLateToCancel(RuntimeError):
    """The window in which the erasure could be cancelled is over."""


@requires_transaction
def cancel(request: DsarRequest, *, actor: Actor, now: datetime) -> None:
    """End an erasure that nobody began yet: nothing is erased. Raises NotCancellable, TooLateToCancel."""
    row = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if row.state not in (State.APPROVAL, State.WINDOW):
        raise NotCancellable(str(row.pk))
    plan = plans.kept_of(row)
    if row.state == State.WINDOW and plan is not None and plan.window_until is not None and plan.window_until <= now:
        raise TooLateToCancel(str(row.pk))
    outcomes.withdraw(request=row, actor=actor, verb=CANCELLED_VERB, now=now)
    gates.end_job(row, now)
