"""The job `flow-scheduler-tick`: pipelines that are due start, interrupted ones go on."""

from collections.abc import Mapping, Sequence
from typing import Any

from cron.work import Work
from kaireon.flows import scheduler
from kaireon.tenancy.context import scope, tenant_id


def flow_scheduler_tick(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """In the active tenant: `{started, skipped, resumed, cleared}`, and errors. A dry run does nothing."""
    if work.dry_run:
        return {"started": 0, "skipped": 0, "resumed": 0, "cleared": 0}, ()
    with scope(tenant_id=tenant_id(), actor=work.actor, request_id=str(work.run_id)):
        done = scheduler.tick(now=work.now, budget=work.budget)
    return done.as_dict(), done.errors
