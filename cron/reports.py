"""The job `reports-due`: what is due of the tenants' report schedules."""

from collections.abc import Mapping, Sequence
from typing import Any

from compliance.reporting import scheduling
from cron.work import Work
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import scope


def due(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{schedules, queued, again, skipped}`; a dry run counts the schedules. One that cannot be read is an error."""
    with scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=context.current().request_id):
        if work.dry_run:
            return {"schedules": scheduling.count()}, ()
        looked = scheduling.look(now=clock.now(), wanted=lambda: not work.budget.spent)
    return looked.as_dict(), looked.errors
