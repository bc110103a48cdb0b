"""The job `engagement-health-recompute`."""

from collections.abc import Mapping, Sequence
from typing import Any

from cron.work import Work
from customers.engagement import reckoning
from kaireon.tenancy import context
from kaireon.tenancy.context import scope, transaction


def recompute(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{whole, lookedAt, reckoned, done}`; a dry run says whom it would look at. Not `done`: the next run goes on."""
    with scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=str(work.run_id)):
        if work.dry_run:
            with transaction():
                found = reckoning.waiting(now=work.now)
        else:
            found = reckoning.reckon(now=work.now, budget=work.budget)
    return {"whole": found.whole, "lookedAt": found.looked_at, "reckoned": found.reckoned, "done": found.done}, ()
