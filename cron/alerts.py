"""The job `alerts-evaluate`, and what else is due when the old tick comes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from compliance.alerting import evaluation
from compliance.models import AlertRule
from cron import reports
from cron.work import Work
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import scope, transaction

# So long a tenant has in any case: many tenants are no reason to alert for want of data.
LEAST_SECONDS = 5.0

logger = logging.getLogger("kaireon.cron")

Answer = tuple[Mapping[str, Any], Sequence[str]]


def evaluate(work: Work) -> Answer:
    """`{rules, alerting, changes, notified}`; a dry run counts the rules. A figure that cannot be read is an error."""
    with scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=context.current().request_id):
        if work.dry_run:
            with transaction():
                return {"rules": AlertRule.objects.watched().count()}, ()
        with transaction():
            found = evaluation.evaluate(now=clock.now(), budget=Budget(max(LEAST_SECONDS, work.budget.left())))
    if found.is_elsewhere:
        return {"skipped": "already being evaluated"}, ()
    body = {
        "rules": found.rules,
        "alerting": found.alerting,
        "changes": found.changes,
        "notified": found.notified,
    }
    return body, found.errors


# What the tick does in each tenant, by its name in the answer. One that fails does not keep the next from being done.
DUE: dict[str, Callable[[Work], Answer]] = {"alerts": evaluate, "reports": reports.due}


def tick(work: Work) -> Answer:
    """`{alerts: {…}, reports: {…}}`, and so on through DUE."""
    body: dict[str, Any] = {}
    errors: list[str] = []
    for name, do in DUE.items():
        try:
            done, faults = do(work)
        except SoftTimeLimitExceeded:
            # The worker is about to be ended: that concerns the whole run.
            raise
        except Exception as error:
            # Told in the outcome, and the rest that is due is still done.
            logger.exception("job_failed", extra={"job": f"tick: {name}", "tenant": context.tenant_id()})
            done, faults = {}, [type(error).__name__]
        body[name] = dict(done)
        errors.extend(f"{name}: {fault}" for fault in faults)
    return body, errors
